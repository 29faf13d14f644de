"""A `crop` chunk: cuts larger stored JPEG tiles into published tiles without decoding. The stored size is a multiple of
the published size."""

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
    """Cut the stored tiles of a chunk and store the published tiles. Parts outside of the level are omitted."""

    def cut_window(window: Window) -> None:
        view = context.read(window)
        for record in window.records:
            start = record.offset - window.start
            context.write(_cut(context, record, view[start : start + record.size_bytes]))

    windows, unreadable = context.windows()
    for record, reason in unreadable:
        context.write(_replace_bad_tile(context, record, reason))
    context.run_parallel(cut_window, windows)


def _cut(context: ChunkContext, record: TileRecord, stored: memoryview) -> list[Tile]:
    """Return the published tiles that are cut from a stored tile."""
    context.check_time()
    storage = context.storage(record.level)
    requests = list(_requests(context, record))
    try:
        whole = Splicer(storage.prefix, (storage.tile_width_px, storage.tile_height_px)).complete(stored)
        parts = cut_jpeg(whole, [region for _, _, region in requests])
        # The library writes its own color markers. They are replaced by those of the source.
        splicer = Splicer(colour_prefix(whole))
        jpegs = [splicer.complete(part) for part in parts]
    except CorruptTileError as error:
        return _replace_bad_tile(context, record, str(error))
    return [
        context.tile(record.level, column, row, jpeg) for (column, row, _), jpeg in zip(requests, jpegs, strict=True)
    ]


def _requests(context: ChunkContext, record: TileRecord) -> Iterator[TileRequest]:
    """Yield (column, row, region of the stored tile) of the published tiles that are cut from a stored tile."""
    storage, size, grid = context.storage(record.level), context.plan.tile_size_px, context.plan.grid(record.level)
    across, down = storage.tile_width_px // size, storage.tile_height_px // size
    for y in range(down):
        for x in range(across):
            column, row = record.column * across + x, record.row * down + y
            if column < grid.columns and row < grid.rows:
                yield column, row, (x * size, y * size, size, size)


def _replace_bad_tile(context: ChunkContext, record: TileRecord, reason: str) -> list[Tile]:
    context.record_bad_tile(record, reason)
    return [
        tile
        for column, row, _ in _requests(context, record)
        for tile in context.replacement_tiles(record.level, column, row)
    ]
