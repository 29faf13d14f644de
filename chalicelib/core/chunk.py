"""The work plan of a slide: every tile of every level, cut into chunks that one message each asks for.

Three kinds of chunk: `copy` passes stored tiles through, `crop` cuts larger ones without decoding them, and `make`
decodes a block of a level, publishes it anew where the level cannot be copied, and halves it into the coarser levels
that the file lacks. A block too small to reach the next stored level hands its last pixels on to a chunk of the next
stage. A stage starts when the one before it is complete; within a stage chunks run in any order, on any worker.

The plan is kept as two objects: a JSON head (levels and chunks) and packed tile records, of which a chunk's worker
reads its own run only. Neither TIFF parser nor numpy is needed to work through a `copy` chunk.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from chalicelib.core.geometry import Grid, level_grid
from chalicelib.core.pyramid import Level, Made, Pyramid, segments_of
from chalicelib.core.storage import Storage, dump_storage, load_storage, storage_of
from chalicelib.core.tiff import Ifd

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
    it publishes the block with `encodes`, and makes the `made_levels` next coarser levels. With `from_pixels` its input
    are halved tiles that the stage before left behind, with `hands_on` it leaves its own.
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
    made_levels: int = 0
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
    made: Made
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
    records: bytearray
    chunks: list[Chunk]
    count: int = 0

    def add(self, records: list[TileRecord], **chunk: object) -> None:
        for record in records:
            self.records += RECORD.pack(
                record.offset, min(record.size_bytes, MAX_UINT32), record.level, record.plane, record.column, record.row
            )
        self._number(len(records), sum(record.size_bytes for record in records), **chunk)

    def add_packed(self, packed: bytes, count: int, source_bytes: int, **chunk: object) -> None:
        self.records += packed
        self._number(count, source_bytes, **chunk)

    def _number(self, count: int, read: int, **chunk: object) -> None:
        first, self.count = self.count, self.count + count
        self.chunks.append(
            Chunk(number=len(self.chunks), first=first, last=self.count, source_bytes=read, **chunk)  # type: ignore[arg-type]
        )


def cut(pyramid: Pyramid, *, chunk_bytes: int, blank: bytes = b"") -> tuple[Plan, bytes]:
    """Return the plan of a pyramid and its packed tile records. The same pyramid gives the same bytes.

    `chunk_bytes` is how much of the source one chunk reads, at most: a single larger tile is one chunk, and a `make`
    chunk may reach over it where tiles are larger than the level's average, or four of them are too large. Raises
    CorruptTileError for damaged JPEG tables.
    """
    cutter = _Cutter(bytearray(), [])
    for kind, made in (("copy", "passthrough"), ("crop", "lossless-crop")):
        _cut_runs(cutter, kind, [level for level in pyramid.levels if level.made == made], chunk_bytes)  # type: ignore[arg-type]
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
    return plan, bytes(cutter.records)


def _planned(level: Level) -> PlannedLevel:
    return PlannedLevel(
        level=level.level,
        width_px=level.width_px,
        height_px=level.height_px,
        tiles=level.tiles,
        sparse=level.sparse,
        made=level.made,
        storage=storage_of(level.ifd) if level.ifd else None,
    )


def _records(level: Level, ifd: Ifd) -> Iterator[TileRecord]:
    number, offsets, counts = level.level, ifd.offsets, ifd.byte_counts
    for column, row, plane, index in segments_of(ifd, level.grid):
        if counts[index]:
            yield TileRecord(offsets[index], counts[index], number, plane, column, row)


def _cut_runs(cutter: _Cutter, kind: Kind, levels: list[Level], chunk_bytes: int) -> None:
    """Cut tiles that are copied or cut into runs by file offset across levels: the source is read once, front to back,
    in large windows. A slide has hundreds of thousands of tiles; they are handled as arrays."""
    import numpy as np  # the planner's alone; it has read the directories with it

    tables = [_table(level, level.ifd) for level in levels if level.ifd is not None]
    if not tables:
        return
    records, published = (np.concatenate(columns) for columns in zip(*tables, strict=True))
    # Stable: tiles that share an offset stay in the order of their levels, rows and columns.
    order = np.argsort(records["offset"], kind="stable")
    records, published = records[order], published[order]
    ends = np.cumsum(records["size_bytes"], dtype=np.uint64)
    first = 0
    while first < len(records):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + chunk_bytes, side="right"))
        last = min(max(last, first + 1), first + MAX_CHUNK_TILES, len(records))
        cutter.add_packed(
            records[first:last].tobytes(),
            last - first,
            int(ends[last - 1]) - before,
            stage=0,
            kind=kind,
            tiles=int(published[first:last].sum()),
        )
        first = last


def _table(level: Level, ifd: Ifd) -> "tuple[Any, Any]":
    """Return the records of a level as an array of RECORD's layout, and how many tiles come of each: of those parts
    that lie inside the level."""
    import numpy as np

    grid = level.grid
    layout = np.dtype(
        [("offset", "<u8"), ("size_bytes", "<u4"), ("level", "u1"), ("plane", "u1"), ("column", "<u4"), ("row", "<u4")]
    )
    rows, columns = np.mgrid[
        : -(-min(ifd.height_px, grid.height_px) // ifd.tile_height_px),
        : -(-min(ifd.width_px, grid.width_px) // ifd.tile_width_px),
    ]
    index = (rows * ifd.segment_columns + columns).ravel()
    counts = np.frombuffer(ifd.byte_counts, np.uint64)[index]
    stored = counts > 0
    found = np.zeros(int(stored.sum()), layout)
    found["offset"] = np.frombuffer(ifd.offsets, np.uint64)[index][stored]
    found["size_bytes"] = np.minimum(counts[stored], MAX_UINT32)
    found["level"] = level.level
    found["column"], found["row"] = columns.ravel()[stored], rows.ravel()[stored]
    across, down = ifd.tile_width_px // grid.tile_size_px, ifd.tile_height_px // grid.tile_size_px
    wide = np.minimum(grid.columns, (columns + 1) * across) - columns * across
    high = np.minimum(grid.rows, (rows + 1) * down) - rows * down
    return found, (wide * high).ravel()[stored]


def _cut_blocks(cutter: _Cutter, pyramid: Pyramid, source: Level, ifd: Ifd, chunk_bytes: int) -> None:
    """Cut a level that is encoded anew, and the run of missing levels above it, into blocks, stage after stage."""
    coarser = pyramid.levels[source.level + 1 :]
    missing = next((index for index, level in enumerate(coarser) if level.ifd is not None), len(coarser))
    encodes = source.made == "re-encoded"
    level, stage = source.level, 0
    while missing or (encodes and stage == 0):
        shape = _shape(source, ifd, chunk_bytes) if stage == 0 else _Shape(LATER_BLOCK_LEVELS, full_width=False)
        made_levels = min(missing, shape.levels)
        records = _blocks(source, ifd, shape) if stage == 0 else {}
        grid = level_grid(pyramid.width_px, pyramid.height_px, pyramid.tile_size_px, level)
        for column, row in shape.blocks(grid):
            own = [] if not (encodes and stage == 0) else [0]
            cutter.add(
                sorted(records.get((column, row), []), key=lambda record: record.offset),
                stage=stage,
                kind="make",
                tiles=sum(
                    _tiles_inside(pyramid, level + step, column, row, shape, step)
                    for step in (*own, *range(1, made_levels + 1))
                ),
                level=level,
                column=column,
                row=row,
                block_levels=shape.levels,
                made_levels=made_levels,
                full_width=shape.full_width,
                encodes=bool(own),
                from_pixels=stage > 0,
                hands_on=missing > made_levels,
            )
        missing -= made_levels
        level += made_levels
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


def _blocks(source: Level, ifd: Ifd, shape: _Shape) -> dict[tuple[int, int], list[TileRecord]]:
    """Return the segments that each block needs, by (column, row) of the block. Segments that lie across the border of
    blocks belong to each of them."""
    side_px = source.grid.tile_size_px << shape.levels
    blocks: dict[tuple[int, int], list[TileRecord]] = {}
    for record in _records(source, ifd):
        left, top = record.column * ifd.tile_width_px, record.row * ifd.tile_height_px
        right = min(left + ifd.tile_width_px, source.width_px) - 1
        bottom = min(top + ifd.tile_height_px, source.height_px) - 1
        columns = range(1) if shape.full_width else range(left // side_px, right // side_px + 1)
        for row in range(top // side_px, bottom // side_px + 1):
            for column in columns:
                blocks.setdefault((column, row), []).append(record)
    return blocks


def _tiles_inside(pyramid: Pyramid, level: int, column: int, row: int, shape: _Shape, step: int) -> int:
    """Return how many tiles of `level` lie in a block, which has halved its side `step` times."""
    grid = level_grid(pyramid.width_px, pyramid.height_px, pyramid.tile_size_px, level)
    side = 1 << (shape.levels - step)
    columns = grid.columns if shape.full_width else min(grid.columns, (column + 1) * side) - column * side
    rows = min(grid.rows, (row + 1) * side) - row * side
    return max(0, columns) * max(0, rows)


def unpack_records(packed: bytes) -> Iterator[TileRecord]:
    """Yield the records of a packed run."""
    return map(TileRecord._make, RECORD.iter_unpack(packed))


def plan_digest(head: bytes, records: bytes) -> str:
    """Return the digest of a plan: equal digests mean equal work, so what is done stays done."""
    return hashlib.sha256(hashlib.sha256(head).digest() + records).hexdigest()[:32]


def dump_plan(plan: Plan) -> bytes:
    """Return the plan's head as JSON, the same bytes for the same plan."""
    levels = [
        {**_fields(level), "storage": dump_storage(level.storage) if level.storage else None} for level in plan.levels
    ]
    head = {
        "width_px": plan.width_px,
        "height_px": plan.height_px,
        "tile_size_px": plan.tile_size_px,
        "depth": plan.depth,
        "levels": levels,
        "chunks": [_fields(chunk) for chunk in plan.chunks],
        "blank": base64.b64encode(plan.blank).decode(),
    }
    return json.dumps(head, separators=(",", ":")).encode()


def load_plan(head: bytes) -> Plan:
    """Return the plan of a head that `dump_plan` wrote."""
    fields = json.loads(head)
    levels = tuple(
        PlannedLevel(**{**level, "storage": load_storage(level["storage"]) if level["storage"] else None})
        for level in fields["levels"]
    )
    chunks = tuple(Chunk(**chunk) for chunk in fields["chunks"])
    return Plan(**{**fields, "levels": levels, "chunks": chunks, "blank": base64.b64decode(fields["blank"])})


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]
