"""A chunk of stored tiles that are passed through: read in windows, completed, stored. No codec, no numpy."""

from threading import Lock

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.jpeg import Splicer
from chalicelib.core.plan.chunks import TileRecord
from chalicelib.core.plan.read_windows import Window
from chalicelib.ports.archive import Tile
from chalicelib.steps.tile.chunk_context import ChunkContext


def copy(context: ChunkContext) -> None:
    """Store the chunk's tiles as they are in the file, each a JPEG file of its own."""
    found, unreadable = context.windows()
    lost: list[Tile] = []
    for record, reason in unreadable:
        lost += _stand_in(context, record, reason)
    context.write(lost)
    window_copy = _WindowCopy(context)
    context.spread(window_copy.copy, found)


class _WindowCopy:
    """Copies windows on several threads, so that reading, completing and inserting go on side by side."""

    def __init__(self, context: ChunkContext) -> None:
        self._hand = context
        self._splicers = {
            level.level: Splicer(level.storage.prefix, (level.storage.tile_width_px, level.storage.tile_height_px))
            for level in context.plan.levels
            if level.storage is not None
        }
        # One thread completes tiles while the others wait for the network. Each tile's hash lets go of the interpreter:
        # with two at it they would pass it to and fro for every tile, which takes longer than the work.
        self._completing = Lock()

    def copy(self, window: Window) -> None:
        # The window itself is gone before its tiles are sent: a thread holds the bytes twice, not three times.
        self._hand.write(self._completed(window))

    def _completed(self, window: Window) -> list[Tile]:
        stored = self._hand.read(window)
        tiles: list[Tile] = []
        with self._completing:
            for record in window.records:
                start = record.offset - window.start
                try:
                    jpeg = self._splicers[record.level].complete(stored[start : start + record.size_bytes])
                except CorruptTileError as error:
                    tiles += _stand_in(self._hand, record, str(error))
                else:
                    tiles.append(self._hand.named(record.level, record.column, record.row, jpeg))
        return tiles


def _stand_in(context: ChunkContext, record: TileRecord, reason: str) -> list[Tile]:
    context.note_bad(record, reason)
    return context.stand_in(record.level, record.column, record.row)
