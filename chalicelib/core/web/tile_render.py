"""A part of a stored tile, for viewers that want tiles cut to the level's size, and the slide at less than one tile.

A tile is cut by moving its coefficients (core.imaging.lossless_crop): its pixels are those of the stored tile. In the
last column and row the colour may differ by a few steps where chroma is subsampled. Codecs are loaded only for requests
that need decoding.
"""

from typing import TYPE_CHECKING

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging import lossless_crop as crop
from chalicelib.core.imaging.jpeg import frame_of
from chalicelib.core.web.tile_protocols import TileRequest

if TYPE_CHECKING:
    from chalicelib.core.imaging.raster import Pixels


def render_tile(jpeg: bytes, piece: TileRequest) -> bytes:
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


def _shrunk(jpeg: bytes, piece: TileRequest) -> bytes:
    import numpy as np

    from chalicelib.core.imaging.raster import halved

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
    from chalicelib.core.imaging.raster import encoded

    height, width, _ = pixels.shape
    return encoded(pixels, (width, height), "444")
