"""The history of jobs."""

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.jobs.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Lines of a job, the newest last. `cursor` is the place behind the last of them, None before the first;
    `is_end` tells that there are no more by now."""

    events: tuple[Event, ...]
    cursor: str | None
    is_end: bool


class Events(Protocol):
    """What happened to each job, line by line. Lines go by themselves after some months."""

    def append(self, event: Event) -> None:
        """Keep a line: one write. The lines of a process stay in their order, also of one instant."""

    def list(self, job_id: str, *, after: str | None, limit: int) -> EventPage:
        """Return up to `limit` lines of a job behind the place `after`; None: from the first that is kept.

        Raises InvalidRequestError for what is no cursor.
        """

    def trim(self, job_id: str, *, keep: int) -> None:
        """Drop all lines of a job but the newest `keep`."""
