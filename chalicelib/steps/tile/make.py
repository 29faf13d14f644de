"""A chunk that decodes a block of a level: re-encoded where it cannot be copied, and downsampled to the levels above
it that the file lacks. One row of tiles is held in pixels at a time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.geometry import Grid
from chalicelib.core.imaging.decode import decoded, whole_jpeg
from chalicelib.core.imaging.downsample import Bands, Part
from chalicelib.core.imaging.encoding import Storage
from chalicelib.core.imaging.jpeg import Splicer, complete_tile
from chalicelib.core.imaging.raster import Pixels, encoded, extended, halved, pixel_bytes, pixels_of, white
from chalicelib.core.plan.chunks import PlannedLevel, TileRecord
from chalicelib.core.plan.messages import pixels_key
from chalicelib.core.plan.read_windows import Window
from chalicelib.ports.archive import Tile
from chalicelib.steps.tile.chunk_context import BATCH_BYTES, ChunkContext

Place = tuple[int, int]


def make(context: ChunkContext) -> None:
    """Make and store the chunk's tiles."""
    _Making(context).run()


@dataclass(slots=True)
class _Making:
    context: ChunkContext
    stored: dict[Place, dict[int, bytes]] = field(default_factory=dict)
    records: dict[Place, TileRecord] = field(default_factory=dict)
    kept: dict[Place, Pixels | None] = field(default_factory=dict)
    pending: list[Tile] = field(default_factory=list)
    pending_bytes: int = 0
    lock: Lock = field(default_factory=Lock)
    splicer: Splicer | None = None

    def run(self) -> None:
        chunk = self.context.chunk
        source = self._source()
        fast = self._is_halved_by_its_decoder(source)
        first = chunk.level + 1 if chunk.from_pixels or fast else chunk.level
        parts = [self._part(level, source) for level in range(first, chunk.level + chunk.downsampled_levels + 1)]
        bands = Bands(parts, self._publish, self._spread, self._hand_on if chunk.hands_on else None)
        if not chunk.from_pixels:
            self._read()
        block = self._part(chunk.level, source)
        for row in self._rows(block):
            if chunk.from_pixels:
                bands.add_halves(0, lambda target, row=row: self._fill_from_pixels(block, row, target))  # type: ignore[misc]
            elif fast:
                bands.add_halves(0, lambda target, row=row: self._fill_halved(block, row, target))  # type: ignore[misc]
            else:
                bands.add(self._band(block, row))
        bands.finish()
        self._flush(self.pending)

    # -- what the block covers ---------------------------------------------------------------------------------------

    def _source(self) -> PlannedLevel:
        """The stored level that everything here is made from, by this chunk or the stages before it."""
        return [
            level for level in self.context.plan.levels[: self.context.chunk.level + 1] if level.storage is not None
        ][-1]

    def _is_halved_by_its_decoder(self, source: PlannedLevel) -> bool:
        """Whether the stored tiles are those of the published grid, and are only needed at half size."""
        chunk, storage, size = self.context.chunk, source.storage, self.context.plan.tile_size_px
        assert storage is not None
        same = storage.tile_width_px == storage.tile_height_px == size and storage.is_tiled
        return not chunk.encodes and not chunk.from_pixels and storage.is_jpeg and same

    def _part(self, level: int, source: PlannedLevel) -> Part:
        chunk, plan = self.context.chunk, self.context.plan
        step, grid = level - chunk.level, plan.grid(level)
        width, height = source.content_px
        above = level - source.level
        content = Grid(width_px=-(-width >> above), height_px=-(-height >> above), tile_size_px=plan.tile_size_px)
        side = 1 << (chunk.block_levels - step)
        column = 0 if chunk.full_width else chunk.column * side
        columns = grid.columns if chunk.full_width else min(grid.columns - column, side)
        return Part(level=level, column=column, row=chunk.row * side, columns=columns, grid=grid, content=content)

    def _rows(self, block: Part) -> range:
        side = 1 << self.context.chunk.block_levels
        return range(block.row, min(block.grid.rows, block.row + side))

    def _spread(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Decode or encode on all cores of the worker. More threads than cores would only contend."""
        return self.context.spread(function, items, threads=min(self.context.threads, self.context.cores))

    def _completing(self, storage: Storage) -> Splicer:
        """What completes the level's JPEG tiles."""
        if self.splicer is None:
            self.splicer = Splicer(storage.prefix, (storage.tile_width_px, storage.tile_height_px))
        return self.splicer

    # -- what comes in -----------------------------------------------------------------------------------------------

    def _read(self) -> None:
        context = self.context

        def read(window: Window) -> list[tuple[TileRecord, bytes]]:
            view = context.read(window)
            return [
                (record, bytes(view[record.offset - window.start :][: record.size_bytes])) for record in window.records
            ]

        found, unreadable = context.windows()
        for part in context.spread(read, found):
            for record, data in part:
                self.stored.setdefault((record.column, record.row), {})[record.plane] = data
                self.records[record.column, record.row] = record
        for record, reason in unreadable if context.chunk.encodes else ():  # else the chunk that copies them says so
            self._note_bad(record, reason)

    def _note_bad(self, record: TileRecord, reason: str) -> None:
        """Keep a damaged segment once: it may belong to several blocks, and is listed by that of its first pixel."""
        chunk, storage = self.context.chunk, self.context.storage(record.level)
        side_px = self.context.plan.tile_size_px << chunk.block_levels
        column = 0 if chunk.full_width else record.column * storage.tile_width_px // side_px
        if (column, record.row * storage.tile_height_px // side_px) == (chunk.column, chunk.row):
            self.context.note_bad(record, reason)

    def _fill_from_pixels(self, block: Part, row: int, target: Pixels) -> None:
        half = block.grid.tile_size_px // 2

        def fetch(column: int) -> None:
            raw = self.context.work.get(pixels_key(self.context.job, block.level, column, row))
            at = (column - block.column) * half
            target[:, at : at + half] = pixels_of(raw, half)

        self.context.spread(fetch, range(block.column, block.column + block.columns))

    def _fill_halved(self, block: Part, row: int, target: Pixels) -> None:
        size, storage = block.grid.tile_size_px, self.context.storage(block.level)
        half = size // 2

        def decode(column: int) -> None:
            segment = self.stored.pop((column, row), None)
            if segment is None:
                return
            inside = block.content.inside_px(column, row)
            try:
                jpeg = self._completing(storage).complete(segment[0])
            except CorruptTileError:
                return  # the chunk that copies it says so
            try:
                # Beyond the slide's edge there are other pixels than those that may be averaged.
                whole = inside == (size, size)
                pixels = whole_jpeg(jpeg, (half, half) if whole else (0, 0))
            except CorruptTileError as error:
                self._note_bad(self.records[column, row], str(error))
                return
            at = (column - block.column) * half
            target[:, at : at + half] = pixels if whole else halved(extended(pixels, inside))

        self._spread(decode, range(block.column, block.column + block.columns))

    def _band(self, block: Part, row: int) -> Pixels:
        """Return one row of tiles, joined from the segments that it crosses; white where there are none."""
        size, storage = block.grid.tile_size_px, self.context.storage(block.level)
        band = white(size, block.columns * size)
        left, top = block.column * size, row * size

        def paste(place: Place) -> None:
            pixels = self._segment(storage, place, last_row_px=top + size)
            if pixels is not None:
                _paste(band, pixels, place[0] * storage.tile_width_px - left, place[1] * storage.tile_height_px - top)

        self._spread(paste, self._crossed(storage, block, row))
        return band

    def _crossed(self, storage: Storage, block: Part, row: int) -> Iterator[Place]:
        """Yield (column, row) of the segments that a row of the block's tiles crosses."""
        size = block.grid.tile_size_px
        width, height = block.content.width_px, block.content.height_px
        right, bottom = min((block.column + block.columns) * size, width), min((row + 1) * size, height)
        for segment_row in range(row * size // storage.tile_height_px, -(-bottom // storage.tile_height_px)):
            for column in range(block.column * size // storage.tile_width_px, -(-right // storage.tile_width_px)):
                yield column, segment_row

    def _segment(self, storage: Storage, place: Place, *, last_row_px: int) -> Pixels | None:
        """Return a decoded segment, kept for the next row if it reaches into it; None if it is sparse or damaged."""
        pixels = self.kept.pop(place) if place in self.kept else self._decoded(storage, place)
        if (place[1] + 1) * storage.tile_height_px > last_row_px:
            self.kept[place] = pixels
        return pixels

    def _decoded(self, storage: Storage, place: Place) -> Pixels | None:
        planes = self.stored.pop(place, {})
        if not planes:
            return None
        if not self.context.chunk.encodes and not _is_whole(storage, planes[0]):
            return None  # the chunk that cuts it says so
        try:
            if len(planes) < storage.planes:
                raise CorruptTileError("a plane of it is missing")
            stored = [planes[plane] for plane in range(storage.planes)]
            return decoded(storage, stored, place[1], self._completing(storage) if storage.is_jpeg else None)
        except CorruptTileError as error:
            self._note_bad(self.records[place], str(error))
            return None

    # -- what goes out -----------------------------------------------------------------------------------------------

    def _publish(self, level: int, column: int, row: int, pixels: Pixels, inside: tuple[int, int]) -> None:
        context = self.context
        if level == context.chunk.level and not context.chunk.encodes:
            return  # it was only needed to be halved
        context.check_time()
        chroma = self._source().storage.chroma  # type: ignore[union-attr]
        made = context.named(level, column, row, encoded(pixels, inside, chroma))
        with self.lock:
            self.pending.append(made)
            self.pending_bytes += len(made.jpeg)
            if self.pending_bytes < BATCH_BYTES:
                return
            batch, self.pending, self.pending_bytes = self.pending, [], 0
        self._flush(batch)

    def _flush(self, batch: list[Tile]) -> None:
        self.context.write(batch)

    def _hand_on(self, column: int, row: int, half: Pixels) -> None:
        level = self.context.chunk.level + self.context.chunk.downsampled_levels
        self.context.work.put(pixels_key(self.context.job, level, column, row), pixel_bytes(half))


def _is_whole(storage: Storage, stored: bytes) -> bool:
    """Tell whether a stored JPEG tile has all that who copies or cuts it looks for."""
    try:
        complete_tile(storage.prefix, stored)
    except CorruptTileError:
        return False
    return True


def _paste(band: Pixels, pixels: Pixels, left: int, top: int) -> None:
    """Put pixels into a band at (left, top), which may lie before its beginning; what reaches over its edges is cut."""
    height, width = band.shape[:2]
    x, y = max(0, left), max(0, top)
    right, bottom = min(width, left + pixels.shape[1]), min(height, top + pixels.shape[0])
    if x < right and y < bottom:
        band[y:bottom, x:right] = pixels[y - top : bottom - top, x - left : right - left]
