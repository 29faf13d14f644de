"""Tile: bring one chunk of a slide from S3 to MongoDB.

Reading, splicing and inserting run on a few threads, a window of the source each, so that neither the database nor the
network waits for the other, and memory is bounded by the windows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from chalicelib.core.chunk import RECORD, Chunk, Plan, PlannedLevel, TileRecord, load_plan, unpack_records
from chalicelib.core.digest import digest_sum, tile_id
from chalicelib.core.errors import CorruptTileError, OutOfTimeError
from chalicelib.core.geometry import Grid, tile_name
from chalicelib.core.job import ChunkRecord, Job, State
from chalicelib.core.jpeg import complete_tile
from chalicelib.core.message import messages_for, pixels_key, plan_key, records_key
from chalicelib.core.window import Window, windows
from chalicelib.ports import Archive, Clock, Jobs, Queue, Slides, Tile, Work

if TYPE_CHECKING:
    from chalicelib.core.raster import Pixels

Item = TypeVar("Item")
Result = TypeVar("Result")

# Batches are bounded by bytes: MongoDB takes 48 MB a message, and a batch is held twice while it is sent.
BATCH_BYTES = 4 * 1024 * 1024
# What storing the tiles in hand and saying so may take: work is not begun with less time left.
RESERVE_SECONDS = 5.0


def tile(
    job: Job,
    number: int,
    *,
    threads: int,
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    work: Work,
    queue: Queue,
    clock: Clock,
) -> None:
    """Store the tiles of chunk `number` and mark it done; send what has become ready by it.

    Harmless to repeat, at any moment and beside itself: the same bytes go under the same ids. Raises SourceError if
    the object is not what was pinned, SlideError for a damaged tile, OutOfTimeError, TileConflictError, WorkLostError.
    """
    if job.state is not State.TILING:
        return
    plan = load_plan(work.get(plan_key(job, job.plan_digest or "")))
    if number in job.chunks_done:
        # It came again: the one who did it may have died before the next messages were sent.
        _forward(job, plan, number, queue)
        return
    hand = _Hand(job, plan, plan.chunks[number], threads, slides, archive, work, clock)
    ids = _copy(hand) if hand.chunk.kind == "copy" else _Making(hand).run()
    # Only after the database acknowledged every tile the chunk is marked: a crash in between repeats the tiles.
    record = ChunkRecord(
        number=number,
        tiles=len(ids),
        source_bytes=hand.chunk.source_bytes,
        digest=digest_sum(ids),
        ended_at=clock.now(),
    )
    after = jobs.finish_chunk(job, record)
    if after is not None:
        _forward(after, plan, number, queue)


def _forward(job: Job, plan: Plan, number: int, queue: Queue) -> None:
    """Send the next stage, or `finish`, if chunk `number` was the last one of its stage."""
    ready = plan.ready(job.chunks_done)
    if not ready or ready[0].stage > plan.chunks[number].stage:
        queue.send(messages_for(job, plan))


@dataclass(frozen=True, slots=True)
class _Hand:
    """A chunk and all that is needed to work on it."""

    job: Job
    plan: Plan
    chunk: Chunk
    threads: int
    slides: Slides
    archive: Archive
    work: Work
    clock: Clock

    def level(self, number: int) -> PlannedLevel:
        return self.plan.levels[number]

    def windows(self) -> list[Window]:
        """Return the windows of the source that the chunk reads."""
        start, stop = self.chunk.first * RECORD.size, self.chunk.last * RECORD.size
        if start == stop:
            return []
        packed = self.work.get(records_key(self.job, self.job.plan_digest or ""), start, stop)
        return list(windows(list(unpack_records(packed))))

    def read(self, window: Window) -> Iterator[tuple[TileRecord, bytes]]:
        """Read a window; yield its tiles as complete JPEG files."""
        self.check_time()
        view = memoryview(self.slides.read(self.job.source, window.start, window.stop))
        for record in window.records:
            offset = record.offset - window.start
            try:
                jpeg = complete_tile(self.level(record.level).prefix, view[offset : offset + record.size_bytes])
            except CorruptTileError as error:
                raise _placed(error, record.level, record.column, record.row) from error
            yield record, jpeg

    def named(self, level: int, column: int, row: int, jpeg: bytes) -> Tile:
        name = tile_name(level, column, row, levels=self.plan.depth)
        return Tile(name, self.plan.depth - level, jpeg, tile_id(name, jpeg))

    def write(self, tiles: Sequence[Tile]) -> None:
        for batch in _batches(tiles):
            self.archive.write(self.job, self.job.generation, batch)

    def spread(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return the function's results, in order, computed on the chunk's threads (on this one, if it has only it)."""
        if self.threads <= 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(self.threads) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            finally:
                # The first error ends the chunk: what has not begun is not begun any more.
                for future in futures:
                    future.cancel()

    def check_time(self) -> None:
        if self.clock.remaining_seconds() < RESERVE_SECONDS:
            raise OutOfTimeError(f"chunk {self.chunk.number} was not finished within the time of one invocation")


