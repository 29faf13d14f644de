"""A part of a stored tile, for viewers that want tiles cut to the level's size, and the slide at less than one tile.

A tile is cut by moving its coefficients (core.crop): nothing is computed anew, and pixels are the stored tile's. In the
last column and row the colour may differ by a few steps where it is stored coarser than brightness. Codecs are loaded
only by who asks for what has to be decoded.
"""

from typing import TYPE_CHECKING

from chalicelib.core import crop
from chalicelib.core.dialects import Piece
from chalicelib.core.errors import CorruptTileError
from chalicelib.core.jpeg import frame_of

if TYPE_CHECKING:
    from chalicelib.core.raster import Pixels


def excerpt(jpeg: bytes, piece: Piece) -> bytes:
    """Return the piece of a stored tile as JPEG. Raises CorruptTileError if the tile cannot be read."""
    if piece.whole:
        return jpeg
    if piece.halvings:
        return _shrunk(jpeg, piece)
    frame = frame_of(jpeg)
    if frame.width_px <= piece.width_px and frame.height_px <= piece.height_px:
        return jpeg
    if crop.is_available():
        size = min(frame.width_px, piece.width_px), min(frame.height_px, piece.height_px)
        return crop.cut(jpeg, [(0, 0, *size)])[0]
    return _encoded(_decoded(jpeg)[: piece.height_px, : piece.width_px])


def _shrunk(jpeg: bytes, piece: Piece) -> bytes:
    import numpy as np

    from chalicelib.core.raster import halved

    width, height = piece.inside_px
    pixels = _decoded(jpeg)[:height, :width]
    for _ in range(piece.halvings):
        odd = (0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)
        pixels = halved(np.pad(pixels, odd, "edge"))
    return _encoded(pixels)


def _decoded(jpeg: bytes) -> "Pixels":
    import simplejpeg

    try:
        pixels: Pixels = simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=False, fastupsample=False, strict=False)
    except ValueError as error:
        raise CorruptTileError(f"it cannot be decoded: {error}") from error
    return pixels


def _encoded(pixels: "Pixels") -> bytes:
    from chalicelib.core.raster import encoded

    height, width, _ = pixels.shape
    return encoded(pixels, (width, height), "444")
