"""How a run of tiles is read: few large requests, in the order of the file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chalicelib.core.plan.chunks import TileRecord

WINDOW_BYTES = 4 * 1024 * 1024
# Reading over a small gap is cheaper than another request: 30 ms against 0.7 ms for 64 KiB on S3.
GAP_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Bytes `start` to `stop` (exclusive) of the source, read by one request, and the tiles in them."""

    start: int
    stop: int
    records: tuple[TileRecord, ...]


def windows(records: Sequence[TileRecord]) -> Iterator[Window]:
    """Yield the windows that cover `records`, which come in the order of their offsets.

    A window ends before it would grow over WINDOW_BYTES or bridge more than GAP_BYTES; a larger tile is one window.
    """
    run: list[TileRecord] = []
    start = stop = 0
    for record in records:
        end = record.offset + record.size_bytes
        if run and (record.offset - stop > GAP_BYTES or max(stop, end) - start > WINDOW_BYTES):
            yield Window(start=start, stop=stop, records=tuple(run))
            run = []
        if not run:
            start, stop = record.offset, end
        run.append(record)
        stop = max(stop, end)
    if run:
        yield Window(start=start, stop=stop, records=tuple(run))
