"""The slides that are measured: a medium one of 40000 x 30000 px, its Aperio twin, and one of 3 GB.

The medium one comes from the generator of the shared slides where that is at hand, else from here: a synthetic texture
of the same size, tiles and levels.
"""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import tifffile
from tqdm import tqdm

TILE_PX = 256
MEDIUM_PX = (40_000, 30_000)
# The region that is repeated: whole tiles at seven levels.
REGION_TILES = (128, 64)
REPEATS = (4, 6)
LEVELS = 7


def shared_folder() -> Path:
    return Path(os.environ.get("SLIDEHOOK_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "slides"


def medium(folder: Path, peers: Path | None) -> Path:
    """Return the medium slide, made now if it is not there."""
    path = folder / "medium-ycbcr256.tif"
    if not path.is_file():
        _generate(folder, peers, "ycbcr256.tif") or synthetic(path, *MEDIUM_PX)
    return path


def aperio(folder: Path, peers: Path | None) -> Path | None:
    """Return the same tiles in an Aperio file, which the lossless peer reads; None where the generator is absent."""
    path = folder / "medium-aperio256.svs"
    if not path.is_file():
        _generate(folder, peers, "aperio256.svs")
    return path if path.is_file() else None


def _generate(folder: Path, peers: Path | None, name: str) -> bool:
    generator, scan = shared_folder() / "make_slides.py", shared_folder() / "CMU-1-Small-Region.svs"
    if peers is None or not generator.is_file() or not scan.is_file():
        return False
    print(f"making {name} of the medium slide", flush=True)
    command = [str(peers), str(generator), str(scan), str(folder), "--medium", "--only", name]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


def synthetic(path: Path, width_px: int, height_px: int) -> bool:
    """Write a pyramid of JPEG tiles with a texture that compresses about like tissue."""
    dice = np.random.default_rng(1)
    coarse = dice.integers(110, 240, (72, 72, 3)).repeat(16, 0).repeat(16, 1)
    noise = dice.normal(0, 9, coarse.shape)
    texture = np.clip(coarse + noise, 0, 255).astype(np.uint8)

    def tile(at: tuple[int, int]) -> bytes:
        left, top = at[0] * 37 % (texture.shape[1] - TILE_PX), at[1] * 53 % (texture.shape[0] - TILE_PX)
        part = np.ascontiguousarray(texture[top : top + TILE_PX, left : left + TILE_PX])
        return bytes(simplejpeg.encode_jpeg(part, 85, "RGB", "420"))

    with tifffile.TiffWriter(path, bigtiff=True) as writer, ThreadPoolExecutor() as pool:
        while True:
            columns, rows = -(-width_px // TILE_PX), -(-height_px // TILE_PX)
            places = [(column, row) for row in range(rows) for column in range(columns)]
            tiles = tqdm(pool.map(tile, places), total=len(places), desc=f"{width_px} x {height_px} px", disable=None)
            writer.write(
                iter(tiles), shape=(height_px, width_px, 3), dtype="uint8", tile=(TILE_PX, TILE_PX),
                compression="jpeg", photometric="ycbcr", subsampling=(2, 2), metadata=None, contiguous=False,
            )  # fmt: skip
            if columns == rows == 1:
                return True
            width_px, height_px = -(-width_px // 2), -(-height_px // 2)


def large(folder: Path, source: Path) -> Path:
    """Return a slide of about 3 GB: a region of the medium one repeated, all levels stored, made if it is not there."""
    path = folder / "large.tif"
    if path.is_file():
        return path
    partial = path.with_suffix(".partial")
    with tifffile.TiffFile(source) as tiff, tifffile.TiffWriter(partial, bigtiff=True) as writer:
        pages: list[Any] = list(tiff.pages)[:LEVELS]
        columns, rows = REGION_TILES[0] * REPEATS[0], REGION_TILES[1] * REPEATS[1]
        for number in range(64):
            page = pages[min(number, LEVELS - 1)]
            region = _region(page, number)
            tiles = _repeated(region, columns, rows)
            writer.write(
                iter(tqdm(tiles, total=columns * rows, desc=f"large slide, level {number}", disable=None)),
                shape=(rows * TILE_PX, columns * TILE_PX, 3), dtype="uint8", tile=(TILE_PX, TILE_PX),
                compression="jpeg", photometric="ycbcr", subsampling=page.subsampling or (2, 2),
                jpegtables=page.jpegtables, metadata=None, contiguous=False,
            )  # fmt: skip
            if columns == rows == 1:
                break
            columns, rows = max(1, columns // 2), -(-rows // 2)
    partial.rename(path)
    return path


def _region(page: Any, number: int) -> list[list[bytes]]:
    """Return the stored tiles of the region at a level, row by row; the coarsest ones stand for all above."""
    step = min(number, LEVELS - 1)
    columns, rows = REGION_TILES[0] >> step, REGION_TILES[1] >> step
    across = -(-page.imagewidth // TILE_PX)
    file = page.parent.filehandle

    def stored(index: int) -> bytes:
        file.seek(page.dataoffsets[index])
        return bytes(file.read(page.databytecounts[index]))

    return [[stored(row * across + column) for column in range(columns)] for row in range(rows)]


def _repeated(region: list[list[bytes]], columns: int, rows: int) -> Iterator[bytes]:
    for row in range(rows):
        line = region[row % len(region)]
        for column in range(columns):
            yield line[column % len(line)]
