"""Pixels: stored tiles halved, blocks of halved tiles joined, made tiles encoded.

A made level is the average of 2 x 2 pixels of the next finer one. Where a whole stored tile lies inside the slide the
average is taken by the decoder in the DCT domain (a scaled decode: the same quality at a third of the cost). Levels
are chained in pixels, never through JPEG. Beyond the slide's edge pixels repeat the last column and row while they are
averaged, so that nothing bleeds in, and are white in what is stored.

Frames: arrays are `uint8` of shape (height, width, 3), RGB, row 0 at the top.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import simplejpeg

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.geometry import Grid

Pixels = npt.NDArray[np.uint8]

# Scanners store between 30 and 90; at 85 a made tile differs from the exact average by less than its source's own
# loss, and an overview is looked at, not measured.
QUALITY = 85
WHITE = 255


def halved_jpeg(jpeg: bytes, inside: tuple[int, int], tile_size_px: int) -> Pixels:
    """Return a stored tile at half size, `tile_size_px // 2` square. `inside` is (width, height) in pixels of its part
    within the slide; the rest repeats the edge. Raises CorruptTileError if it cannot be decoded."""
    whole = inside == (tile_size_px, tile_size_px)
    # The decoder halves in the DCT domain as long as the result is not below this; 0 decodes in full.
    at_least = tile_size_px // 2 if whole else 0
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
        if (height, width) != (tile_size_px, tile_size_px):
            raise CorruptTileError(f"it holds {width} x {height} px, at odds with its directory")
        pixels: Pixels = simplejpeg.decode_jpeg(
            jpeg, "RGB", fastdct=False, fastupsample=False, min_height=at_least, min_width=at_least
        )
    except ValueError as error:
        raise CorruptTileError(f"it cannot be decoded: {error}") from error
    return pixels if whole else halved(extended(pixels, inside))


def halved(pixels: Pixels) -> Pixels:
    """Return pixels at half size: the average of every 2 x 2, rounded."""
    height, width, samples = pixels.shape
    quads = pixels.reshape(height // 2, 2, width // 2, 2, samples)
    total = quads[:, 0, :, 0].astype(np.uint16) + quads[:, 0, :, 1] + quads[:, 1, :, 0] + quads[:, 1, :, 1]
    return ((total + 2) >> 2).astype(np.uint8)


def extended(pixels: Pixels, inside: tuple[int, int]) -> Pixels:
    """Return pixels whose last column and row inside (width, height) are repeated to the array's edge."""
    width, height = inside
    if (height, width) == pixels.shape[:2]:
        return pixels
    filled = pixels.copy()
    filled[:height, width:] = filled[:height, width - 1 : width]
    filled[height:] = filled[height - 1 : height]
    return filled


def white_tile(tile_size_px: int) -> Pixels:
    return np.full((tile_size_px, tile_size_px, 3), WHITE, np.uint8)


def encoded(pixels: Pixels, inside: tuple[int, int], subsampling: str) -> bytes:
    """Return a made tile as JPEG: its part inside (width, height), white beyond."""
    width, height = inside
    if (height, width) != pixels.shape[:2]:
        pixels = pixels.copy()
        pixels[:, width:] = WHITE
        pixels[height:] = WHITE
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), QUALITY, "RGB", subsampling, fastdct=False))


def joined(quarters: tuple[Pixels | None, Pixels | None, Pixels | None, Pixels | None], tile_size_px: int) -> Pixels:
    """Return one tile of four halved ones: top left, top right, bottom left, bottom right; None is white."""
    half = tile_size_px // 2
    tile = white_tile(tile_size_px)
    for index, quarter in enumerate(quarters):
        if quarter is not None:
            top, left = (index >> 1) * half, (index & 1) * half
            tile[top : top + half, left : left + half] = quarter
    return tile


def pixel_bytes(pixels: Pixels) -> bytes:
    """Return pixels as plain bytes, to hand on to a later stage."""
    return pixels.tobytes()


def pixels_of(raw: bytes, side_px: int) -> Pixels:
    """Return a square of `side_px` from the bytes that `pixel_bytes` gave."""
    return np.frombuffer(raw, np.uint8).reshape(side_px, side_px, 3)


def reduce_block(
    top: tuple[int, int, int],
    *,
    from_level: int,
    contents: Callable[[int], Grid],
    halved_source: Callable[[int, int], Pixels | None],
    emit: Callable[[int, int, int, Pixels], None],
) -> Pixels | None:
    """Make the tile `top` = (level, column, row) and all below it down to `from_level` + 1; return `top` at half size.

    `halved_source(column, row)` gives a tile of `from_level` at half size, None where there is none. `contents(level)`
    is the grid of what has pixels at a level. Every made tile is given to `emit(level, column, row, pixels)`, finer
    ones first. Depth first, so that only four tiles a level are held at a time. None outside the level.
    """
    level, column, row = top
    grid = contents(level)
    if column >= grid.columns or row >= grid.rows:
        return None
    if level == from_level:
        return halved_source(column, row)
    quarters = tuple(
        reduce_block(
            (level - 1, 2 * column + x, 2 * row + y),
            from_level=from_level, contents=contents, halved_source=halved_source, emit=emit,
        )
        for y in (0, 1)
        for x in (0, 1)
    )  # fmt: skip
    tile = extended(joined(quarters, grid.tile_size_px), grid.inside_px(column, row))  # type: ignore[arg-type]
    emit(level, column, row, tile)
    return halved(tile)
