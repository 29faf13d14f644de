"""What every kind of chunk needs: to read its part of the source, to name and store tiles, to note damaged ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from chalicelib.core.errors import CorruptTileError, OutOfTimeError
from chalicelib.core.geometry import tile_address, tile_name
from chalicelib.core.ids import tile_id
from chalicelib.core.imaging.encoding import MAX_SEGMENT_BYTES, Storage
from chalicelib.core.jobs.model import BadTile, Job
from chalicelib.core.jobs.verification import TileFault, judge
from chalicelib.core.plan.chunks import RECORD, Chunk, Plan, PlannedLevel, TileRecord
from chalicelib.core.plan.messages import records_key
from chalicelib.core.plan.plan_format import unpack_records
from chalicelib.core.plan.pyramid import MAX_TILE_BYTES
from chalicelib.core.plan.read_windows import WINDOW_BYTES, Window, windows
from chalicelib.ports.archive import Archive, Tile
from chalicelib.ports.clock import Clock
from chalicelib.ports.slides import Slides
from chalicelib.ports.work import Work

Item = TypeVar("Item")
Result = TypeVar("Result")

# Batches are bounded by bytes: MongoDB takes 48 MB a message, and a batch is held three times while it is sent. Two of
# them take a window's tiles, each of which has the tables now that it shared before.
BATCH_BYTES = WINDOW_BYTES * 5 // 8
# What storing the tiles in hand and saying so may take: work is not begun with less time left.
RESERVE_SECONDS = 5.0


@dataclass(slots=True)
class ChunkContext:
    """A chunk and all that is needed to work on it, and what has become of it so far: the `ids` of the stored tiles,
    the damaged ones, and how many were left out by level. Its lists may be added to on any thread.

    A job that verifies works the same way through the same plan; only that its tiles are compared with what another
    job has stored (`faults`), and not stored.
    """

    job: Job
    plan: Plan
    chunk: Chunk
    threads: int
    cores: int
    slides: Slides
    archive: Archive
    work: Work
    clock: Clock
    ids: list[bytes] = field(default_factory=list)
    bad: list[BadTile] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    faults: list[TileFault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.skipped = [0] * len(self.plan.levels)

    def level(self, number: int) -> PlannedLevel:
        return self.plan.levels[number]

    def storage(self, number: int) -> Storage:
        storage = self.plan.levels[number].storage
        assert storage is not None
        return storage

    def records(self) -> Iterator[TileRecord]:
        start, stop = self.chunk.first * RECORD.size, self.chunk.last * RECORD.size
        if start == stop:
            return iter(())
        return unpack_records(self.work.get(records_key(self.job, self.job.plan_digest or ""), start, stop))

    def windows(self) -> tuple[list[Window], list[tuple[TileRecord, str]]]:
        """Return the windows of the source that the chunk reads, and what cannot be read of it, with the reason."""
        whole, unreadable = [], []
        end = self.job.source.size_bytes
        most = MAX_TILE_BYTES if self.chunk.kind == "copy" else MAX_SEGMENT_BYTES
        for record in self.records():
            if record.offset + record.size_bytes > end:
                unreadable.append((record, f"it lies behind the file's end at byte {end}"))
            elif record.size_bytes > most:
                unreadable.append((record, f"it is stored in {record.size_bytes} bytes; at most {most} are taken"))
            else:
                whole.append(record)
        return list(windows(whole)), unreadable

    def read(self, window: Window) -> memoryview:
        """Return the bytes of a window."""
        self.check_time()
        return memoryview(self.slides.read(self.job.source, window.start, window.stop))

    def named(self, level: int, column: int, row: int, jpeg: bytes) -> Tile:
        name = name_of(level, column, row, self.plan.depth)
        return Tile(name, self.plan.depth - level, jpeg, tile_id(name, jpeg))

    def write(self, tiles: Sequence[Tile]) -> None:
        """Store tiles (or compare them with those that are), and remember that it is done."""
        for batch in _batches(tiles):
            if self.job.verifies is None:
                self.archive.write(self.job, self.job.generation, batch)
            else:
                self._compare(batch, self.job.verifies.image)
            self.ids += [tile.id for tile in batch]

    def _compare(self, tiles: Sequence[Tile], image: str) -> None:
        self.check_time()
        found = self.archive.stored(self.job.destination.database, image, [tile.name for tile in tiles])
        for tile in tiles:
            level, column, row = tile_address(tile.name, levels=self.plan.depth)
            is_exact = self.level(level).method in ("passthrough", "lossless-crop")
            documents = found.get(tile.name, ())
            if fault := judge(tile.name, tile.id, documents, is_exact=is_exact):
                self.faults.append(
                    TileFault(
                        level=level,
                        column=column,
                        row=row,
                        name=tile.name,
                        fault=fault,
                        documents=len(documents),
                    )
                )

    def note_bad(self, record: TileRecord, reason: str) -> None:
        """Keep where a damaged piece lies. Raises CorruptTileError if the job is not to survive one."""
        place = f"tile ({record.column}, {record.row}) of level {record.level}"
        if self.job.options.on_bad_tile == "fail":
            raise CorruptTileError(f"{place}, at byte {record.offset}, is damaged: {reason}")
        self.bad.append(
            BadTile(level=record.level, column=record.column, row=record.row, offset=record.offset, reason=reason)
        )

    def stand_in(self, level: int, column: int, row: int) -> list[Tile]:
        """Return what is stored in place of a damaged tile, as the job's options say: a white one, or none."""
        if self.job.options.on_bad_tile == "skip":
            self.skipped[level] += 1
            return []
        return [self.named(level, column, row, self.plan.blank)]

    def spread(
        self, function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
    ) -> list[Result]:
        """Return the function's results, in order, computed on so many threads, or the chunk's (on this one, if it is
        one)."""
        threads = threads or self.threads
        if threads <= 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
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


# Nearly all of a name is that of the tile a few levels above, which many tiles share.
SHARED_LEVELS = 4
SHARED_MASK = (1 << SHARED_LEVELS) - 1


def name_of(level: int, column: int, row: int, levels: int) -> str:
    """Return what `tile_name` returns, put together of two parts that are kept."""
    above = level + SHARED_LEVELS
    if level < 0 or above >= levels:
        return tile_name(level, column, row, levels=levels)
    stem = _stem(above, column >> SHARED_LEVELS, row >> SHARED_LEVELS, levels)
    return stem + _last_steps(column & SHARED_MASK, row & SHARED_MASK)


@lru_cache(maxsize=4096)
def _stem(level: int, column: int, row: int, levels: int) -> str:
    return tile_name(level, column, row, levels=levels).removesuffix(".jpg")


@lru_cache(maxsize=1 << (2 * SHARED_LEVELS))
def _last_steps(column: int, row: int) -> str:
    return tile_name(0, column, row, levels=SHARED_LEVELS + 1)[1:]


def _batches(tiles: Iterable[Tile]) -> Iterator[list[Tile]]:
    batch: list[Tile] = []
    size_bytes = 0
    for tile in tiles:
        if batch and size_bytes + len(tile.jpeg) > BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(tile)
        size_bytes += len(tile.jpeg)
    if batch:
        yield batch
