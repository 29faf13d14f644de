"""The work plan of a slide: every tile of every level, cut into chunks that one message each asks for.

Two kinds of chunk: `copy` passes stored tiles through, `make` halves a square block of a finer level into the levels
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
from typing import Literal

from chalicelib.core.geometry import Grid, level_grid
from chalicelib.core.jpeg import tile_prefix
from chalicelib.core.pyramid import Level, Pyramid, stored_tiles

Kind = Literal["copy", "make"]

MAX_CHUNK_TILES = 8192
BLOCK_LEVELS = 5  # a block is 32 x 32 tiles of its source level: about 25 MB of stored tiles of 256 px
# Stage 2 and later read one object of pixels a tile; 16 x 16 of them keep a chunk short.
LATER_BLOCK_LEVELS = 4

RECORD = struct.Struct("<QIBII")


@dataclass(frozen=True, slots=True)
class TileRecord:
    """A stored tile: `offset` and `size_bytes` in the source, and its place in the pyramid."""

    offset: int
    size_bytes: int
    level: int
    column: int
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A run of work that one message asks for. `first` and `last` (exclusive) are record numbers of the plan.

    `source_bytes` is what it reads of the source, `tiles` what it publishes. A `make` chunk covers the block
    (`column`, `row`) of `1 << block_levels` tiles a side of `level`, and makes the `made_levels` next coarser levels;
    with `from_pixels` its input are halved tiles that the stage before left behind, with `hands_on` it leaves its own.
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
    from_pixels: bool = False
    hands_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLevel:
    """A level as the workers need it. `width_px` x `height_px` is its size in the published pyramid, `stored_width_px`
    x `stored_height_px` what the file really holds; `prefix` stands before each of its stored tiles."""

    level: int
    width_px: int
    height_px: int
    stored_width_px: int
    stored_height_px: int
    tiles: int
    sparse: int
    prefix: bytes
    subsampling: str

    @property
    def is_made(self) -> bool:
        return not self.prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is to be done for one generation."""

    width_px: int
    height_px: int
    tile_size_px: int
    depth: int
    levels: tuple[PlannedLevel, ...]
    chunks: tuple[Chunk, ...]

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
            self.records += RECORD.pack(record.offset, record.size_bytes, record.level, record.column, record.row)
        first, self.count = self.count, self.count + len(records)
        read = sum(record.size_bytes for record in records)
        self.chunks.append(
            Chunk(number=len(self.chunks), first=first, last=self.count, source_bytes=read, **chunk)  # type: ignore[arg-type]
        )


def cut(pyramid: Pyramid, *, chunk_bytes: int) -> tuple[Plan, bytes]:
    """Return the plan of a pyramid and its packed tile records. The same pyramid gives the same bytes.

    `chunk_bytes` is how much of the source one chunk reads, at most: a single larger tile is one chunk, and a `make`
    chunk may reach over it where tiles are larger than the level's average, or four of them are too large.
    """
    cutter = _Cutter(bytearray(), [])
    _cut_copies(cutter, pyramid, chunk_bytes)
    source: Level | None = None
    for level, following in zip(pyramid.levels, (*pyramid.levels[1:], None), strict=True):
        source = level if level.ifd is not None else source
        if source is level and following is not None and following.ifd is None:
            _cut_made(cutter, pyramid, level, chunk_bytes)
    # Early stages first, so that numbers tell the order; `first` and `last` still point at each chunk's own records.
    plan = Plan(
        width_px=pyramid.width_px,
        height_px=pyramid.height_px,
        tile_size_px=pyramid.tile_size_px,
        depth=pyramid.depth,
        levels=tuple(_planned(level) for level in pyramid.levels),
        chunks=tuple(cutter.chunks),
    )
    return plan, bytes(cutter.records)


def _planned(level: Level) -> PlannedLevel:
    ifd = level.ifd
    return PlannedLevel(
        level=level.level,
        width_px=level.width_px,
        height_px=level.height_px,
        # Padding that a file stores beyond the level is no content.
        stored_width_px=min(ifd.width_px, level.width_px) if ifd else level.width_px,
        stored_height_px=min(ifd.height_px, level.height_px) if ifd else level.height_px,
        tiles=level.tiles,
        sparse=level.sparse,
        prefix=tile_prefix(ifd.jpeg_tables, ifd.photometric) if ifd else b"",
        subsampling="420" if ifd and ifd.subsampling == (2, 2) and ifd.photometric == 6 else "444",
    )


def _records(level: Level) -> Iterator[TileRecord]:
    assert level.ifd is not None
    for column, row, index in stored_tiles(level.grid, level.ifd):
        if level.ifd.byte_counts[index]:
            yield TileRecord(level.ifd.offsets[index], level.ifd.byte_counts[index], level.level, column, row)


