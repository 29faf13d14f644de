"""A sync over a prefix of 100 000 keys: bounded memory, bounded invocations, and no page is listed twice."""

import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.memory import MemoryClock, MemorySyncs
from chalicelib.core.errors import NoSuchSessionError
from chalicelib.core.jobs.model import Job, Options, State
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.sync import Entry, Sync, new_sync
from chalicelib.ports.slides import Listing
from chalicelib.steps import sync as steps
from tests.contracts.samples import COLLECTION, a_job

PER_SESSION = 250
PAGES_PER_MINUTE = 100
ONE = a_job()


class Keys:
    """A bucket of `count` slides in sessions of 250. Slides are generated; each page takes a second."""

    def __init__(self, count: int, clock: MemoryClock) -> None:
        self.count, self._clock = count, clock
        self.listed = 0

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        self._clock.advance(1)
        first = 0 if cursor is None else int(cursor)
        assert first == self.listed  # continues where the previous page ended
        self.listed += limit
        last = min(first + limit, self.count)
        objects = tuple(source(bucket, number) for number in range(first, last))
        return Listing(objects=objects, cursor=None if last == self.count else str(last))

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        return source(bucket, int(key.rsplit("/", 1)[-1].removesuffix(".svs"))), b"I"


def source(bucket: str, number: int) -> Source:
    key = f"{COLLECTION}/{number // PER_SESSION:024x}/{number:06d}.svs"
    return Source(bucket=bucket, key=key, etag=f'"{number}"', size_bytes=1, version_id=None, last_modified_at=1.0)


class Shown:
    """An archive that shows every slide of every session, or none."""

    def __init__(self, count: int, *, is_shown: bool) -> None:
        self.count, self.is_shown = count, is_shown
        self.looks = 0

    def shown_slides(self, session: str) -> Mapping[str, str]:
        self.looks += 1
        if not self.is_shown:
            raise NoSuchSessionError(session)
        first = int(session, 16) * PER_SESSION
        numbers = range(first, min(first + PER_SESSION, self.count))
        return {source("slides", number).slide: f"{number:032x}" for number in numbers}

    def shows(self, job: Job) -> bool:
        return False


class Published:
    """A table with the jobs of the shown slides."""

    def get(self, job_id: str) -> Job | None:
        if job_id[:20].strip("0"):
            return None
        return replace(ONE, id=job_id, source=source("slides", int(job_id, 16)), state=State.DONE)


class Counting(MemorySyncs):
    """A store that counts entries and does not store them."""

    entries = 0

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        self.entries += len(entries)


def synced(count: int, *, is_shown: bool) -> tuple[Sync, Counting, int]:
    """Sync `count` keys, with an invocation per minute. Returns the sync, the store, and the number of minutes."""
    clock = MemoryClock(100.0)
    bucket, archive, syncs = Keys(count, clock), Shown(count, is_shown=is_shown), Counting()
    # They implement only the methods that a sync calls.
    ports: dict[str, Any] = {
        "slides": bucket, "jobs": Published(), "archive": archive, "syncs": syncs, "clock": clock,
    }  # fmt: skip
    sync = syncs.create(new_sync("slides", "", None, Options(), now=clock.now()))
    minutes = 0
    while sync.is_live:
        minutes += 1
        clock.remaining = steps.RESERVE_SECONDS + PAGES_PER_MINUTE - 0.5
        steps.work(sync, lambda *_: ONE, **ports)
        (sync,) = [*syncs.latest(live=True, limit=1), *syncs.latest(live=False, limit=1)]
    # A session is read when keys reach it and when its missing slides are searched, not for each page.
    assert archive.looks <= 2 * -(-count // PER_SESSION) + minutes
    return sync, syncs, minutes


@pytest.mark.no_cover  # it repeats the same lines
def test_hundred_thousand_keys_are_listed_once() -> None:
    sync, syncs, minutes = synced(100_000, is_shown=False)
    assert (sync.counts.added, syncs.entries, sync.is_live) == (100_000, 100_000, False)
    # One more minute searches for slides whose objects are gone.
    assert minutes == 100_000 // steps.PAGE // PAGES_PER_MINUTE + 1


def peak_bytes(count: int, *, is_shown: bool) -> int:
    tracemalloc.start()
    try:
        sync, *_ = synced(count, is_shown=is_shown)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (sync.counts.present if is_shown else sync.counts.added) == count
    return peak


@pytest.mark.parametrize("is_shown", [False, True], ids=["new slides", "slides that are shown"])
def test_sync_memory_is_independent_of_key_count(is_shown: bool) -> None:
    peak_bytes(200, is_shown=is_shown)  # fills the caches
    assert peak_bytes(5_000, is_shown=is_shown) < 1.2 * peak_bytes(500, is_shown=is_shown)
