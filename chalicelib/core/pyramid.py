"""Which images of a TIFF are the levels of the slide, and how each level of the published pyramid comes to be.

Geometry decides: a level is an image, tiled if the base is, whose size is the base's halved a whole number of times,
within rounding. Label, macro and thumbnail images can show a patient's name; they are never levels, and are published
beside the slide only if the caller asks for them.

Each level is published in the best way that its storage allows: `passthrough` copies stored JPEG tiles,
`lossless-crop` cuts larger JPEG tiles without decoding them, `re-encoded` decodes and encodes anew, and `made` halves
the next finer level where the file has none, or none that can be trusted.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from chalicelib.core.errors import (
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from chalicelib.core.geometry import Grid, level_count, level_grid
from chalicelib.core.job import OnBadTile
from chalicelib.core.storage import why_not
from chalicelib.core.tiff import (
    COMPRESSION_JPEG,
    PHOTOMETRIC_GREY,
    PHOTOMETRIC_RGB,
    PHOTOMETRIC_YCBCR,
    Ifd,
)

Made = Literal["passthrough", "lossless-crop", "re-encoded", "made"]

ROUNDING_PX = 2  # writers round halved sizes up or down, at every step
MIN_TILE_SIZE_PX, MAX_TILE_SIZE_PX, TILE_SIZE_STEP_PX = 64, 4096, 16
DEFAULT_TILE_SIZE_PX = 256
MAX_PIXELS = 1 << 41  # a 150 mm x 60 mm glass at 0.06 micrometres per pixel
MAX_TILES = 4_000_000
MAX_TILE_BYTES = 16_000_000  # MongoDB takes documents of 16 MiB
# A slide of which more than one tile in ten cannot be read is a damaged file, not a slide with a flaw.
BAD_TILE_SHARE = 0.10
PASSED = {PHOTOMETRIC_GREY: 1, PHOTOMETRIC_RGB: 3, PHOTOMETRIC_YCBCR: 3}
# Empty tiles may share their bytes. Beyond that, a small file would fill the database.
SHARED_TIMES, SHARED_BYTES = 2, 64 << 20
# Of a slide in strips whole rows are decoded: several of them are held, beside what is encoded.
MAX_BAND_BYTES = 400 << 20
ASSOCIATED = re.compile(r"\b(label|macro|thumbnail|thumb)\b", re.IGNORECASE)
ASSOCIATED_SUBFILE_TYPE = 9  # Aperio's macro


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the published pyramid. `ifd` is where it is stored, None if it is made from the next finer level.
    `tiles` and `size_bytes` count what will be published of it (size: what is read, 0 if made); `sparse` counts the
    tiles that the file leaves out, `beyond` the segments that lie behind the file's end."""

    level: int
    grid: Grid
    ifd: Ifd | None
    made: Made
    tiles: int
    sparse: int
    size_bytes: int
    beyond: int = 0

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
    which is what tile names are derived from, also when only the base is published. `associated` names the images that
    are no level, as (name, IFD)."""

    width_px: int
    height_px: int
    tile_size_px: int
    depth: int
    levels: tuple[Level, ...]
    associated: tuple[tuple[str, Ifd], ...] = ()


def check_tile_size(tile_size: int) -> int:
    """Return a wanted tile size in pixels. Raises ValueError, with a sentence, if it is none."""
    if not MIN_TILE_SIZE_PX <= tile_size <= MAX_TILE_SIZE_PX or tile_size % TILE_SIZE_STEP_PX:
        raise ValueError(
            f"must be a multiple of {TILE_SIZE_STEP_PX} from {MIN_TILE_SIZE_PX} to {MAX_TILE_SIZE_PX} pixels"
        )
    return tile_size


def plan_pyramid(
    ifds: Sequence[Ifd],
    *,
    size_bytes: int,
    tile_size: int | None,
    base_only: bool,
    on_bad_tile: OnBadTile = "blank",
    can_crop: bool = True,
) -> Pyramid:
    """Return the pyramid that is published of a TIFF of `size_bytes` with these `ifds`.

    `tile_size` is the edge of the tiles in pixels that was asked for; None takes the file's. `can_crop` says whether
    JPEG tiles can be cut without loss here. Raises UnsupportedError, LimitError or TruncatedError, each naming the
    image at fault.
    """
    base = _base(ifds)
    tile_size_px = tile_size or _own_tile_size(base)
    depth = level_count(base.width_px, base.height_px, tile_size_px)
    stored = {0: base} if base_only else _stored_levels(base, ifds, depth)
    levels: list[Level] = []
    for number in range(1 if base_only else depth):
        grid = level_grid(base.width_px, base.height_px, tile_size_px, number)
        level = _level(number, grid, stored.get(number), size_bytes, can_crop=can_crop)
        if number and level.ifd is not None and _is_worse_than_made(level, levels):
            level = _level(number, grid, None, size_bytes, can_crop=can_crop)
        levels.append(level)
    pyramid = Pyramid(
        width_px=base.width_px,
        height_px=base.height_px,
        tile_size_px=tile_size_px,
        depth=depth,
        levels=tuple(levels),
        associated=tuple(_associated(ifds, base)),
    )
    _check(pyramid, size_bytes, on_bad_tile)
    return pyramid


def _check(pyramid: Pyramid, size_bytes: int, on_bad_tile: OnBadTile) -> None:
    if sum(level.tiles for level in pyramid.levels) > MAX_TILES:
        raise LimitError(f"the slide has more than {MAX_TILES} tiles")
    base = pyramid.levels[0]
    assert base.ifd is not None
    if not base.tiles:
        raise UnsupportedError("the base level of the slide has no tiles: all of them are left out")
    segments = len(base.ifd.offsets)
    if base.beyond > BAD_TILE_SHARE * segments or (base.beyond and on_bad_tile == "fail"):
        raise TruncatedError(
            f"{base.beyond} of the {segments} stored pieces of the base level lie behind the file's end,"
            f" at byte {size_bytes}"
        )
    claimed = sum(base.ifd.byte_counts)
    if claimed > SHARED_TIMES * size_bytes + SHARED_BYTES:
        raise LimitError(
            f"the tiles of the slide share their bytes: apart they are {claimed} bytes, of a file of {size_bytes}"
        )
    band_bytes = base.grid.columns * base.grid.tile_size_px**2 * 3
    if not base.ifd.is_tiled and band_bytes > MAX_BAND_BYTES:
        raise LimitError(
            f"the slide is stored in strips: a row of tiles of {base.grid.tile_size_px} px would take"
            f" {band_bytes >> 20} MiB of a worker's memory",
            hint="Ask for a smaller tile_size.",
        )


def _base(ifds: Sequence[Ifd]) -> Ifd:
    slides = [ifd for ifd in ifds if _associated_name(ifd) is None or _is_slide(ifd, ifds)] or list(ifds)
    largest = max(slides, key=lambda ifd: (ifd.width_px * ifd.height_px, -ifd.index))
    where = f"image {largest.index} of the TIFF ({largest.width_px} x {largest.height_px} px)"
    if largest.width_px * largest.height_px > MAX_PIXELS:
        raise LimitError(f"the slide claims {largest.width_px} x {largest.height_px} px")
    reason = why_not(largest)
    if reason is not None:
        raise UnsupportedError(f"{where} {reason}")
    if not _is_complete(largest):
        raise TruncatedError(f"{where} lists fewer strips than it has")
    others = [ifd for ifd in slides if ifd is not largest and not _is_some_level(ifd, largest)]
    alike = [ifd for ifd in others if (ifd.width_px, ifd.height_px) == (largest.width_px, largest.height_px)]
    if alike:
        raise UnsupportedError(
            f"the TIFF has {len(alike) + 1} images of {largest.width_px} x {largest.height_px} px: channels or focal"
            " planes, of which a slide has one"
        )
    pixels = largest.width_px * largest.height_px
    regions = (ifd for ifd in others if ifd.is_tiled and ifd.width_px * ifd.height_px > REGION_SHARE * pixels)
    for other in regions:
        raise UnsupportedError(
            f"the TIFF has a second slide in it, image {other.index} ({other.width_px} x {other.height_px} px)"
        )
    return largest


# Smaller images of another shape are previews of some kind; nobody misses them.
REGION_SHARE = 0.25


def _is_some_level(ifd: Ifd, base: Ifd) -> bool:
    """Tell whether an image is as large as a level of the base, or has its shape: a preview of the whole glass."""
    ratio = base.width_px / ifd.width_px
    same_shape = ratio > 1 and abs(ifd.height_px * ratio - base.height_px) <= ratio * (ROUNDING_PX + ifd.tile_height_px)
    return same_shape or any(
        _matches(ifd, base, level) for level in range(1, max(base.width_px, base.height_px).bit_length() + 1)
    )


def _own_tile_size(base: Ifd) -> int:
    """Return the edge of the tiles in pixels that is published unless another one is asked for: the file's own if they
    are square JPEG tiles of a usable size."""
    side = min(base.tile_width_px, base.tile_height_px)
    fits = max(base.tile_width_px, base.tile_height_px) % side == 0 and side % 2 == 0
    usable = MIN_TILE_SIZE_PX <= side <= MAX_TILE_SIZE_PX and fits
    return side if base.is_tiled and usable else DEFAULT_TILE_SIZE_PX


def _stored_levels(base: Ifd, ifds: Iterable[Ifd], depth: int) -> dict[int, Ifd]:
    stored = {0: base}
    for ifd in (each for each in ifds if each is not base):
        level = _level_of(ifd, base, depth)
        # A level whose tiles are all left out is made: the coarsest must exist, it is the thumbnail.
        if level is not None and level not in stored and any(ifd.byte_counts):
            stored[level] = ifd
    return stored


def _level_of(ifd: Ifd, base: Ifd, depth: int) -> int | None:
    """Return which level the image is, or None: an associated image, another aspect, or one that cannot be read."""
    if _associated_name(ifd) is not None or ifd.is_tiled != base.is_tiled or why_not(ifd) or not _is_complete(ifd):
        return None
    return next((level for level in range(1, depth) if _matches(ifd, base, level)), None)


def _is_complete(ifd: Ifd) -> bool:
    segments = ifd.segment_columns * ifd.segment_rows * ifd.planes
    return len(ifd.offsets) >= segments <= len(ifd.byte_counts)


def _associated_name(ifd: Ifd) -> str | None:
    """Return what an image is that is no level, as its writer says; None for all others."""
    # Only the name a writer gives the image counts: Aperio puts it first after the line break, and what follows may
    # hold anything.
    first_words = ifd.description.replace("\r", "").split("\n")[-1][:40]
    found = ASSOCIATED.search(first_words)
    if found:
        return {"thumb": "thumbnail"}.get(found[1].lower(), found[1].lower())
    return "macro" if ifd.subfile_type == ASSOCIATED_SUBFILE_TYPE else None


def _is_slide(ifd: Ifd, ifds: Sequence[Ifd]) -> bool:
    """Tell whether an image is the slide itself, whatever its description says ("label-free"): the largest one, in
    tiles, of which others are levels."""
    others = [other for other in ifds if other is not ifd]
    is_largest = all(other.width_px * other.height_px < ifd.width_px * ifd.height_px for other in others)
    return ifd.is_tiled and is_largest and any(_is_some_level(other, ifd) for other in others)


def _associated(ifds: Sequence[Ifd], base: Ifd) -> Iterator[tuple[str, Ifd]]:
    """Yield the images that stand beside the slide, by name, each name once."""
    seen: set[str] = set()
    for ifd in ifds:
        name = _associated_name(ifd)
        # Aperio's thumbnail has no name: it is the image in strips that follows the base.
        if name is None and base.is_tiled and not ifd.is_tiled and ifd.index == base.index + 1:
            name = "thumbnail"
        if name is not None and name not in seen and ifd is not base:
            seen.add(name)
            yield name, ifd


def _matches(ifd: Ifd, base: Ifd, level: int) -> bool:
    """Tell whether an image is as large as a level. A tiled one that lacks a column or row of pixels by more than
    rounding is made anew: its last pixels exist only in the finer one."""
    if (ifd.width_px, ifd.height_px) == (base.width_px, base.height_px) and max(base.width_px, base.height_px) > 1:
        return False
    across, down = (ifd.tile_width_px, ifd.tile_height_px) if ifd.is_tiled else (1, 1)
    return _side_matches(ifd.width_px, base.width_px, level, across) and _side_matches(
        ifd.height_px, base.height_px, level, down
    )


def _side_matches(side_px: int, base_px: int, level: int, tile_size_px: int) -> bool:
    expected_px = base_px / (1 << level)
    padded_px = -(-expected_px // tile_size_px) * tile_size_px  # Philips pads every level to whole tiles
    return abs(side_px - expected_px) <= ROUNDING_PX or side_px == padded_px


def _level(number: int, grid: Grid, ifd: Ifd | None, size_bytes: int, *, can_crop: bool) -> Level:
    if ifd is None:
        return Level(level=number, grid=grid, ifd=None, made="made", tiles=grid.tiles, sparse=0, size_bytes=0)
    made = _way(ifd, grid.tile_size_px, can_crop=can_crop)
    beyond = used_bytes = 0
    for _, _, _, index in segments_of(ifd, grid):  # not kept: a slide has hundreds of thousands of them
        count = ifd.byte_counts[index]
        used_bytes += count
        beyond += count > 0 and ifd.offsets[index] + count > size_bytes
    sparse = 0 if made == "re-encoded" else len(sparse_tiles(grid, ifd))
    return Level(
        level=number,
        grid=grid,
        ifd=ifd,
        made=made,
        tiles=grid.tiles - sparse,
        sparse=sparse,
        size_bytes=used_bytes,
        beyond=beyond,
    )


def _way(ifd: Ifd, tile_size_px: int, *, can_crop: bool) -> Made:
    """Return how a stored image is published in tiles of `tile_size_px`."""
    is_jpeg = ifd.compression == COMPRESSION_JPEG and PASSED.get(ifd.photometric) == ifd.samples and ifd.bits == 8
    if not (is_jpeg and ifd.is_tiled and (ifd.planes == 1)):
        return "re-encoded"
    if ifd.tile_width_px == ifd.tile_height_px == tile_size_px:
        return "passthrough"
    # A cut can only be made between the blocks that JPEG codes together, and a tile must be cut into whole ones.
    across, down = ifd.subsampling if ifd.photometric == PHOTOMETRIC_YCBCR else (1, 1)
    whole = ifd.tile_width_px % tile_size_px == 0 and ifd.tile_height_px % tile_size_px == 0
    aligned = tile_size_px % (8 * across) == 0 and tile_size_px % (8 * down) == 0
    return "lossless-crop" if can_crop and whole and aligned else "re-encoded"


def _is_worse_than_made(level: Level, finer: Sequence[Level]) -> bool:
    """Tell whether the next finer level gives better pixels than what is stored: where the file has lost tiles of this
    level, or leaves tiles out of which the finer level has content (known of Aperio: such levels are corrupt)."""
    assert level.ifd is not None
    lacks_grid = (
        -(-level.ifd.width_px // level.grid.tile_size_px) < level.columns
        or -(-level.ifd.height_px // level.grid.tile_size_px) < level.rows
    )
    if level.beyond or lacks_grid:
        return True
    if level.made == "re-encoded":
        return any(not level.ifd.byte_counts[index] for _, _, _, index in segments_of(level.ifd, level.grid))
    source = next(each for each in reversed(finer) if each.ifd is not None)
    assert source.ifd is not None
    if source.made == "re-encoded":
        return level.sparse > 0
    blank = sparse_tiles(source.grid, source.ifd)
    side = 1 << (level.level - source.level)
    return any(
        (column * side + x, row * side + y) not in blank
        for column, row in sparse_tiles(level.grid, level.ifd)
        for x in range(min(side, source.columns - column * side))
        for y in range(min(side, source.rows - row * side))
    )


def sparse_tiles(grid: Grid, ifd: Ifd) -> frozenset[tuple[int, int]]:
    """Return (column, row) of the tiles of a grid that the file leaves out: their byte count is 0. The stored tiles are
    those of the grid, or larger ones by a whole factor."""
    across, down = ifd.tile_width_px // grid.tile_size_px, ifd.tile_height_px // grid.tile_size_px
    return frozenset(
        (column * across + x, row * down + y)
        for column, row, _, index in segments_of(ifd, grid)
        if not ifd.byte_counts[index]
        for x in range(across)
        for y in range(down)
        if column * across + x < grid.columns and row * down + y < grid.rows
    )


def inside(ifd: Ifd, grid: Grid) -> tuple[int, int]:
    """Return how many columns and rows of stored segments lie inside a level."""
    return (
        -(-min(ifd.width_px, grid.width_px) // ifd.tile_width_px),
        -(-min(ifd.height_px, grid.height_px) // ifd.tile_height_px),
    )


def segments_of(ifd: Ifd, grid: Grid) -> Iterator[tuple[int, int, int, int]]:
    """Yield (column, row, plane, index into the IFD's tables) of the stored segments of a level, row by row, plane by
    plane. A file may store more columns and rows than the level has (padding); those are passed over."""
    columns, rows = inside(ifd, grid)
    for plane in range(ifd.planes):
        for row in range(rows):
            first = (plane * ifd.segment_rows + row) * ifd.segment_columns
            for column in range(columns):
                yield column, row, plane, first + column