def _placed(error: CorruptTileError, level: int, column: int, row: int) -> CorruptTileError:
    return CorruptTileError(f"tile ({column}, {row}) of level {level} is damaged: {error}")


def _batches(tiles: Iterable[Tile]) -> Iterator[list[Tile]]:
    batch: list[Tile] = []
    size_bytes = 0
    for tile_ in tiles:
        if batch and size_bytes + len(tile_.jpeg) > BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(tile_)
        size_bytes += len(tile_.jpeg)
    if batch:
        yield batch


def _copy(hand: _Hand) -> list[bytes]:
    """Pass the chunk's stored tiles through; return the ids of all of them."""

    def copy_window(window: Window) -> list[bytes]:
        tiles = [hand.named(record.level, record.column, record.row, jpeg) for record, jpeg in hand.read(window)]
        hand.write(tiles)
        return [stored.id for stored in tiles]

    return [tile_id for part in hand.spread(copy_window, hand.windows()) for tile_id in part]


@dataclass(slots=True)
class _Making:
    """A chunk that halves its block of a finer level into the levels above it."""

    hand: _Hand
    stored: dict[tuple[int, int], bytes] = field(default_factory=dict)
    grids: dict[int, Grid] = field(default_factory=dict)
    pending: list[Tile] = field(default_factory=list)
    pending_bytes: int = 0
    ids: list[bytes] = field(default_factory=list)

    def run(self) -> list[bytes]:
        """Make the tiles; return the ids of all of them."""
        from chalicelib.core import raster  # numpy and a codec: paid by those who make levels only

        hand, chunk = self.hand, self.hand.chunk
        self.grids = self._contents()
        if not chunk.from_pixels:
            parts = hand.spread(lambda window: list(hand.read(window)), hand.windows())
            self.stored = {(record.column, record.row): jpeg for part in parts for record, jpeg in part}
        for top in self._tops():
            half = raster.reduce_block(
                top,
                from_level=chunk.level,
                contents=self.grids.__getitem__,
                halved_source=self._pixels if chunk.from_pixels else self._halved,
                emit=self._emit,
            )
            if chunk.hands_on and half is not None:
                hand.work.put(pixels_key(hand.job, *top), raster.pixel_bytes(half))
        self._flush()
        return self.ids

    def _tops(self) -> Iterator[tuple[int, int, int]]:
        """Yield (level, column, row) of the coarsest tiles that the chunk makes."""
        chunk = self.hand.chunk
        level = chunk.level + chunk.made_levels
        grid = self.hand.plan.grid(level)
        side = 1 << (chunk.block_levels - chunk.made_levels)
        for row in range(chunk.row * side, min((chunk.row + 1) * side, grid.rows)):
            for column in range(chunk.column * side, min((chunk.column + 1) * side, grid.columns)):
                yield level, column, row

    def _source_level(self) -> PlannedLevel:
        """The stored level that everything here is made from, by this chunk or the stages before it."""
        return [level for level in self.hand.plan.levels[: self.hand.chunk.level + 1] if not level.is_made][-1]

    def _contents(self) -> dict[int, Grid]:
        """Return the grids of what has pixels: a stored level may be a pixel or two smaller than its place."""
        source, chunk = self._source_level(), self.hand.chunk
        return {
            level: Grid(
                width_px=-(-source.stored_width_px >> (level - source.level)),
                height_px=-(-source.stored_height_px >> (level - source.level)),
                tile_size_px=self.hand.plan.tile_size_px,
            )
            for level in range(chunk.level, chunk.level + chunk.made_levels + 1)
        }

    def _pixels(self, column: int, row: int) -> "Pixels":
        from chalicelib.core import raster

        key = pixels_key(self.hand.job, self.hand.chunk.level, column, row)
        return raster.pixels_of(self.hand.work.get(key), self.hand.plan.tile_size_px // 2)

    def _halved(self, column: int, row: int) -> "Pixels | None":
        from chalicelib.core import raster

        level = self.hand.chunk.level
        jpeg = self.stored.pop((column, row), None)
        if jpeg is None:
            return None
        try:
            return raster.halved_jpeg(jpeg, self.grids[level].inside_px(column, row), self.hand.plan.tile_size_px)
        except CorruptTileError as error:
            raise _placed(error, level, column, row) from error

    def _emit(self, level: int, column: int, row: int, pixels: "Pixels") -> None:
        from chalicelib.core import raster

        self.hand.check_time()
        inside = self.hand.plan.grid(level).inside_px(column, row)
        made = self.hand.named(level, column, row, raster.encoded(pixels, inside, self._source_level().subsampling))
        self.pending.append(made)
        self.pending_bytes += len(made.jpeg)
        self.ids.append(made.id)
        if self.pending_bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self.hand.write(self.pending)
        self.pending, self.pending_bytes = [], 0
