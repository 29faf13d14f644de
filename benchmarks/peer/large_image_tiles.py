"""large_image getTile of a part of the base, scaled to the whole: large_image_tiles.py SLIDE TILES_OF_THE_SLIDE."""

import json
import resource
import sys
import time

import large_image_source_tiff

ASKED = 600

slide, whole = sys.argv[1], int(sys.argv[2])
source = large_image_source_tiff.open(slide)
level = source.getMetadata()["levels"] - 1
columns = -(-source.sizeX // source.tileWidth)
rows = -(-source.sizeY // source.tileHeight)
begun = time.perf_counter()
for number in range(ASKED):
    # Spread over the slide, so that tissue and glass come in their share.
    place = number * (columns * rows // ASKED)
    source.getTile(place % columns, place // columns, level, encoding="JPEG")
wall = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_SELF)
print(
    json.dumps(
        {
            "wall_s": wall * whole / ASKED, "cpu_s": (used.ru_utime + used.ru_stime) * whole / ASKED,
            "peak_rss_mib": used.ru_maxrss / 1024, "tiles": ASKED, "tiles_per_s": ASKED / wall,
        }
    )
)  # fmt: skip
