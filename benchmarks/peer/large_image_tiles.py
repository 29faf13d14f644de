"""large_image getTile of a part of the base, scaled to the whole: large_image_tiles.py SLIDE TILES_OF_THE_SLIDE."""

import json
import sys
import time
from pathlib import Path

import large_image_source_tiff  # type: ignore[import-not-found]

MOST = 600

slide, whole = sys.argv[1], int(sys.argv[2])
source = large_image_source_tiff.open(slide)
level = source.getMetadata()["levels"] - 1
columns = -(-source.sizeX // source.tileWidth)
rows = -(-source.sizeY // source.tileHeight)
# No tile twice: the second time it would come from its cache.
asked = min(MOST, columns * rows)
begun, begun_cpu = time.perf_counter(), time.process_time()
for number in range(asked):
    # Spread over the slide, so that tissue and glass come in their share.
    place = number * (columns * rows) // asked
    source.getTile(place % columns, place // columns, level, encoding="JPEG")
wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
# Not ru_maxrss: that of the process which started this one is handed on by exec.
status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
print(
    json.dumps(
        {
            "wall_s": wall * whole / asked, "cpu_s": cpu * whole / asked,
            "peak_rss_mib": peak, "tiles": asked, "tiles_per_s": asked / wall,
        }
    )
)  # fmt: skip
