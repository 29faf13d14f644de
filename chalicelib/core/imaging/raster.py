"""Pixels of tiles: halved, extended over an edge, encoded.

A made level is the average of 2 x 2 pixels of the next finer one. Where a stored JPEG tile is only needed at half size
its decoder takes that average in the DCT domain (core.imaging.decode): the same quality at a third of the cost.

Frames: arrays are `uint8` of shape (height, width, 3), RGB, row 0 at the top.
"""

from functools import cache
from typing import cast

import numpy as np
import numpy.typing as npt
import simplejpeg

Pixels = npt.NDArray[np.uint8]

# The pixels were decoded from lossy tiles, or are displayed next to such tiles.
# Scanners store qualities from 30 to 90: at 90 a second loss stays below that of the first (docs/performance.md has
# the figures), and a tile costs a third less than at 95.
QUALITY = 90
WHITE = 255


def halved(pixels: Pixels) -> Pixels:
    """Return pixels at half size: the average of every 2 x 2, rounded. Sides must be even.

    Halves are rounded down in one column and up in the next. Always up, as is usual, a slide gains an eighth of a grey
    level of brightness with every level.
    """
    height, width, samples = pixels.shape
    # Along rows first: whole rows are added at once, and pixels of a pair by one shifted addition of all.
    rows = np.add(pixels[0::2], pixels[1::2], dtype=np.uint16)
    rows += _rounding(width, samples)
    pairs = rows.reshape(-1)
    sums = pairs[:-samples] + pairs[samples:]
    sums >>= 2
    narrow = np.empty(pairs.size, np.uint8)
    narrow[:-samples] = sums
    return np.ascontiguousarray(narrow.reshape(height // 2, width // 2, 2 * samples)[..., :samples])


@cache
def _rounding(width: int, samples: int) -> npt.NDArray[np.uint16]:
    """Return what is added to a row of `width` pixels so that pairs of them are rounded down and up in turn."""
    return np.repeat(np.resize(np.array((1, 0, 2, 0), np.uint16), width), samples).reshape(width, samples)


def extended(pixels: Pixels, inside: tuple[int, int]) -> Pixels:
    """Return pixels whose last column and row inside (width, height) are repeated to the array's edge."""
    width, height = inside
    if (height, width) == pixels.shape[:2] or not width or not height:
        return pixels
    filled = pixels.copy()
    filled[:height, width:] = filled[:height, width - 1 : width]
    filled[height:] = filled[height - 1 : height]
    return filled


def white(height_px: int, width_px: int) -> Pixels:
    return np.full((height_px, width_px, 3), WHITE, np.uint8)


def encoded(pixels: Pixels, inside: tuple[int, int], chroma: str) -> bytes:
    """Return a tile as JPEG: its part inside (width, height), white beyond. `chroma` is how coarsely colour is kept:
    "444", "422" or "420"."""
    width, height = inside
    if (height, width) != pixels.shape[:2]:
        pixels = pixels.copy()
        pixels[:, width:] = WHITE
        pixels[height:] = WHITE
    return cast(bytes, simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), QUALITY, "RGB", chroma, fastdct=False))


def blank(tile_size_px: int) -> bytes:
    """Return the white tile that stands for one that is damaged."""
    return encoded(white(tile_size_px, tile_size_px), (tile_size_px, tile_size_px), "420")


def pixel_bytes(pixels: Pixels) -> bytes:
    """Return pixels as plain bytes, to hand on to a later stage."""
    return pixels.tobytes()


def pixels_of(raw: bytes, side_px: int) -> Pixels:
    """Return a square of `side_px` from the bytes that `pixel_bytes` gave."""
    return np.frombuffer(raw, np.uint8).reshape(side_px, side_px, 3)
