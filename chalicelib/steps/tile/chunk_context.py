"""The context of a chunk: reads its windows, names and stores its tiles, and records damaged ones."""

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

# The size of an insert. MongoDB accepts messages of 48 MB, and a batch is in memory three times while it is sent. Two
# batches hold the tiles of a window, which become larger because each receives the shared tables.
BATCH_BYTES = WINDOW_BYTES * 5 // 8
# Enough time to store the current tiles and to mark the chunk as done. With less, the chunk stops.
RESERVE_SECONDS = 5.0


@dataclass(slots=True)
class ChunkContext:
    """A chunk, the ports and settings to process it, and its results. Any thread may append to the results.

    The chunks of a verification have the same plan. Their tiles are compared with the stored ones instead of stored.
    """

    job: Job
    plan: Plan
    chunk: Chunk
    # Threads that read and write.
    threads: int
    # Threads that decode and encode.
    cores: int
    slides: Slides
    archive: Archive
    work: Work
    clock: Clock
    # The ids of the stored (or compared) tiles.
    tile_ids: list[bytes] = field(default_factory=list)
    bad_tiles: list[BadTile] = field(default_factory=list)
    # The number of skipped tiles by level.
    skipped: list[int] = field(default_factory=list)
    # The faults that a verification has found.
    faults: list[TileFault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.skipped = [0] * len(self.plan.levels)

    def level(self, number: int) -> PlannedLevel:
        """Return a level of the plan."""
        return self.plan.levels[number]

    def storage(self, number: int) -> Storage:
        """Return the encoding of a level that the file contains."""
        storage = self.plan.levels[number].storage
        assert storage is not None
        return storage

    def records(self) -> Iterator[TileRecord]:
        """Yield the records of the chunk: the stored tiles or strips with their positions in the file."""
        start, stop = self.chunk.first * RECORD.size, self.chunk.last * RECORD.size
        if start == stop:
            return iter(())
        return unpack_records(self.work.get(records_key(self.job, self.job.plan_digest or ""), start, stop))

    def windows(self) -> tuple[list[Window], list[tuple[TileRecord, str]]]:
        """Return the windows of the source that the chunk reads, and the unreadable records with the reason of each."""
        readable, unreadable = [], []
        end = self.job.source.size_bytes
        most = MAX_TILE_BYTES if self.chunk.kind == "copy" else MAX_SEGMENT_BYTES
        for record in self.records():
            if record.offset + record.size_bytes > end:
                unreadable.append((record, f"it extends past the end of the file at byte {end}"))
            elif record.size_bytes > most:
                unreadable.append((record, f"it has {record.size_bytes} bytes; at most {most} are supported"))
            else:
                readable.append(record)
        return list(windows(readable)), unreadable

    def read(self, window: Window) -> memoryview:
        """Return the bytes of a window. Raises SourceError, OutOfTimeError."""
        self.check_time()
        return memoryview(self.slides.read(self.job.source, window.start, window.stop))

    def tile(self, level: int, column: int, row: int, jpeg: bytes) -> Tile:
        """Return the tile document of a JPEG."""
        name = name_of(level, column, row, self.plan.depth)
        return Tile(name, self.plan.depth - level, jpeg, tile_id(name, jpeg))

    def write(self, tiles: Sequence[Tile]) -> None:
        """Store tiles, or compare them with the stored ones if the job is a verification. Record their ids."""
        for batch in _batches(tiles):
            if self.job.verifies is None:
                self.archive.write(self.job, self.job.generation, batch)
            else:
                self._compare(batch, self.job.verifies.image)
            self.tile_ids += [tile.id for tile in batch]

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

    def record_bad_tile(self, record: TileRecord, reason: str) -> None:
        """Record a damaged tile or strip. Raises CorruptTileError with the option `on_bad_tile=fail`."""
        if self.job.options.on_bad_tile == "fail":
            tile = f"tile ({record.column}, {record.row}) of level {record.level}"
            raise CorruptTileError(f"{tile}, at byte {record.offset}, is damaged: {reason}")
        self.bad_tiles.append(
            BadTile(level=record.level, column=record.column, row=record.row, offset=record.offset, reason=reason)
        )

    def replacement_tiles(self, level: int, column: int, row: int) -> list[Tile]:
        """Return the replacement of a damaged tile: a white tile, or [] with the option `on_bad_tile=skip`."""
        if self.job.options.on_bad_tile == "skip":
            self.skipped[level] += 1
            return []
        return [self.tile(level, column, row, self.plan.blank)]

    def run_parallel(
        self, function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None
    ) -> list[Result]:
        """Return the results of a function for all items, in order. None: as many threads as the chunk has.

        One thread is the calling thread. The first error cancels the remaining items.
        """
        threads = threads or self.threads
        if threads <= 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            finally:
                # After the first error, the remaining items are not started.
                for future in futures:
                    future.cancel()

    def check_time(self) -> None:
        """Raise OutOfTimeError if less than RESERVE_SECONDS remain."""
        if self.clock.remaining_seconds() < RESERVE_SECONDS:
            raise OutOfTimeError(f"chunk {self.chunk.number} was not finished within the time of one invocation")


# The names of tiles below the same tile begin with its name, which is cached.
SHARED_LEVELS = 4
SHARED_MASK = (1 << SHARED_LEVELS) - 1


def name_of(level: int, column: int, row: int, levels: int) -> str:
    """Return the name of a tile, as `core.geometry.tile_name`, from two cached parts."""
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
