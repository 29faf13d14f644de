"""A file of which only the blocks that are looked at are fetched.

A TIFF's directories and offset tables lie anywhere between gigabytes of tiles, and its reader asks for a few bytes at
a time. Over whole blocks that are kept, the header of a slide costs a handful of range requests.
"""

import io
from collections.abc import Callable

from chalicelib.core.errors import LimitError

BLOCK_BYTES = 512 * 1024
# Offset tables of the largest slide that is taken fill less; what asks for more is a damaged or hostile header.
BUDGET_BYTES = 128 * 1024 * 1024


class BlockStream(io.RawIOBase):
    """A seekable, read-only binary file over `fetch(start, stop) -> bytes` of an object of `size_bytes`.

    Reads past the end are short, as with any file; `ended_early` remembers that one was asked for. Raises LimitError
    after more than `budget_bytes` were fetched, and the errors of `fetch`.
    """

    def __init__(
        self,
        fetch: Callable[[int, int], bytes],
        size_bytes: int,
        *,
        block_bytes: int = BLOCK_BYTES,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        super().__init__()
        self._fetch = fetch
        self._size_bytes = size_bytes
        self._block_bytes = block_bytes
        self._budget_bytes = budget_bytes
        self._blocks: dict[int, bytes] = {}
        self._position = 0
        self.requests = 0
        self.fetched_bytes = 0
        self.ended_early = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise OSError(f"cannot seek to {start + offset}, before the start of the file")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        start = min(self._position, self._size_bytes)
        wanted = self._size_bytes - start if size is None or size < 0 else size
        stop = min(start + wanted, self._size_bytes)
        if stop - start < wanted:
            self.ended_early = True
        self._load(start, stop)
        self._position += stop - start
        return self._joined(start, stop)

    def _load(self, start: int, stop: int) -> None:
        if start >= stop:
            return
        first, last = start // self._block_bytes, (stop - 1) // self._block_bytes
        missing = [number for number in range(first, last + 1) if number not in self._blocks]
        while missing:
            run = 1
            while run < len(missing) and missing[run] == missing[0] + run:
                run += 1
            self._load_run(missing[0], run)
            missing = missing[run:]

    def _load_run(self, first: int, count: int) -> None:
        start = first * self._block_bytes
        stop = min((first + count) * self._block_bytes, self._size_bytes)
        if self.fetched_bytes + stop - start > self._budget_bytes:
            raise LimitError(f"the header asks for more than {self._budget_bytes >> 20} MiB")
        data = self._fetch(start, stop)
        self.requests += 1
        self.fetched_bytes += len(data)
        for number in range(count):
            self._blocks[first + number] = data[number * self._block_bytes : (number + 1) * self._block_bytes]

    def _joined(self, start: int, stop: int) -> bytes:
        pieces = []
        while start < stop:
            number, offset = divmod(start, self._block_bytes)
            piece = self._blocks[number][offset : offset + stop - start]
            if not piece:
                break
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)
