"""The events of jobs in memory."""

from bisect import insort
from itertools import count

from chalicelib.adapters.cursors import checked_event_cursor, event_cursor
from chalicelib.core.jobs.events import Event
from chalicelib.ports.events import EventPage


class MemoryEvents:
    """ports.Events as lists."""

    def __init__(self) -> None:
        self._number = count()
        # Job id -> (cursor, event).
        self._events: dict[str, list[tuple[str, Event]]] = {}

    def append(self, event: Event) -> None:
        cursor = event_cursor(event.at, next(self._number), "0" * 8)
        insort(self._events.setdefault(event.job, []), (cursor, event), key=lambda each: each[0])

    def list(self, job_id: str, *, after: str | None, limit: int) -> EventPage:
        start = checked_event_cursor(after)
        remaining = [each for each in self._events.get(job_id, []) if each[0] > start]
        page = remaining[:limit]
        return EventPage(
            events=tuple(event for _, event in page),
            cursor=page[-1][0] if page else after,
            is_end=len(page) == len(remaining),
        )

    def trim(self, job_id: str, *, keep: int) -> None:
        self._events[job_id] = self._events.get(job_id, [])[-keep:]
