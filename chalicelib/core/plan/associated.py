"""The associated images of a slide: label, macro, thumbnail.

Label and macro can show a patient's name. They are decoded only for a caller who said `associated: true`.
"""

from collections.abc import Callable

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.geometry import Grid
from chalicelib.core.imaging.decode import decoded
from chalicelib.core.imaging.encoding import storage_of, unsupported_reason
from chalicelib.core.imaging.raster import Pixels, encoded, halved, white
from chalicelib.core.plan.pyramid import Pyramid, segments_of
from chalicelib.core.tiff.directory import Ifd

# They are pictures to be looked at; a larger one is halved until it fits, and one that cannot be held is left out.
MAX_SIDE_PX = 2048
MAX_PIXELS = 40_000_000


def pictures_of(pyramid: Pyramid, read: Callable[[int, int], bytes]) -> tuple[tuple[str, bytes], ...]:
    """Return the associated images of a slide as (name, JPEG); those that cannot be decoded are left out, since no
    slide is refused for the sake of its label. `read(start, stop)` gives bytes of the file."""
    found = []
    for name, ifd in pyramid.associated:
        if unsupported_reason(ifd) is not None or ifd.width_px * ifd.height_px > MAX_PIXELS:
            continue
        try:
            found.append((name, _jpeg(_joined(ifd, read))))
        except CorruptTileError:
            continue
    return tuple(found)


def _joined(ifd: Ifd, read: Callable[[int, int], bytes]) -> Pixels:
    storage = storage_of(ifd)
    canvas = white(ifd.height_px, ifd.width_px)
    whole = Grid(width_px=ifd.width_px, height_px=ifd.height_px, tile_size_px=1)
    segments = ifd.segment_columns * ifd.segment_rows
    for column, row, plane, index in segments_of(ifd, whole):
        if plane or len(ifd.offsets) < segments * ifd.planes or len(ifd.byte_counts) < segments * ifd.planes:
            continue
        places = [index + each * segments for each in range(ifd.planes)]
        stored = [read(ifd.offsets[at], ifd.offsets[at] + ifd.byte_counts[at]) for at in places]
        pixels = decoded(storage, stored, row)
        top, left = row * ifd.tile_height_px, column * ifd.tile_width_px
        height, width = min(pixels.shape[0], ifd.height_px - top), min(pixels.shape[1], ifd.width_px - left)
        canvas[top : top + height, left : left + width] = pixels[:height, :width]
    return canvas


def _jpeg(pixels: Pixels) -> bytes:
    while max(pixels.shape[:2]) > MAX_SIDE_PX:
        pixels = halved(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
    return encoded(pixels, (pixels.shape[1], pixels.shape[0]), "444")
