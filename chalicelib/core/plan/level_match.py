"""Whether an image has the size and the storage of a level of the base."""

import math

from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.descriptions import (
    REDUCED_RESOLUTION,
)

ROUNDING_PX = 2  # writers round halved sizes up or down, at every step


def is_other(ifd: Ifd, base: Ifd) -> bool:
    return ifd is not base and ifd.is_tiled == base.is_tiled


def pixels_of(ifd: Ifd) -> int:
    return ifd.width_px * ifd.height_px


def size_of(ifd: Ifd) -> tuple[int, int]:
    return ifd.width_px, ifd.height_px


def is_reduced(ifd: Ifd) -> bool:
    return bool(ifd.subfile_type & REDUCED_RESOLUTION)


def is_stored_alike(ifd: Ifd, base: Ifd) -> bool:
    """Tell whether an image is stored as a writer stores the levels of one pyramid. A single tile of exactly the
    image's size is how converters store a label. Strips are as wide as their image and prove nothing."""
    is_one_own_tile = size_of(ifd) == (ifd.tile_width_px, ifd.tile_height_px)
    return ifd.is_tiled and not is_one_own_tile and has_same_storage(ifd, base)


def has_same_storage(ifd: Ifd, base: Ifd) -> bool:
    return _storage(ifd) == _storage(base)


def _storage(ifd: Ifd) -> tuple[int, ...]:
    """Return tile size, or rows of a strip (0 if one strip is the whole image), compression and colour."""
    is_one_strip = not ifd.is_tiled and ifd.segment_rows == 1
    segment = (ifd.tile_width_px if ifd.is_tiled else 0, 0 if is_one_strip else ifd.tile_height_px)
    return *segment, ifd.compression, ifd.photometric, ifd.samples, ifd.bits, ifd.sample_format, ifd.planar


def level_by_size(ifd: Ifd, base: Ifd, levels: range, *, is_padded: bool) -> int | None:
    """Return the first of `levels` that an image is as large as, within rounding; with `is_padded` also if it is that
    level padded to whole tiles of the base's size.

    A tiled level that lacks a column or row of pixels by more than rounding is made: its last pixels exist only in the
    finer one.
    """
    if pixels_of(ifd) > pixels_of(base) or (size_of(ifd) == size_of(base) and max(size_of(base)) > 1):
        return None
    tile = (ifd.tile_width_px, ifd.tile_height_px)
    has_tile = ifd.is_tiled and tile == (base.tile_width_px, base.tile_height_px)
    across, down = tile if is_padded and has_tile else (1, 1)
    for level in levels:
        if _side_matches(ifd.width_px, base.width_px, level, across) and _side_matches(
            ifd.height_px, base.height_px, level, down
        ):
            return level
    return None


def _side_matches(side_px: int, base_px: int, level: int, tile_size_px: int) -> bool:
    expected_px = base_px / (1 << level)
    padded_px = -(-expected_px // tile_size_px) * tile_size_px
    return abs(side_px - expected_px) <= ROUNDING_PX or side_px == padded_px


def has_shape(ifd: Ifd, base: Ifd, *, is_whole: bool = False) -> bool:
    """Tell whether an image is as large as the base scaled down by any factor from 1, within rounding; with `is_whole`,
    by a whole number."""
    bounds = [
        (base_px / (side_px + ROUNDING_PX), base_px / max(side_px - ROUNDING_PX, 1))
        for side_px, base_px in zip(size_of(ifd), size_of(base), strict=True)
    ]
    least, most = max(1.0, *(low for low, _ in bounds)), min(high for _, high in bounds)
    return (math.ceil(least) if is_whole else least) <= most and pixels_of(ifd) <= pixels_of(base)
