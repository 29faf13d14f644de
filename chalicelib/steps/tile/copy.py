"""A `copy` chunk: copies stored JPEG tiles without decoding. Uses no codec and no numpy."""

from threading import Lock

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.jpeg import Splicer
from chalicelib.core.plan.chunks import TileRecord
from chalicelib.core.plan.read_windows import Window
from chalicelib.ports.archive import Tile
from chalicelib.steps.tile.chunk_context import ChunkContext


def copy(context: ChunkContext) -> None:
    """Copy the tiles of a chunk. Each becomes a complete JPEG file with the scan data of the source."""
    windows, unreadable = context.windows()
    replacements: list[Tile] = []
    for record, reason in unreadable:
        replacements += _replace_bad_tile(context, record, reason)
    context.write(replacements)
    window_copy = _WindowCopy(context)
    context.run_parallel(window_copy.copy, windows)


class _WindowCopy:
    """Copies windows on several threads, so that reading, completing and inserting run concurrently."""

    def __init__(self, context: ChunkContext) -> None:
        self._context = context
        self._splicers = {
            level.level: Splicer(level.storage.prefix, (level.storage.tile_width_px, level.storage.tile_height_px))
            for level in context.plan.levels
            if level.storage is not None
        }
        # One thread completes tiles while the others wait for the network. Hashing a tile releases the GIL, and with
        # two threads the switches for each tile take longer than the hashing.
        self._completion_lock = Lock()

    def copy(self, window: Window) -> None:
        """Read a window, complete its tiles and store them."""
        # The bytes of the window are freed before the insert, so that a thread holds them twice and not three times.
        self._context.write(self._completed(window))

    def _completed(self, window: Window) -> list[Tile]:
        stored = self._context.read(window)
        tiles: list[Tile] = []
        with self._completion_lock:
            for record in window.records:
                start = record.offset - window.start
                try:
                    jpeg = self._splicers[record.level].complete(stored[start : start + record.size_bytes])
                except CorruptTileError as error:
                    tiles += _replace_bad_tile(self._context, record, str(error))
                else:
                    tiles.append(self._context.tile(record.level, record.column, record.row, jpeg))
        return tiles


def _replace_bad_tile(context: ChunkContext, record: TileRecord, reason: str) -> list[Tile]:
    context.record_bad_tile(record, reason)
    return context.replacement_tiles(record.level, record.column, record.row)
