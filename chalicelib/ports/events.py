"""The history of jobs."""

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.jobs.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A page of the events of a job, the newest last. `cursor` is the cursor of the next page, None before the first
    event. `is_end` is True if no more events exist now."""

    events: tuple[Event, ...]
    cursor: str | None
    is_end: bool


class Events(Protocol):
    """The events of jobs. They expire after some months."""

    def append(self, event: Event) -> None:
        """Store an event with one write. The events of a process keep their order."""

    def list(self, job_id: str, *, after: str | None, limit: int) -> EventPage:
        """Return up to `limit` events of a job after the cursor `after` (None: from the first).

        Raises InvalidRequestError for an invalid cursor.
        """

    def trim(self, job_id: str, *, keep: int) -> None:
        """Delete all events of a job except the newest `keep`."""
