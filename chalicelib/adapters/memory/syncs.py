"""The syncs in memory."""

from collections.abc import Sequence
from threading import RLock

from chalicelib.adapters.memory.before import BeforeWrite, do_nothing
from chalicelib.core.jobs.sync import Entry, Sync


class MemorySyncs:
    """ports.Syncs as dictionaries."""

    def __init__(self, *, before_write: BeforeWrite = do_nothing) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._syncs: dict[str, Sync] = {}
        self._pages: dict[tuple[str, int, int], tuple[Entry, ...]] = {}

    def create(self, sync: Sync) -> Sync:
        self._before_write("create sync")
        with self._lock:
            return self._syncs.setdefault(sync.id, sync)

    def get(self, sync_id: str) -> Sync | None:
        return self._syncs.get(sync_id)

    def move(self, was: Sync, now: Sync) -> bool:
        self._before_write("move sync")
        with self._lock:
            stored = self._syncs.get(was.id)
            if stored is None or (stored.run, stored.pages, stored.ended_at) != (was.run, was.pages, was.ended_at):
                return False
            self._syncs[now.id] = now
            return True

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        self._before_write("page of a sync")
        self._pages[sync.id, sync.run, sync.pages] = tuple(entries)

    def page(self, sync: Sync, number: int) -> tuple[Entry, ...]:
        return self._pages.get((sync.id, sync.run, number), ())

    def latest(self, *, live: bool, limit: int) -> tuple[Sync, ...]:
        found = [sync for sync in self._syncs.values() if sync.is_live is live]
        return tuple(sorted(found, key=lambda sync: -sync.updated_at)[:limit])
