"""The work plan of a slide: every tile of every level, cut into chunks that one message each asks for.

Three kinds of chunk: `copy` passes stored tiles through, `crop` cuts larger ones without decoding them, and `make`
decodes a block of a level, re-encodes it if the level cannot be copied, and downsamples it to the coarser levels
that the file lacks. A block too small to reach the next stored level hands its last pixels on to a chunk of the next
stage. A stage starts when the one before it is complete; within a stage chunks run in any order, on any worker.

The plan is kept as two objects: a JSON head (levels and chunks) and packed tile records, of which a chunk's worker
reads its own run only. Neither TIFF parser nor numpy is needed to work through a `copy` chunk.
"""

import math
import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from chalicelib.core.geometry import Grid, level_grid
from chalicelib.core.imaging.encoding import Storage, storage_of
from chalicelib.core.jobs.model import Method
from chalicelib.core.plan.pyramid import Level, Pyramid, inside
from chalicelib.core.tiff.directory import Ifd

Kind = Literal["copy", "crop", "make"]

MAX_CHUNK_TILES = 8192
BLOCK_LEVELS = 5  # a block is 32 x 32 tiles of its source level: about 25 MB of stored tiles of 256 px
# Stage 2 and later read one object of pixels a tile; 16 x 16 of them keep a chunk short.
LATER_BLOCK_LEVELS = 4
MAX_UINT32 = (1 << 32) - 1

# One row of tiles of a block is held in pixels, and what is decoded and encoded in one chunk has to end in time.
BAND_BYTES = 32 * 1024 * 1024
BLOCK_TILES = 4096

RECORD = struct.Struct("<QIBBII")
# The same for numpy.
LAYOUT = [
    ("offset", "<u8"), ("size_bytes", "<u4"), ("level", "u1"), ("plane", "u1"), ("column", "<u4"), ("row", "<u4"),
]  # fmt: skip
Records = Any  # an array of LAYOUT


class TileRecord(NamedTuple):
    """A stored segment: `offset` and `size_bytes` in the source, and its place among the segments of its level. Where
    tiles are copied its column and row are those of the published tile."""

    offset: int
    size_bytes: int
    level: int
    plane: int
    column: int
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A run of work that one message asks for. `first` and `last` (exclusive) are record numbers of the plan.

    `source_bytes` is what it reads of the source, `tiles` what it publishes. A `make` chunk covers the block
    (`column`, `row`) of `1 << block_levels` tiles a side of `level` (as wide as the level with `full_width`: strips);
    it publishes the block with `encodes`, and the next `downsampled_levels` coarser levels. With `from_pixels` its
    input are the halved tiles of the stage before, with `hands_on` it stores its own for the next stage.
    """

    number: int
    stage: int
    kind: Kind
    first: int
    last: int
    source_bytes: int
    tiles: int
    level: int = 0
    column: int = 0
    row: int = 0
    block_levels: int = 0
    downsampled_levels: int = 0
    full_width: bool = False
    encodes: bool = False
    from_pixels: bool = False
    hands_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLevel:
    """A level as the workers need it. `width_px` x `height_px` is its size in the published pyramid, `storage` how the
    file holds it, if it does."""

    level: int
    width_px: int
    height_px: int
    tiles: int
    sparse: int
    method: Method
    storage: Storage | None

    @property
    def content_px(self) -> tuple[int, int]:
        """(width, height) in pixels of what the file really holds of it; padding beyond the level is no content."""
        if self.storage is None:
            return self.width_px, self.height_px
        return min(self.storage.width_px, self.width_px), min(self.storage.height_px, self.height_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is to be done for one generation. `blank` is the white JPEG that stands for a tile that is damaged."""

    width_px: int
    height_px: int
    tile_size_px: int
    depth: int
    levels: tuple[PlannedLevel, ...]
    chunks: tuple[Chunk, ...]
    blank: bytes = b""

    @property
    def tiles(self) -> int:
        return sum(level.tiles for level in self.levels)

    @property
    def source_bytes(self) -> int:
        return sum(chunk.source_bytes for chunk in self.chunks)

    def grid(self, level: int) -> Grid:
        return level_grid(self.width_px, self.height_px, self.tile_size_px, level)

    def ready(self, done: Set[int]) -> tuple[Chunk, ...]:
        """Return the chunks that may run now: what is not done of the first stage that is not complete."""
        missing = [chunk for chunk in self.chunks if chunk.number not in done]
        stage = min((chunk.stage for chunk in missing), default=0)
        return tuple(chunk for chunk in missing if chunk.stage == stage)


@dataclass(slots=True)
class _Cutter:
    records: list[bytes]
    chunks: list[Chunk]
    count: int = 0

    def add(self, records: "Records", **chunk: object) -> None:
        first, self.count = self.count, self.count + len(records)
        self.records.append(records.tobytes())
        read = int(records["size_bytes"].sum(dtype="u8"))
        self.chunks.append(
            Chunk(number=len(self.chunks), first=first, last=self.count, source_bytes=read, **chunk)  # type: ignore[arg-type]
        )


