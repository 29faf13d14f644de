"""A `make` chunk: decodes a block of a level. Tiles that cannot be copied are re-encoded, and coarser levels that the
file does not contain are downsampled. One row of tiles at a time is in memory as pixels."""

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

# The (column, row) of a stored tile or strip.
Position = tuple[int, int]


def make(context: ChunkContext) -> None:
    """Decode the block of a chunk and store its re-encoded and downsampled tiles."""
    _Block(context).run()


@dataclass(slots=True)
class _Block:
    """The block of a chunk while it is processed. A segment is a stored tile or strip."""

    context: ChunkContext
    # The bytes of segments that are not decoded yet, by plane.
    segments: dict[Position, dict[int, bytes]] = field(default_factory=dict)
    records: dict[Position, TileRecord] = field(default_factory=dict)
    # Decoded segments that reach into the next row of tiles. None: sparse or damaged.
    decoded: dict[Position, Pixels | None] = field(default_factory=dict)
    # Tiles that are not written yet, and their size.
    pending: list[Tile] = field(default_factory=list)
    pending_bytes: int = 0
    lock: Lock = field(default_factory=Lock)
    splicer: Splicer | None = None

    def run(self) -> None:
        """Process the block row by row."""
        chunk = self.context.chunk
        source = self._source()
        is_halved = self._is_halved_by_decoder(source)
        first = chunk.level + 1 if chunk.from_pixels or is_halved else chunk.level
        parts = [self._part(level, source) for level in range(first, chunk.level + chunk.downsampled_levels + 1)]
        bands = Bands(parts, self._publish, self._run_on_cores, self._store_pixels if chunk.hands_on else None)
        if not chunk.from_pixels:
            self._read()
        block = self._part(chunk.level, source)
        for row in self._rows(block):
            if chunk.from_pixels:
                bands.add_halves(0, lambda target, row=row: self._fill_from_pixels(block, row, target))  # type: ignore[misc]
            elif is_halved:
                bands.add_halves(0, lambda target, row=row: self._fill_halved(block, row, target))  # type: ignore[misc]
            else:
                bands.add(self._band(block, row))
        bands.finish()
        self._flush(self.pending)

    # -- geometry of the block ---------------------------------------------------------------------------------------

    def _source(self) -> PlannedLevel:
        """Return the stored level from which this chunk, or an earlier stage, decodes its pixels."""
        return [
            level for level in self.context.plan.levels[: self.context.chunk.level + 1] if level.storage is not None
        ][-1]

    def _is_halved_by_decoder(self, source: PlannedLevel) -> bool:
        """Return whether the JPEG decoder can halve the stored tiles.

        They must have the size of published tiles, and only their half size is needed.
        """
        chunk, storage, size = self.context.chunk, source.storage, self.context.plan.tile_size_px
        assert storage is not None
        has_same_grid = storage.tile_width_px == storage.tile_height_px == size and storage.is_tiled
        return not chunk.encodes and not chunk.from_pixels and storage.is_jpeg and has_same_grid

    def _part(self, level: int, source: PlannedLevel) -> Part:
        """Return the part of a level that the block covers."""
        chunk, plan = self.context.chunk, self.context.plan
        step, grid = level - chunk.level, plan.grid(level)
        width, height = source.content_px
        shift = level - source.level
        content = Grid(width_px=-(-width >> shift), height_px=-(-height >> shift), tile_size_px=plan.tile_size_px)
        side = 1 << (chunk.block_levels - step)
        column = 0 if chunk.full_width else chunk.column * side
        columns = grid.columns if chunk.full_width else min(grid.columns - column, side)
        return Part(level=level, column=column, row=chunk.row * side, columns=columns, grid=grid, content=content)

    def _rows(self, block: Part) -> range:
        side = 1 << self.context.chunk.block_levels
        return range(block.row, min(block.grid.rows, block.row + side))

    def _run_on_cores(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Return the results of a function that decodes or encodes. Uses one thread for each core."""
        return self.context.run_parallel(function, items, threads=min(self.context.threads, self.context.cores))

    def _splicer(self, storage: Storage) -> Splicer:
        """Return the splicer that completes the JPEG tiles of the level."""
        if self.splicer is None:
            self.splicer = Splicer(storage.prefix, (storage.tile_width_px, storage.tile_height_px))
        return self.splicer

    # -- input -------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read all segments of the block."""
        context = self.context

        def read(window: Window) -> list[tuple[TileRecord, bytes]]:
            view = context.read(window)
            return [
                (record, bytes(view[record.offset - window.start :][: record.size_bytes])) for record in window.records
            ]

        windows, unreadable = context.windows()
        for segments in context.run_parallel(read, windows):
            for record, data in segments:
                self.segments.setdefault((record.column, record.row), {})[record.plane] = data
                self.records[record.column, record.row] = record
        # Without re-encoding, the chunk that copies the tiles records damaged ones.
        for record, reason in unreadable if context.chunk.encodes else ():
            self._record_bad_tile(record, reason)

    def _record_bad_tile(self, record: TileRecord, reason: str) -> None:
        """Record a damaged segment if its first pixel is in this block. Other blocks may contain it as well."""
        chunk, storage = self.context.chunk, self.context.storage(record.level)
        side_px = self.context.plan.tile_size_px << chunk.block_levels
        column = 0 if chunk.full_width else record.column * storage.tile_width_px // side_px
        if (column, record.row * storage.tile_height_px // side_px) == (chunk.column, chunk.row):
            self.context.record_bad_tile(record, reason)

    def _fill_from_pixels(self, block: Part, row: int, target: Pixels) -> None:
        """Fill a half band with a row of halved tiles that the previous stage has stored.

        `target` has the shape (tile size / 2, columns of the coarser level * tile size, 3).
        """
        half = block.grid.tile_size_px // 2

        def fetch(column: int) -> None:
            raw = self.context.work.get(pixels_key(self.context.job, block.level, column, row))
            left = (column - block.column) * half
            target[:, left : left + half] = pixels_of(raw, half)

        self.context.run_parallel(fetch, range(block.column, block.column + block.columns))

    def _fill_halved(self, block: Part, row: int, target: Pixels) -> None:
        """Fill a half band with a row of tiles that the JPEG decoder halves. `target` as in `_fill_from_pixels`."""
        size, storage = block.grid.tile_size_px, self.context.storage(block.level)
        half = size // 2

        def decode(column: int) -> None:
            segment = self.segments.pop((column, row), None)
            if segment is None:
                return
            inside = block.content.inside_px(column, row)
            try:
                jpeg = self._splicer(storage).complete(segment[0])
            except CorruptTileError:
                return  # the chunk that copies the tile records it
            try:
                # The decoder may halve inner tiles only. Pixels outside of the slide must not be averaged.
                is_inner = inside == (size, size)
                pixels = whole_jpeg(jpeg, (half, half) if is_inner else (0, 0))
            except CorruptTileError as error:
                self._record_bad_tile(self.records[column, row], str(error))
                return
            left = (column - block.column) * half
            target[:, left : left + half] = pixels if is_inner else halved(extended(pixels, inside))

        self._run_on_cores(decode, range(block.column, block.column + block.columns))

    def _band(self, block: Part, row: int) -> Pixels:
        """Return one row of tiles, of shape (tile size, columns * tile size, 3), pasted from its segments.

        Missing segments are white.
        """
        size, storage = block.grid.tile_size_px, self.context.storage(block.level)
        band = white(size, block.columns * size)
        left, top = block.column * size, row * size

        def paste(position: Position) -> None:
            pixels = self._segment(storage, position, last_row_px=top + size)
            if pixels is not None:
                x, y = position[0] * storage.tile_width_px - left, position[1] * storage.tile_height_px - top
                _paste(band, pixels, x, y)

        self._run_on_cores(paste, self._positions(storage, block, row))
        return band

    def _positions(self, storage: Storage, block: Part, row: int) -> Iterator[Position]:
        """Yield the positions of the segments that overlap a row of tiles."""
        size = block.grid.tile_size_px
        width, height = block.content.width_px, block.content.height_px
        right, bottom = min((block.column + block.columns) * size, width), min((row + 1) * size, height)
        for segment_row in range(row * size // storage.tile_height_px, -(-bottom // storage.tile_height_px)):
            for column in range(block.column * size // storage.tile_width_px, -(-right // storage.tile_width_px)):
                yield column, segment_row

    def _segment(self, storage: Storage, position: Position, *, last_row_px: int) -> Pixels | None:
        """Return a decoded segment, None if it is sparse or damaged. It is kept if it reaches into the next row."""
        pixels = self.decoded.pop(position) if position in self.decoded else self._decode(storage, position)
        if (position[1] + 1) * storage.tile_height_px > last_row_px:
            self.decoded[position] = pixels
        return pixels

    def _decode(self, storage: Storage, position: Position) -> Pixels | None:
        planes = self.segments.pop(position, {})
        if not planes:
            return None
        if not self.context.chunk.encodes and not _is_complete(storage, planes[0]):
            return None  # the chunk that cuts the tile records it
        try:
            if len(planes) < storage.planes:
                raise CorruptTileError("a plane is missing")
            stored = [planes[plane] for plane in range(storage.planes)]
            return decoded(storage, stored, position[1], self._splicer(storage) if storage.is_jpeg else None)
        except CorruptTileError as error:
            self._record_bad_tile(self.records[position], str(error))
            return None

    # -- output ------------------------------------------------------------------------------------------------------

    def _publish(self, level: int, column: int, row: int, pixels: Pixels, inside: tuple[int, int]) -> None:
        """Encode a tile and write it with the next batch."""
        context = self.context
        if level == context.chunk.level and not context.chunk.encodes:
            return  # another chunk copies or cuts this level
        context.check_time()
        chroma = self._source().storage.chroma  # type: ignore[union-attr]
        tile = context.tile(level, column, row, encoded(pixels, inside, chroma))
        with self.lock:
            self.pending.append(tile)
            self.pending_bytes += len(tile.jpeg)
            if self.pending_bytes < BATCH_BYTES:
                return
            batch, self.pending, self.pending_bytes = self.pending, [], 0
        self._flush(batch)

    def _flush(self, batch: list[Tile]) -> None:
        self.context.write(batch)

    def _store_pixels(self, column: int, row: int, half: Pixels) -> None:
        """Store a halved tile in the work bucket for the next stage."""
        level = self.context.chunk.level + self.context.chunk.downsampled_levels
        self.context.work.put(pixels_key(self.context.job, level, column, row), pixel_bytes(half))


def _is_complete(storage: Storage, stored: bytes) -> bool:
    """Return whether a stored JPEG tile can be completed. Other chunks check the same before they copy or cut it."""
    try:
        complete_tile(storage.prefix, stored)
    except CorruptTileError:
        return False
    return True


def _paste(band: Pixels, pixels: Pixels, left: int, top: int) -> None:
    """Copy pixels into a band at (left, top), which may be negative. Pixels outside of the band are omitted."""
    height, width = band.shape[:2]
    x, y = max(0, left), max(0, top)
    right, bottom = min(width, left + pixels.shape[1]), min(height, top + pixels.shape[0])
    if x < right and y < bottom:
        band[y:bottom, x:right] = pixels[y - top : bottom - top, x - left : right - left]
