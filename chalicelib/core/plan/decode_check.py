"""A look at a few stored pieces before work begins: what no decoder here takes is refused at once, not tile by tile."""

from collections.abc import Callable, Iterator
from itertools import islice

from chalicelib.core.errors import CorruptTileError, UnsupportedError
from chalicelib.core.geometry import Grid
from chalicelib.core.imaging.decode import decoded
from chalicelib.core.imaging.encoding import MAX_SEGMENT_BYTES, storage_of
from chalicelib.core.plan.pyramid import Pyramid, segments_of
from chalicelib.core.tiff.directory import Ifd

LOOKS = 3


def check_decoding(pyramid: Pyramid, read: Callable[[int, int], bytes], *, size_bytes: int) -> None:
    """Decode the first stored piece of the base; if it fails, the middle and the last one, since one may be damaged.

    `read(start, stop)` gives bytes of the file. Raises UnsupportedError if none of them can be decoded.
    """
    base = pyramid.levels[0]
    ifd = base.ifd
    assert ifd is not None
    storage = storage_of(ifd)
    reason = "all of it lies behind the end of the file"
    for column, row, index in _looks(ifd, base.grid, size_bytes):
        indices = [index + plane * ifd.segment_columns * ifd.segment_rows for plane in range(ifd.planes)]
        try:
            planes = [_read(ifd.offsets[each], ifd.byte_counts[each], read) for each in indices]
            decoded(storage, planes, row)
        except CorruptTileError as error:
            reason = f"tile ({column}, {row}): {error}"
            continue
        return
    raise UnsupportedError(
        f"image {ifd.index} of the TIFF ({ifd.width_px} x {ifd.height_px} px, {ifd.compression_name}) cannot be"
        f" decoded: {reason}"
    )


def _looks(ifd: Ifd, grid: Grid, size_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Yield (column, row, index) of the first stored piece, and of others spread over the image."""

    def stored() -> Iterator[tuple[int, int, int]]:
        for column, row, plane, index in segments_of(ifd, grid):
            count = ifd.byte_counts[index]
            if plane == 0 and count and ifd.offsets[index] + count <= size_bytes:
                yield column, row, index

    yield from islice(stored(), 1)
    # Counted, not kept: there are hundreds of thousands, and seldom is a second look needed.
    last = sum(1 for _ in stored()) - 1
    for step in range(1, LOOKS if last >= 0 else 0):
        place = last * step // (LOOKS - 1)
        yield from islice(stored(), place, place + 1)


def _read(offset: int, size_bytes: int, read: Callable[[int, int], bytes]) -> bytes:
    if size_bytes > MAX_SEGMENT_BYTES:
        raise CorruptTileError(f"it is stored in {size_bytes} bytes")
    return read(offset, offset + size_bytes)