def build_plan(pyramid: Pyramid, *, chunk_bytes: int, blank: bytes = b"") -> tuple[Plan, bytes]:
    """Return the plan of a pyramid and its packed tile records. The same pyramid gives the same bytes.

    `chunk_bytes` is how much of the source one chunk reads, at most: a single larger tile is one chunk, and a `make`
    chunk may reach over it where tiles are larger than the level's average, or four of them are too large. Raises
    CorruptTileError for damaged JPEG tables.
    """
    cutter = _Cutter([], [])
    for kind, method in (("copy", "passthrough"), ("crop", "lossless-crop")):
        _cut_runs(cutter, kind, [level for level in pyramid.levels if level.method == method], chunk_bytes)  # type: ignore[arg-type]
    for level in pyramid.levels:
        if level.ifd is not None:
            _cut_blocks(cutter, pyramid, level, level.ifd, chunk_bytes)
    plan = Plan(
        width_px=pyramid.width_px,
        height_px=pyramid.height_px,
        tile_size_px=pyramid.tile_size_px,
        depth=pyramid.depth,
        levels=tuple(_planned(level) for level in pyramid.levels),
        chunks=tuple(cutter.chunks),
        blank=blank,
    )
    return plan, b"".join(cutter.records)


def _planned(level: Level) -> PlannedLevel:
    return PlannedLevel(
        level=level.level,
        width_px=level.width_px,
        height_px=level.height_px,
        tiles=level.tiles,
        sparse=level.sparse,
        method=level.method,
        storage=storage_of(level.ifd) if level.ifd else None,
    )


# Only the planner has numpy: it has read the directories with it, and a slide has hundreds of thousands of segments.


def _segments(level: Level, ifd: Ifd) -> "Records":
    """Return the records of the stored segments of a level, row by row, plane by plane. A file may store more columns
    and rows than the level has (padding); those are passed over."""
    import numpy as np

    columns, rows = inside(ifd, level.grid)
    shape = (ifd.planes, ifd.segment_rows, ifd.segment_columns)
    tables = (
        np.frombuffer(each, np.uint64, count=math.prod(shape)).reshape(shape) for each in (ifd.offsets, ifd.byte_counts)
    )
    offsets, counts = (table[:, :rows, :columns] for table in tables)
    stored = counts > 0
    found = np.empty(np.count_nonzero(stored), LAYOUT)
    found["offset"] = offsets[stored]
    found["size_bytes"] = np.minimum(counts[stored], MAX_UINT32)
    found["level"] = level.level
    places = {"plane": ifd.planes, "row": rows, "column": columns}
    for axis, (name, length) in enumerate(places.items()):
        numbers = np.arange(length, dtype=np.uint32).reshape([-1 if each == axis else 1 for each in range(3)])
        found[name] = np.broadcast_to(numbers, stored.shape)[stored]
    return found


def _cut_runs(cutter: _Cutter, kind: Kind, levels: list[Level], chunk_bytes: int) -> None:
    """Cut tiles that are copied or cut into runs by file offset across levels: the source is read once, front to back,
    in large windows."""
    import numpy as np

    if not levels:
        return
    records = np.concatenate([_segments(level, level.ifd) for level in levels if level.ifd is not None])
    if (records["offset"][1:] < records["offset"][:-1]).any():
        # Stable: tiles that share an offset stay in the order of their levels, rows and columns.
        records = records[np.argsort(records["offset"], kind="stable")]
    published = _published(records, levels)
    ends = np.cumsum(records["size_bytes"], dtype=np.uint64)
    first = 0
    while first < len(records):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + chunk_bytes, side="right"))
        last = min(max(last, first + 1), first + MAX_CHUNK_TILES, len(records))
        cutter.add(records[first:last], stage=0, kind=kind, tiles=int(published[first:last].sum()))
        first = last


def _published(records: "Records", levels: list[Level]) -> "Records":
    """Return how many tiles come of each record: of those parts that lie inside its level."""
    import numpy as np

    found = np.ones(len(records), np.uint32)
    for level in levels:
        assert level.ifd is not None
        grid = level.grid
        across, down = level.ifd.tile_width_px // grid.tile_size_px, level.ifd.tile_height_px // grid.tile_size_px
        if across == down == 1:
            continue
        own = records["level"] == level.level
        wide, high = (
            np.minimum(length - records[name][own] * factor, factor)
            for name, length, factor in (("column", grid.columns, across), ("row", grid.rows, down))
        )
        found[own] = wide * high
    return found


