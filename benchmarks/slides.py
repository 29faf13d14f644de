"""The slides that are measured: a medium one of 40000 x 30000 px, its Aperio twin, and one of 3 GB.

The medium one comes from the generator of the shared slides where that is at hand, else from here: a synthetic texture
of the same size, tiles and levels.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import tifffile

from chalicelib.cli.progress import progress_bar

TILE_PX = 256
MEDIUM_PX = (40_000, 30_000)
# The region that is repeated: whole tiles at seven levels.
REGION_TILES = (128, 64)
REPEATS = (4, 6)
LEVELS = 7
LARGE_BYTES = 35 * 10**8
# Of the large slide: the object and the parts that it arrives in, the tiles in the database, and its journal.
LARGE_NEEDS_BYTES = 4 * LARGE_BYTES


def shared_folder() -> Path:
    return Path(os.environ.get("SLIDEHOOK_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "slides"


def medium(folder: Path, peers: Path | None) -> Path:
    """Return the medium slide, made now if it is not there."""
    path = folder / "medium-ycbcr256.tif"
    if not path.is_file() and not _generate(path, peers):
        # Written beside and renamed: half a slide is never taken for one.
        partial = path.with_suffix(".partial")
        synthetic(partial, *MEDIUM_PX)
        partial.rename(path)
    return path


def aperio(folder: Path, source: Path) -> Path:
    """Return the tiles of a slide in an Aperio file, which the lossless peer reads; made now if it is not there."""
    path = folder / "medium-aperio256.svs"
    if path.is_file():
        return path
    partial = path.with_suffix(".partial")
    with tifffile.TiffFile(source) as tiff, tifffile.TiffWriter(partial, bigtiff=True) as writer:
        base: Any = tiff.pages[0]
        whole = f"Aperio Image Library v11.2.1 \r\n{base.imagewidth}x{base.imagelength} ({TILE_PX}x{TILE_PX}) "
        pages: list[Any] = list(tiff.pages)
        for number, page in enumerate(pages):
            _restyle(writer, page, whole + ("" if number == 0 else f"-> {page.imagewidth}x{page.imagelength} "))
            if number == 0:  # the second image of an Aperio file is its thumbnail, in strips
                writer.write(
                    np.full((768, 1024, 3), 240, np.uint8), photometric="rgb", compression="jpeg", rowsperstrip=16,
                    description=f"{whole}-> 1024x768 -|AppMag = 20|MPP = 0.4990", metadata=None, contiguous=False,
                )  # fmt: skip
    partial.rename(path)
    return path


def _restyle(writer: Any, page: Any, description: str) -> None:
    writer.write(
        _stored_tiles(page), shape=page.shape, dtype="uint8", tile=(page.tilelength, page.tilewidth),
        compression="jpeg", photometric="ycbcr", subsampling=page.subsampling or (2, 2), jpegtables=page.jpegtables,
        description=f"{description}JPEG/YCC Q=85|AppMag = 20|MPP = 0.4990", metadata=None, contiguous=False,
    )  # fmt: skip


def _stored_tiles(page: Any) -> Iterator[bytes]:
    file = page.parent.filehandle
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        yield bytes(file.read(size))


def _generate(path: Path, peers: Path | None) -> bool:
    """Let the generator of the shared slides make the medium one; tell whether it did."""
    generator, scan = shared_folder() / "make_slides.py", shared_folder() / "CMU-1-Small-Region.svs"
    if peers is None or not generator.is_file() or not scan.is_file():
        return False
    print("making the medium slide (a few minutes, once)", flush=True)
    making = path.parent / "making"
    shutil.rmtree(making, ignore_errors=True)
    command = [str(peers), str(generator), str(scan), str(making), "--medium", "--only", "ycbcr256.tif"]
    try:
        if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode != 0:
            return False
        (making / path.name).rename(path)
        return True
    finally:
        shutil.rmtree(making, ignore_errors=True)


def synthetic(path: Path, width_px: int, height_px: int) -> None:
    """Write a pyramid of JPEG tiles with a texture that compresses about like tissue."""
    print(f"drawing a slide of {width_px} x {height_px} px", flush=True)
    jitter = np.random.default_rng(1)
    coarse = jitter.integers(110, 240, (72, 72, 3)).repeat(16, 0).repeat(16, 1)
    noise = jitter.normal(0, 9, coarse.shape)
    texture = np.clip(coarse + noise, 0, 255).astype(np.uint8)

    def tile(at: tuple[int, int]) -> bytes:
        left, top = at[0] * 37 % (texture.shape[1] - TILE_PX), at[1] * 53 % (texture.shape[0] - TILE_PX)
        part = np.ascontiguousarray(texture[top : top + TILE_PX, left : left + TILE_PX])
        return bytes(simplejpeg.encode_jpeg(part, 85, "RGB", "420"))

    with tifffile.TiffWriter(path, bigtiff=True) as writer, ThreadPoolExecutor() as pool:
        while True:
            columns, rows = -(-width_px // TILE_PX), -(-height_px // TILE_PX)
            places = [(column, row) for row in range(rows) for column in range(columns)]
            tiles = progress_bar(pool.map(tile, places), total=len(places), label=f"{width_px} x {height_px} px")
            writer.write(
                iter(tiles), shape=(height_px, width_px, 3), dtype="uint8", tile=(TILE_PX, TILE_PX),
                compression="jpeg", photometric="ycbcr", subsampling=(2, 2), metadata=None, contiguous=False,
            )  # fmt: skip
            if columns == rows == 1:
                return
            width_px, height_px = -(-width_px // 2), -(-height_px // 2)


def require_room(folder: Path, needed_bytes: int) -> None:
    """Raise RuntimeError if the disk has no room: a full one would take other programs down too."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise RuntimeError(f"it needs {needed_bytes / 1e9:.0f} GB of disk, and {free / 1e9:.0f} GB are free")


def large(folder: Path, source: Path) -> Path:
    """Return a slide of about 3 GB: a region of the medium one repeated, all levels stored, made if it is not there."""
    path = folder / "large.tif"
    require_room(folder, LARGE_NEEDS_BYTES + (0 if path.is_file() else LARGE_BYTES))
    if path.is_file():
        return path
    print(f"writing a slide of {LARGE_BYTES / 1e9:.1f} GB", flush=True)
    partial = path.with_suffix(".partial")
    with tifffile.TiffFile(source) as tiff, tifffile.TiffWriter(partial, bigtiff=True) as writer:
        pages: list[Any] = list(tiff.pages)[:LEVELS]
        width_px, height_px = (tiles * times * TILE_PX for tiles, times in zip(REGION_TILES, REPEATS, strict=True))
        for number in range(64):
            columns, rows = -(-width_px // TILE_PX), -(-height_px // TILE_PX)
            page = pages[min(number, LEVELS - 1)]
            region = _region(page, number)
            tiles = _repeated(region, columns, rows)
            writer.write(
                iter(progress_bar(tiles, total=columns * rows, label=f"large slide, level {number}")),
                shape=(height_px, width_px, 3), dtype="uint8", tile=(TILE_PX, TILE_PX),
                compression="jpeg", photometric="ycbcr", subsampling=page.subsampling or (2, 2),
                jpegtables=page.jpegtables, metadata=None, contiguous=False,
            )  # fmt: skip
            if columns == rows == 1:
                break
            width_px, height_px = -(-width_px // 2), -(-height_px // 2)
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
