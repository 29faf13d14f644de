"""Which images of a TIFF are the levels of the slide, and how each level of the published pyramid comes to be.

Geometry decides: a level is a tiled image whose size is the base's halved a whole number of times, within rounding.
Label, macro and thumbnail images can show a patient's name; they are never levels and are not published.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from chalicelib.core.errors import (
    LimitError,
    NotTiledError,
    TruncatedError,
    UnsupportedError,
)
from chalicelib.core.geometry import Grid, level_count, level_grid
from chalicelib.core.tiff import (
    COMPRESSION_JPEG,
    PHOTOMETRIC_GREY,
    PHOTOMETRIC_RGB,
    PHOTOMETRIC_YCBCR,
    PLANAR_CONTIGUOUS,
    Ifd,
)

Made = Literal["passthrough", "made"]

ROUNDING_PX = 2  # writers round halved sizes up or down, at every step
MIN_TILE_SIZE_PX, MAX_TILE_SIZE_PX = 64, 4096
MAX_PIXELS = 1 << 41  # a 150 mm x 60 mm glass at 0.06 micrometres per pixel
MAX_TILES = 4_000_000
MAX_TILE_BYTES = 16_000_000  # MongoDB takes documents of 16 MiB
SAMPLES = {PHOTOMETRIC_GREY: 1, PHOTOMETRIC_RGB: 3, PHOTOMETRIC_YCBCR: 3}
ASSOCIATED = re.compile(r"\b(label|macro|thumbnail|thumb)\b", re.IGNORECASE)
ASSOCIATED_SUBFILE_TYPE = 9  # Aperio's macro


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the published pyramid. `ifd` is where its tiles are stored, None if they are made from the next
    finer level. `tiles` and `size_bytes` count what will be published of it (size: 0 if made); `sparse` counts the
    tiles that the file leaves out."""

    level: int
    grid: Grid
    ifd: Ifd | None
    tiles: int
    sparse: int
    size_bytes: int

    @property
    def made(self) -> Made:
        return "made" if self.ifd is None else "passthrough"

    @property
    def width_px(self) -> int:
        return self.grid.width_px

    @property
    def height_px(self) -> int:
        return self.grid.height_px

    @property
    def columns(self) -> int:
        return self.grid.columns

    @property
    def rows(self) -> int:
        return self.grid.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Pyramid:
    """The pyramid to publish. `levels` lists what is published, finest first; `depth` counts the complete quadtree,
    which is what tile names are derived from, also when only the base is published."""

    width_px: int
    height_px: int
    tile_size_px: int
    depth: int
    levels: tuple[Level, ...]


def check_tile_size(tile_size: int) -> int:
    """Return a wanted tile size in pixels. Raises ValueError, with a sentence, if it is none."""
    if not MIN_TILE_SIZE_PX <= tile_size <= MAX_TILE_SIZE_PX or tile_size % 16:
        raise ValueError(f"must be a multiple of 16 from {MIN_TILE_SIZE_PX} to {MAX_TILE_SIZE_PX} pixels")
    return tile_size


def plan_pyramid(ifds: Sequence[Ifd], *, size_bytes: int, tile_size: int | None, base_only: bool) -> Pyramid:
    """Return the pyramid that is published of a TIFF of `size_bytes` with these `ifds`.

    `tile_size` is the edge of the tiles in pixels that was asked for; None takes the file's. Raises NotTiledError,
    UnsupportedError, LimitError or TruncatedError, each naming the image at fault.
    """
    base = _base(ifds)
    _check_supported(base)
    tile_size_px = base.tile_width_px
    if tile_size not in (None, tile_size_px):
        problem = (
            f"the slide's tiles are {tile_size_px} px and {tile_size} px were asked for; cutting anew is not done yet"
        )
        raise UnsupportedError(problem, hint=f"Leave tile_size out, or ask for {tile_size_px}.")
    depth = level_count(base.width_px, base.height_px, tile_size_px)
    stored = {0: base} if base_only else _stored_levels(base, ifds, depth)
    levels = tuple(
        _level(level, level_grid(base.width_px, base.height_px, tile_size_px, level), stored.get(level), size_bytes)
        for level in range(1 if base_only else depth)
    )
    if sum(level.tiles for level in levels) > MAX_TILES:
        raise LimitError(f"the slide has more than {MAX_TILES} tiles")
    if not levels[0].tiles:
        raise UnsupportedError("the base level of the slide has no tiles: all of them are left out")
    return Pyramid(
        width_px=base.width_px, height_px=base.height_px, tile_size_px=tile_size_px, depth=depth, levels=levels
    )


def _base(ifds: Sequence[Ifd]) -> Ifd:
    largest = max(ifds, key=lambda ifd: (ifd.width_px * ifd.height_px, -ifd.index))
    if not largest.is_tiled:
        raise NotTiledError(
            f"image {largest.index} of the TIFF ({largest.width_px} x {largest.height_px} px) is stored in strips"
        )
    if largest.width_px * largest.height_px > MAX_PIXELS:
        raise LimitError(f"the slide claims {largest.width_px} x {largest.height_px} px")
    return largest