def _cut_blocks(cutter: _Cutter, pyramid: Pyramid, source: Level, ifd: Ifd, chunk_bytes: int) -> None:
    """Divide a re-encoded level and the missing levels above it into blocks, stage by stage."""
    import numpy as np

    coarser = pyramid.levels[source.level + 1 :]
    missing = next((index for index, level in enumerate(coarser) if level.ifd is not None), len(coarser))
    encodes = source.method == "re-encoded"
    level, stage = source.level, 0
    while missing or (encodes and stage == 0):
        shape = _shape(source, ifd, chunk_bytes) if stage == 0 else _Shape(LATER_BLOCK_LEVELS, full_width=False)
        downsampled_levels = min(missing, shape.levels)
        records = _blocks(source, ifd, shape) if stage == 0 else {}
        none = np.empty(0, LAYOUT)
        grid = level_grid(pyramid.width_px, pyramid.height_px, pyramid.tile_size_px, level)
        for column, row in shape.blocks(grid):
            own = [] if not (encodes and stage == 0) else [0]
            cutter.add(
                records.get((column, row), none),
                stage=stage,
                kind="make",
                tiles=sum(
                    _tiles_inside(pyramid, level + step, column, row, shape, step)
                    for step in (*own, *range(1, downsampled_levels + 1))
                ),
                level=level,
                column=column,
                row=row,
                block_levels=shape.levels,
                downsampled_levels=downsampled_levels,
                full_width=shape.full_width,
                encodes=bool(own),
                from_pixels=stage > 0,
                hands_on=missing > downsampled_levels,
            )
        missing -= downsampled_levels
        level += downsampled_levels
        stage += 1


@dataclass(frozen=True, slots=True)
class _Shape:
    """The blocks of one stage: `1 << levels` tiles a side, or as wide as the level."""

    levels: int
    full_width: bool

    def blocks(self, grid: Grid) -> Iterator[tuple[int, int]]:
        columns = 1 if self.full_width else -(-grid.columns >> self.levels)
        for row in range(-(-grid.rows >> self.levels)):
            for column in range(columns):
                yield column, row


def _shape(source: Level, ifd: Ifd, chunk_bytes: int) -> _Shape:
    """Return how far a block of stored segments reaches: those, and a row of its tiles, are held in memory."""
    grid, full_width = source.grid, not ifd.is_tiled
    tile_bytes = source.size_bytes / max(1, grid.tiles)
    raw_tile_bytes = grid.tile_size_px**2 * 3

    def fits(levels: int) -> bool:
        columns = grid.columns if full_width else 1 << levels
        return (
            (columns << levels) * tile_bytes <= chunk_bytes
            and (full_width or columns * raw_tile_bytes <= BAND_BYTES)
            and columns << levels <= BLOCK_TILES
        )

    return _Shape(next((levels for levels in range(BLOCK_LEVELS, 1, -1) if fits(levels)), 1), full_width)


def _blocks(source: Level, ifd: Ifd, shape: _Shape) -> "dict[tuple[int, int], Records]":
    """Return the segments that each block needs, by file offset, under (column, row) of the block. Segments that lie
    across the border of blocks belong to each of them."""
    import numpy as np

    side_px = source.grid.tile_size_px << shape.levels
    segments = _segments(source, ifd)

    def reach(name: str, segment_px: int, level_px: int) -> "tuple[Records, Records]":
        """Return the first and the last block of each segment along one side."""
        start = segments[name].astype(np.int64) * segment_px
        return start // side_px, (np.minimum(start + segment_px, level_px) - 1) // side_px

    top, bottom = reach("row", ifd.tile_height_px, source.height_px)
    left, right = reach("column", ifd.tile_width_px, source.width_px)
    if shape.full_width:
        left, right = np.zeros_like(left), np.zeros_like(right)
    in_blocks = []
    for down in range(int((bottom - top).max(initial=-1)) + 1):
        for across in range(int((right - left).max(initial=-1)) + 1):
            (those,) = np.nonzero((top + down <= bottom) & (left + across <= right))
            in_blocks.append((those, top[those] + down, left[those] + across))
    if not in_blocks:
        return {}
    those, rows, columns = (np.concatenate(parts) for parts in zip(*in_blocks, strict=True))
    order = np.lexsort((those, segments["offset"][those], columns, rows))
    those, rows, columns = those[order], rows[order], columns[order]
    starts = np.flatnonzero(np.diff(rows, prepend=-1) | np.diff(columns, prepend=-1))
    pieces = np.split(those, starts[1:])
    return {(int(columns[at]), int(rows[at])): segments[piece] for at, piece in zip(starts, pieces, strict=True)}


def _tiles_inside(pyramid: Pyramid, level: int, column: int, row: int, shape: _Shape, step: int) -> int:
    """Return how many tiles of `level` lie in a block, which has halved its side `step` times."""
    grid = level_grid(pyramid.width_px, pyramid.height_px, pyramid.tile_size_px, level)
    side = 1 << (shape.levels - step)
    columns = grid.columns if shape.full_width else min(grid.columns, (column + 1) * side) - column * side
    rows = min(grid.rows, (row + 1) * side) - row * side
    return max(0, columns) * max(0, rows)
