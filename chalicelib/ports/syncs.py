"""Syncs and their reports."""

from collections.abc import Sequence
from typing import Protocol

from chalicelib.core.jobs.sync import Entry, Sync


class Syncs(Protocol):
    """The syncs and their reports. Pages of reports expire."""

    def create(self, sync: Sync) -> Sync:
        """Store a sync unless its id exists. Return the stored sync. Safe to retry."""

    def get(self, sync_id: str) -> Sync | None:
        """Return the sync (strongly consistent), None if it does not exist."""

    def move(self, was: Sync, now: Sync) -> bool:
        """Store `now` if the stored sync has the run, pages and end of `was`. Return whether it was stored.

        One conditional write.
        """

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        """Store page `sync.pages` of the report of a run. An existing page is replaced. Safe to retry."""

    def page(self, sync: Sync, number: int) -> tuple[Entry, ...]:
        """Return a page of the report of a run, empty if it does not exist or has expired."""

    def latest(self, *, live: bool, limit: int) -> tuple[Sync, ...]:
        """Return running syncs (`live`) or ended ones, the latest change first."""