def _check_supported(ifd: Ifd) -> None:
    where = f"image {ifd.index} of the TIFF ({ifd.width_px} x {ifd.height_px} px)"
    if ifd.compression != COMPRESSION_JPEG:
        raise UnsupportedError(f"{where} is compressed with {ifd.compression_name}; only JPEG is published yet")
    if SAMPLES.get(ifd.photometric) != ifd.samples:
        raise UnsupportedError(
            f"{where} has {ifd.samples} samples a pixel, photometric {ifd.photometric};"
            " grey, RGB and YCbCr are published"
        )
    if ifd.bits != 8:
        raise UnsupportedError(f"{where} has {ifd.bits} bits a sample; only 8 are published")
    if ifd.samples > 1 and ifd.planar != PLANAR_CONTIGUOUS:
        raise UnsupportedError(f"{where} stores its colours in separate planes")
    if ifd.tile_width_px != ifd.tile_height_px:
        raise UnsupportedError(
            f"{where} has tiles of {ifd.tile_width_px} x {ifd.tile_height_px} px; only square ones are taken"
        )
    if not MIN_TILE_SIZE_PX <= ifd.tile_width_px <= MAX_TILE_SIZE_PX:
        raise UnsupportedError(
            f"{where} has tiles of {ifd.tile_width_px} px; {MIN_TILE_SIZE_PX} to {MAX_TILE_SIZE_PX} px are taken"
        )
    if ifd.tile_width_px % 2:
        raise UnsupportedError(f"{where} has tiles of {ifd.tile_width_px} px; an odd size cannot be halved")


def _stored_levels(base: Ifd, ifds: Iterable[Ifd], depth: int) -> dict[int, Ifd]:
    stored = {0: base}
    for ifd in ifds:
        level = _level_of(ifd, base, depth)
        # A level whose tiles are all left out is made: the coarsest must exist, it is the thumbnail.
        if level is not None and level not in stored and any(ifd.byte_counts):
            stored[level] = ifd
    return stored


def _level_of(ifd: Ifd, base: Ifd, depth: int) -> int | None:
    """Return which level the image is, or None: an associated image, another aspect, or unlike the base."""
    alike = (
        ifd.is_tiled
        and ifd.tile_width_px == ifd.tile_height_px == base.tile_width_px
        and (ifd.compression, ifd.bits, ifd.samples) == (base.compression, base.bits, base.samples)
        and (ifd.photometric, ifd.planar) == (base.photometric, base.planar)
    )
    # Only the name a writer gives the image counts: Aperio puts it first after the line break, and what follows may
    # hold anything.
    first_words = ifd.description.replace("\r", "").split("\n")[-1][:40]
    associated = ifd.subfile_type == ASSOCIATED_SUBFILE_TYPE or ASSOCIATED.search(first_words)
    if not alike or associated:
        return None
    for level in range(1, depth):
        grid = level_grid(base.width_px, base.height_px, base.tile_width_px, level)
        stored = level_grid(ifd.width_px, ifd.height_px, base.tile_width_px, 0)
        # A level that lacks a column or row by rounding is made anew: its last pixels exist only in the finer one.
        if _matches(ifd, base, level) and stored.columns >= grid.columns and stored.rows >= grid.rows:
            return level
    return None


def _matches(ifd: Ifd, base: Ifd, level: int) -> bool:
    return _side_matches(ifd.width_px, base.width_px, level, base.tile_width_px) and _side_matches(
        ifd.height_px, base.height_px, level, base.tile_width_px
    )


def _side_matches(side_px: int, base_px: int, level: int, tile_size_px: int) -> bool:
    expected_px = base_px / (1 << level)
    padded_px = -(-expected_px // tile_size_px) * tile_size_px  # Philips pads every level to whole tiles
    return abs(side_px - expected_px) <= ROUNDING_PX or side_px == padded_px


def _level(level: int, grid: Grid, ifd: Ifd | None, size_bytes: int) -> Level:
    if ifd is None:
        return Level(level=level, grid=grid, ifd=None, tiles=grid.tiles, sparse=0, size_bytes=0)
    counts = [ifd.byte_counts[index] for _, _, index in stored_tiles(grid, ifd)]
    for column, row, index in stored_tiles(grid, ifd):
        end = ifd.offsets[index] + ifd.byte_counts[index]
        if end > size_bytes:
            raise TruncatedError(
                f"tile ({column}, {row}) of level {level} ends at byte {end}, and the file at byte {size_bytes}"
            )
        if ifd.byte_counts[index] > MAX_TILE_BYTES:
            raise LimitError(
                f"tile ({column}, {row}) of level {level} is stored in {ifd.byte_counts[index]} bytes;"
                f" at most {MAX_TILE_BYTES} are taken"
            )
    sparse = counts.count(0)
    return Level(level=level, grid=grid, ifd=ifd, tiles=grid.tiles - sparse, sparse=sparse, size_bytes=sum(counts))


def stored_tiles(grid: Grid, ifd: Ifd) -> Iterable[tuple[int, int, int]]:
    """Yield (column, row, index into the IFD's tables) of every tile of the level, row by row.

    The file may store more columns than the level has (padding); those are passed over.
    """
    stored_columns = -(-ifd.width_px // ifd.tile_width_px)
    for row in range(grid.rows):
        for column in range(grid.columns):
            yield column, row, row * stored_columns + column
