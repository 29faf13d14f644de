"""How each level of the published pyramid is produced. core.plan.slide_images decides which images of the TIFF are
levels.

Each level is published in the best way that its storage allows: `passthrough` copies stored JPEG tiles,
`lossless-crop` cuts larger JPEG tiles without decoding them, `re-encoded` decodes and encodes, and `downsampled` halves
the next finer level where the file has none, or none that can be trusted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chalicelib.core.errors import (
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from chalicelib.core.geometry import Grid, level_count, level_grid
from chalicelib.core.jobs.model import Method, OnBadTile
from chalicelib.core.plan.slide_images import slide_images
from chalicelib.core.tiff.directory import (
    COMPRESSION_JPEG,
    PHOTOMETRIC_GREY,
    PHOTOMETRIC_RGB,
    PHOTOMETRIC_YCBCR,
    Ifd,
)

MIN_TILE_SIZE_PX, MAX_TILE_SIZE_PX, TILE_SIZE_STEP_PX = 64, 4096, 16
DEFAULT_TILE_SIZE_PX = 256
MAX_TILES = 4_000_000
MAX_TILE_BYTES = 16_000_000  # MongoDB takes documents of 16 MiB
# A slide of which more than one tile in ten cannot be read is a damaged file, not a slide with a flaw.
BAD_TILE_SHARE = 0.10
PASSED = {PHOTOMETRIC_GREY: 1, PHOTOMETRIC_RGB: 3, PHOTOMETRIC_YCBCR: 3}
# Empty tiles may share their bytes. Beyond that, a small file would fill the database.
SHARED_TIMES, SHARED_BYTES = 2, 64 << 20
# Whole rows of a slide in strips are decoded. Several are in memory, in addition to the encoded tiles.
MAX_BAND_BYTES = 400 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of the published pyramid. `ifd` is where it is stored, None if it is made from the next finer level.
    `tiles` and `size_bytes` count what will be published of it (size: what is read, 0 if made); `sparse` counts the
    tiles that the file leaves out, `beyond` the segments that lie behind the file's end."""

    level: int
    grid: Grid
    ifd: Ifd | None
    method: Method
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
    images = slide_images(ifds)
    base = images.base
    tile_size_px = tile_size or _own_tile_size(base)
    depth = level_count(base.width_px, base.height_px, tile_size_px)
    stored = {0: base} if base_only else {0: base, **images.levels}
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
        associated=images.associated,
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


def _own_tile_size(base: Ifd) -> int:
    """Return the edge of the tiles in pixels that is published unless another one is asked for: the file's own if they
    are square JPEG tiles of a usable size."""
    side = min(base.tile_width_px, base.tile_height_px)
    fits = max(base.tile_width_px, base.tile_height_px) % side == 0 and side % 2 == 0
    usable = MIN_TILE_SIZE_PX <= side <= MAX_TILE_SIZE_PX and fits
    return side if base.is_tiled and usable else DEFAULT_TILE_SIZE_PX


def _level(number: int, grid: Grid, ifd: Ifd | None, size_bytes: int, *, can_crop: bool) -> Level:
    if ifd is None:
        return Level(level=number, grid=grid, ifd=None, method="downsampled", tiles=grid.tiles, sparse=0, size_bytes=0)
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
        method=made,
        tiles=grid.tiles - sparse,
        sparse=sparse,
        size_bytes=used_bytes,
        beyond=beyond,
    )


def _way(ifd: Ifd, tile_size_px: int, *, can_crop: bool) -> Method:
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
    if level.method == "re-encoded":
        return any(not level.ifd.byte_counts[index] for _, _, _, index in segments_of(level.ifd, level.grid))
    source = next(each for each in reversed(finer) if each.ifd is not None)
    assert source.ifd is not None
    if source.method == "re-encoded":
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
