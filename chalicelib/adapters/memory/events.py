"""The lines of jobs in memory."""

from bisect import insort
from itertools import count

from chalicelib.adapters.cursors import checked_event_place, event_place
from chalicelib.core.jobs.events import Event
from chalicelib.ports.events import EventPage


class MemoryEvents:
    """ports.Events as lists."""

    def __init__(self) -> None:
        self._number = count()
        self._lines: dict[str, list[tuple[str, Event]]] = {}

    def append(self, event: Event) -> None:
        place = event_place(event.at, next(self._number), "0" * 8)
        insort(self._lines.setdefault(event.job, []), (place, event), key=lambda line: line[0])

    def list(self, job_id: str, *, after: str | None, limit: int) -> EventPage:
        behind = checked_event_place(after)
        waiting = [line for line in self._lines.get(job_id, []) if line[0] > behind]
        page = waiting[:limit]
        return EventPage(
            events=tuple(event for _, event in page),
            cursor=page[-1][0] if page else after,
            is_end=len(page) == len(waiting),
        )

    def trim(self, job_id: str, *, keep: int) -> None:
        self._lines[job_id] = self._lines.get(job_id, [])[-keep:]
