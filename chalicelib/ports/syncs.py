"""Syncs and their reports."""

from collections.abc import Sequence
from typing import Protocol

from chalicelib.core.jobs.sync import Entry, Sync


class Syncs(Protocol):
    """The syncs and their reports."""

    def create(self, sync: Sync) -> Sync:
        """Store a sync unless one with its id exists. Return the stored one."""

    def get(self, sync_id: str) -> Sync | None:
        """Return the sync as it stands (strongly consistent), None if there is none."""

    def move(self, was: Sync, now: Sync) -> bool:
        """Store `now` if the sync still is where `was` had it: same run, pages and end. One conditional write."""

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        """Keep the next page (`sync.pages`) of the report of a run. Storing it again replaces it."""

    def page(self, sync: Sync, number: int) -> tuple[Entry, ...]:
        """Return a page of a run's report; empty if there is none, or none any more."""

    def latest(self, *, live: bool, limit: int) -> tuple[Sync, ...]:
        """Return syncs that run, or that have ended; the latest change first."""
