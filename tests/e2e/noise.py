"""Slides of noise, and what has to become of them."""

import io

import numpy as np
import simplejpeg
import tifffile

from chalicelib.core.geometry import tile_address
from tests.e2e.system import LocalSystem

SOS = b"\xff\xda"


def noise_slide(columns: int, rows: int, *, seed: int, tile_size: int = 256, levels: int = 1) -> bytes:
    """Return a tiled YCbCr JPEG TIFF of distinct, noisy tiles; `levels` halvings are stored as well."""
    jitter = np.random.default_rng(seed)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for level in range(levels):
            wide, high = -(-columns >> level), -(-rows >> level)

            def tiles(count: int = wide * high):
                for _ in range(count):
                    coarse = jitter.integers(60, 200, (32, 32, 3), dtype=np.uint8)
                    pixels = np.ascontiguousarray(coarse.repeat(tile_size // 32, 0).repeat(tile_size // 32, 1))
                    pixels[:32, :32] = jitter.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                    yield bytes(simplejpeg.encode_jpeg(pixels, 85, "RGB", "420"))

            writer.write(
                tiles(),
                shape=(high * tile_size, wide * tile_size, 3),
                dtype="uint8",
                tile=(tile_size, tile_size),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(2, 2),
                metadata=None,
                contiguous=False,
            )
    return file.getvalue()


def stored_tiles(slide: bytes) -> dict[tuple[int, int, int], bytes]:
    """Return the scan of every tile of a TIFF by (level, column, row)."""
    found = {}
    with tifffile.TiffFile(io.BytesIO(slide)) as tiff:
        for level, page in enumerate(tiff.pages):
            wide = -(-page.imagewidth // page.tilewidth)
            for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
                found[level, index % wide, index // wide] = scan(slide[offset : offset + size])
    return found


def scan(jpeg: bytes) -> bytes:
    """Return a JPEG's compressed data, from its start of scan on."""
    return jpeg[jpeg.index(SOS) :]


def assert_exact(system: LocalSystem, job: dict, slide: bytes) -> None:
    """Hold every stored tile of the job's pyramid to the file's: the same scan data, byte for byte."""
    tiles = system.tiles(job)
    depth = len(job["levels"])
    placed = {tile_address(name, levels=depth): scan(jpeg) for name, jpeg in tiles.items()}
    expected = stored_tiles(slide)
    assert {place: data for place, data in placed.items() if place in expected} == expected
    assert len(tiles) == sum(level["tiles"] for level in job["levels"])
