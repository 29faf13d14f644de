"""opentile, the lossless peer, into MongoDB: opentile_insert.py SLIDE MONGO_URI DATABASE OPTIONS.

OPTIONS (JSON) are those of the collection that the service makes, so that the storage is the same. Prints figures as
JSON."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from opentile import OpenTile  # type: ignore[import-not-found]
from pymongo import MongoClient

BATCH_BYTES = 4 * 1024 * 1024

slide, uri, database, options = sys.argv[1:5]
client: MongoClient[dict[str, Any]] = MongoClient(uri)
collection = client[database]["opentile"]
collection.drop()
client[database].create_collection(collection.name, **json.loads(options))
collection.create_index("name", unique=True)
begun, begun_cpu = time.perf_counter(), time.process_time()
tiles = 0
with OpenTile.open(slide) as tiler:
    for number, level in enumerate(tiler.levels):
        size = level.tiled_size
        batch, held = [], 0
        for row in range(size.height):
            for column in range(size.width):
                jpeg = level.get_tile((column, row))
                batch.append({"name": f"{number}_{column}_{row}.jpg", "level": number, "file": jpeg})
                held += len(jpeg)
                if held >= BATCH_BYTES:
                    collection.insert_many(batch, ordered=False)
                    tiles, batch, held = tiles + len(batch), [], 0
        if batch:
            collection.insert_many(batch, ordered=False)
            tiles += len(batch)
wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
# Not ru_maxrss: that of the process which started this one is handed on by exec.
status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
collection.drop()
print(
    json.dumps(
        {
            "wall_s": wall, "cpu_s": cpu, "peak_rss_mib": peak,
            "tiles": tiles, "tiles_per_s": tiles / wall,
        }
    )
)  # fmt: skip
