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


def crop(context: ChunkContext) -> None:
    """Store the pieces of the chunk's tiles that lie inside their level."""

    def cut_window(window: Window) -> None:
        view = context.read(window)
        for record in window.records:
            start = record.offset - window.start
            context.write(_pieces(context, record, view[start : start + record.size_bytes]))

    found, unreadable = context.windows()
    for record, reason in unreadable:
        context.write(_lost(context, record, reason))
    context.spread(cut_window, found)


def _pieces(context: ChunkContext, record: TileRecord, stored: memoryview) -> list[Tile]:
    context.check_time()
    storage = context.storage(record.level)
    places = list(_places(context, record))
    try:
        whole = Splicer(storage.prefix, (storage.tile_width_px, storage.tile_height_px)).complete(stored)
        parts = cut_jpeg(whole, [region for _, _, region in places])
        # The library writes colour markers of its own.
        own = Splicer(colour_prefix(whole))
        jpegs = [own.complete(part) for part in parts]
    except CorruptTileError as error:
        return _lost(context, record, str(error))
    return [
        context.named(record.level, column, row, jpeg) for (column, row, _), jpeg in zip(places, jpegs, strict=True)
    ]


def _places(context: ChunkContext, record: TileRecord) -> Iterator[TileRequest]:
    """Yield (column, row, region of the stored tile) of the published tiles that are cut from it."""
    storage, size, grid = context.storage(record.level), context.plan.tile_size_px, context.plan.grid(record.level)
    across, down = storage.tile_width_px // size, storage.tile_height_px // size
    for y in range(down):
        for x in range(across):
            column, row = record.column * across + x, record.row * down + y
            if column < grid.columns and row < grid.rows:
                yield column, row, (x * size, y * size, size, size)


def _lost(context: ChunkContext, record: TileRecord, reason: str) -> list[Tile]:
    context.note_bad(record, reason)
    return [tile for column, row, _ in _places(context, record) for tile in context.stand_in(record.level, column, row)]
