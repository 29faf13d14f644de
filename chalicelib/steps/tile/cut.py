"""A chunk of stored JPEG tiles that are larger than the published ones, by a whole factor: cut without decoding."""

from collections.abc import Iterator

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.jpeg import Splicer, colour_prefix
from chalicelib.core.imaging.lossless_crop import Region
from chalicelib.core.imaging.lossless_crop import cut as cut_jpeg
from chalicelib.core.plan.chunks import TileRecord
from chalicelib.core.plan.read_windows import Window
from chalicelib.ports.archive import Tile
from chalicelib.steps.tile.chunk_context import ChunkContext

TileRequest = tuple[int, int, Region]


def cut(hand: ChunkContext) -> None:
    """Store the pieces of the chunk's tiles that lie inside their level."""

    def cut_window(window: Window) -> None:
        view = hand.read(window)
        for record in window.records:
            start = record.offset - window.start
            hand.write(_pieces(hand, record, view[start : start + record.size_bytes]))

    found, unreadable = hand.windows()
    for record, reason in unreadable:
        hand.write(_lost(hand, record, reason))
    hand.spread(cut_window, found)


def _pieces(hand: ChunkContext, record: TileRecord, stored: memoryview) -> list[Tile]:
    hand.check_time()
    storage = hand.storage(record.level)
    places = list(_places(hand, record))
    try:
        whole = Splicer(storage.prefix, (storage.tile_width_px, storage.tile_height_px)).complete(stored)
        parts = cut_jpeg(whole, [region for _, _, region in places])
        # The library writes colour markers of its own.
        own = Splicer(colour_prefix(whole))
        jpegs = [own.complete(part) for part in parts]
    except CorruptTileError as error:
        return _lost(hand, record, str(error))
    return [hand.named(record.level, column, row, jpeg) for (column, row, _), jpeg in zip(places, jpegs, strict=True)]


def _places(hand: ChunkContext, record: TileRecord) -> Iterator[TileRequest]:
    """Yield (column, row, region of the stored tile) of the published tiles that are cut from it."""
    storage, size, grid = hand.storage(record.level), hand.plan.tile_size_px, hand.plan.grid(record.level)
    across, down = storage.tile_width_px // size, storage.tile_height_px // size
    for y in range(down):
        for x in range(across):
            column, row = record.column * across + x, record.row * down + y
            if column < grid.columns and row < grid.rows:
                yield column, row, (x * size, y * size, size, size)


def _lost(hand: ChunkContext, record: TileRecord, reason: str) -> list[Tile]:
    hand.note_bad(record, reason)
    return [tile for column, row, _ in _places(hand, record) for tile in hand.stand_in(record.level, column, row)]
