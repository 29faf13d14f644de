"""opentile, the lossless peer, into MongoDB: opentile_insert.py SLIDE MONGO_URI DATABASE. Prints figures as JSON."""

import json
import resource
import sys
import time

from opentile import OpenTile
from pymongo import MongoClient

BATCH_BYTES = 4 * 1024 * 1024

slide, uri, database = sys.argv[1:4]
collection = MongoClient(uri)[database]["opentile"]
collection.drop()
collection.create_index("name", unique=True)
begun = time.perf_counter()
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
wall = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_SELF)
collection.drop()
print(
    json.dumps(
        {
            "wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_rss_mib": used.ru_maxrss / 1024,
            "tiles": tiles, "tiles_per_s": tiles / wall,
        }
    )
)  # fmt: skip
