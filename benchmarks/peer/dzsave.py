"""pyvips dzsave of a slide: dzsave.py SLIDE FOLDER TILE_SIZE QUALITY. Prints its figures as JSON."""

import json
import os
import sys
import time
from pathlib import Path

import pyvips  # type: ignore[import-not-found]

slide, folder, tile_size, quality = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
begun, begun_cpu = time.perf_counter(), time.process_time()
image = pyvips.Image.new_from_file(slide, access="sequential")
image.dzsave(os.path.join(folder, "slide"), tile_size=tile_size, overlap=0, suffix=f".jpg[Q={quality}]", layout="dz")
wall, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
# Not ru_maxrss: that of the process which started this one is handed on by exec.
status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
tiles = sum(len(files) for _, _, files in os.walk(os.path.join(folder, "slide_files")))
print(
    json.dumps(
        {
            "wall_s": wall, "cpu_s": cpu, "peak_rss_mib": peak, "tiles": tiles,
            "tiles_per_s": tiles / wall, "tiles_per_cpu_s": tiles / cpu,
        }
    )
)  # fmt: skip
