"""pyvips dzsave of a slide: dzsave.py SLIDE FOLDER TILE_SIZE QUALITY. Prints its figures as JSON."""

import json
import os
import resource
import sys
import time

import pyvips

slide, folder, tile_size, quality = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
begun = time.perf_counter()
image = pyvips.Image.new_from_file(slide, access="sequential")
image.dzsave(os.path.join(folder, "slide"), tile_size=tile_size, overlap=0, suffix=f".jpg[Q={quality}]", layout="dz")
wall = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_SELF)
tiles = sum(len(files) for _, _, files in os.walk(os.path.join(folder, "slide_files")))
cpu = used.ru_utime + used.ru_stime
print(
    json.dumps(
        {
            "wall_s": wall, "cpu_s": cpu, "peak_rss_mib": used.ru_maxrss / 1024, "tiles": tiles,
            "tiles_per_s": tiles / wall, "tiles_per_cpu_s": tiles / cpu,
        }
    )
)  # fmt: skip