def _cut_copies(cutter: _Cutter, pyramid: Pyramid, chunk_bytes: int) -> None:
    # By file offset across levels: the source is read once, front to back, in large windows.
    records = sorted(
        (record for level in pyramid.levels if level.ifd is not None for record in _records(level)),
        key=lambda record: (record.offset, record.level, record.row, record.column),
    )
    run: list[TileRecord] = []
    run_bytes = 0
    for record in records:
        if run and (run_bytes + record.size_bytes > chunk_bytes or len(run) >= MAX_CHUNK_TILES):
            cutter.add(run, stage=0, kind="copy", tiles=len(run))
            run, run_bytes = [], 0
        run.append(record)
        run_bytes += record.size_bytes
    cutter.add(run, stage=0, kind="copy", tiles=len(run))


def _cut_made(cutter: _Cutter, pyramid: Pyramid, source: Level, chunk_bytes: int) -> None:
    """Cut the run of missing levels above `source` into blocks, stage after stage."""
    coarser = [level for level in pyramid.levels if level.level > source.level]
    missing = next((index for index, level in enumerate(coarser) if level.ifd is not None), len(coarser))
    level, stage = source.level, 0
    while missing:
        block_levels = _block_levels(source, chunk_bytes) if stage == 0 else LATER_BLOCK_LEVELS
        made_levels = min(missing, block_levels)
        blocks = _blocks(source, block_levels) if stage == 0 else {}
        grid = level_grid(pyramid.width_px, pyramid.height_px, pyramid.tile_size_px, level)
        side = 1 << block_levels
        for row in range(-(-grid.rows // side)):
            for column in range(-(-grid.columns // side)):
                cutter.add(
                    sorted(blocks.get((column, row), []), key=lambda record: record.offset),
                    stage=stage,
                    kind="make",
                    tiles=sum(
                        _tiles_inside(pyramid, level + step, column, row, side >> step)
                        for step in range(1, made_levels + 1)
                    ),
                    level=level,
                    column=column,
                    row=row,
                    block_levels=block_levels,
                    made_levels=made_levels,
                    from_pixels=stage > 0,
                    hands_on=missing > made_levels,
                )
        missing -= made_levels
        level += made_levels
        stage += 1


def _block_levels(source: Level, chunk_bytes: int) -> int:
    """Return how far a block of stored tiles may reach: its tiles are held in memory, and large ones are many bytes."""
    tile_bytes = source.size_bytes / max(1, source.tiles)
    fitting = (levels for levels in range(BLOCK_LEVELS, 1, -1) if 4**levels * tile_bytes <= chunk_bytes)
    return next(fitting, 1)


def _blocks(source: Level, block_levels: int) -> dict[tuple[int, int], list[TileRecord]]:
    blocks: dict[tuple[int, int], list[TileRecord]] = {}
    for record in _records(source):
        blocks.setdefault((record.column >> block_levels, record.row >> block_levels), []).append(record)
    return blocks


def _tiles_inside(pyramid: Pyramid, level: int, column: int, row: int, side: int) -> int:
    grid = level_grid(pyramid.width_px, pyramid.height_px, pyramid.tile_size_px, level)
    columns = min(grid.columns, (column + 1) * side) - column * side
    rows = min(grid.rows, (row + 1) * side) - row * side
    return max(0, columns) * max(0, rows)


def unpack_records(packed: bytes) -> Iterator[TileRecord]:
    """Yield the records of a packed run."""
    return (TileRecord(*fields) for fields in RECORD.iter_unpack(packed))


def plan_digest(head: bytes, records: bytes) -> str:
    """Return the digest of a plan: equal digests mean equal work, so what is done stays done."""
    return hashlib.sha256(hashlib.sha256(head).digest() + records).hexdigest()[:32]


def dump_plan(plan: Plan) -> bytes:
    """Return the plan's head as JSON, the same bytes for the same plan."""
    levels = [{**_fields(level), "prefix": base64.b64encode(level.prefix).decode()} for level in plan.levels]
    head = {
        "width_px": plan.width_px,
        "height_px": plan.height_px,
        "tile_size_px": plan.tile_size_px,
        "depth": plan.depth,
        "levels": levels,
        "chunks": [_fields(chunk) for chunk in plan.chunks],
    }
    return json.dumps(head, separators=(",", ":")).encode()


def load_plan(head: bytes) -> Plan:
    """Return the plan of a head that `dump_plan` wrote."""
    fields = json.loads(head)
    levels = tuple(PlannedLevel(**{**level, "prefix": base64.b64decode(level["prefix"])}) for level in fields["levels"])
    chunks = tuple(Chunk(**chunk) for chunk in fields["chunks"])
    return Plan(**{**fields, "levels": levels, "chunks": chunks})


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]
