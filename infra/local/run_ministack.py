"""Start ministack with its state on disk and its ranged reads and long polls still fast.

Runs in the emulator's own venv, as a script: it may import nothing of this project. With
S3_PERSIST=1 ministack reads the whole object from disk for every ranged GET (measured for 300 MB:
154 ms a request, against 6 ms from memory), so the last big objects are kept in memory here. And
its long polls look for messages every 100 ms, where SQS answers at once: a job takes three turns.
"""

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

_BIG_BYTES = 1024 * 1024
_BIG_OBJECTS_KEPT = 2
_GRACE_SECONDS = 0.2


def keep_big_objects(
    read_body: Callable[[str, str, Mapping[str, Any]], bytes],
    path_of: Callable[[str, str], str | None],
) -> Callable[[str, str, Mapping[str, Any]], bytes]:
    """Return `read_body` with a memory for files that have not changed since they were read."""

    @functools.lru_cache(maxsize=_BIG_OBJECTS_KEPT)
    def read_file(path: str, changed_ns: int, size_bytes: int, inode: int) -> bytes:
        del changed_ns, size_bytes, inode
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()

    def read(bucket: str, key: str, entry: Mapping[str, Any]) -> bytes:
        path = path_of(bucket, key) if entry.get("body") is None else None
        try:
            status = os.stat(path) if path else None  # noqa: PTH116
        except OSError:
            status = None
        if path is None or status is None or status.st_size < _BIG_BYTES:
            return read_body(bucket, key, entry)
        return read_file(path, status.st_mtime_ns, status.st_size, status.st_ino)

    return read


class _Wakes(Protocol):
    def set(self) -> object: ...


class Doorbell:
    """Stands in for what ministack sets when a message is sent, and for the sleep of a long poll: the one ends the
    other. Messages are sent on any thread, polls sleep on the loop's."""

    def __init__(self, wakes: _Wakes) -> None:
        self._wakes = wakes
        self._sleepers: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        """Say that a message was sent."""
        self._wakes.set()
        for sleeper in tuple(self._sleepers):
            sleeper.get_loop().call_soon_threadsafe(_wake, sleeper)

    async def sleep(self, seconds: float) -> None:
        """Return when the time is up, or a message was sent."""
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait([sleeper], timeout=seconds)
        finally:
            self._sleepers.discard(sleeper)


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def main() -> None:
    """Run the emulator in the foreground."""
    from hypercorn.config import Config  # type: ignore[import-not-found]
    from ministack import app  # type: ignore[import-not-found]
    from ministack.services import s3, sqs  # type: ignore[import-not-found]

    sqs.esm_wake = bell = Doorbell(sqs.esm_wake)
    sqs.asyncio = SimpleNamespace(**{**vars(asyncio), "sleep": bell.sleep})
    s3._read_body = keep_big_objects(s3._read_body, s3._object_disk_path)
    # Long polls of workers that are gone already would hold up the end for 3 s.
    Config.graceful_timeout = _GRACE_SECONDS
    # Each of those polls would leave a page of traceback in the log when it is cancelled.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    app.main()


if __name__ == "__main__":
    main()
