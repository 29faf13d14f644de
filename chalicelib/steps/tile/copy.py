"""A chunk of stored tiles that are passed through: read in windows, completed, stored. No codec, no numpy."""

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.jpeg import Splicer
from chalicelib.core.window import Window
from chalicelib.ports import Tile
from chalicelib.steps.tile.hand import Hand


def copy(hand: Hand) -> None:
    """Store the chunk's tiles as they are in the file, each a JPEG file of its own."""
    splicers = {
        level.level: Splicer(level.storage.prefix, (level.storage.tile_width_px, level.storage.tile_height_px))
        for level in hand.plan.levels
        if level.storage is not None
    }

    def copy_window(window: Window) -> None:
        view = hand.read(window)
        tiles: list[Tile] = []
        for record in window.records:
            start = record.offset - window.start
            try:
                jpeg = splicers[record.level].complete(view[start : start + record.size_bytes])
            except CorruptTileError as error:
                hand.note_bad(record, str(error))
                tiles += hand.stand_in(record.level, record.column, record.row)
                continue
            tiles.append(hand.named(record.level, record.column, record.row, jpeg))
        hand.write(tiles)

    found, unreadable = hand.windows()
    lost: list[Tile] = []
    for record, reason in unreadable:
        hand.note_bad(record, reason)
        lost += hand.stand_in(record.level, record.column, record.row)
    hand.write(lost)
    hand.spread(copy_window, found)
