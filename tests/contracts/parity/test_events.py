"""The lines of jobs are alike in memory and in DynamoDB."""

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, rule

from chalicelib.adapters.dynamodb.events import EventTable
from chalicelib.adapters.memory import MemoryEvents
from chalicelib.core.jobs.events import Event
from chalicelib.ports.events import EventPage, Events
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, Refusal, hold_parity
from tests.contracts.test_events_contract import JOB, OTHER
from tests.effort import few_or_all

JOBS = (JOB, OTHER)
Places = tuple[str | None, str | None]

jobs = st.sampled_from(JOBS)
lines = st.builds(
    Event,
    job=jobs,
    # Also twice the same one, and two that a place tells apart by their order only.
    at=st.sampled_from([0.0, 2.0, 1700000000.25, 1700000000.2500002, 1700000001.0]),
    attempt=st.integers(1, 2),
    event=st.sampled_from(["submitted", "chunk", "failed"]),
    worker=st.sampled_from(["", "w"]),
    request_id=st.none() | st.just("r"),
    chunk=st.none() | st.integers(0, 3),
    seconds=st.none() | st.just(0.25),
    message=st.none() | st.sampled_from(["", "ü"]),
)
limits = st.integers(1, 4)


class EventsAlike(Alike[Events]):
    places = Bundle("places")

    @rule(line=lines)
    def append(self, line: Event) -> None:
        self.both(lambda events: events.append(line))

    @rule(line=lines, lines_more=st.integers(24, 27))
    def append_more_than_a_batch(self, line: Event, lines_more: int) -> None:
        for _ in range(lines_more):
            self.append(line=line)

    @rule(target=places, job=jobs, limit=limits)
    def first_page(self, job: str, limit: int) -> Any:
        return self._page(job, (None, None), limit)

    @rule(target=places, job=jobs, after=places, limit=limits)
    def next_page(self, job: str, after: Places, limit: int) -> Any:
        return self._page(job, after, limit)

    @rule(job=jobs)
    def just_all(self, job: str) -> None:
        lines = self.both(lambda events: events.list(job, after=None, limit=1000), lambda page: page.events).events
        self._page(job, (None, None), len(lines) or 1)

    @rule(job=jobs, after=st.sampled_from(["", "x", "~", "0" * 17]), limit=limits)
    def page_of_nothing(self, job: str, after: str, limit: int) -> None:
        self._page(job, (after, after), limit)

    def _page(self, job: str, after: Places, limit: int) -> Any:
        def ask(events: Events) -> EventPage:
            return events.list(job, after=after[0] if events is self.memory else after[1], limit=limit)

        # The end of a place tells processes apart: each side's is its own.
        memory, real = self.each(ask, lambda page: (page.events, page.cursor and page.cursor[:-8], page.is_end))
        if isinstance(memory, Refusal) or isinstance(real, Refusal):
            return multiple()
        return memory.cursor, real.cursor

    @rule(job=jobs, keep=st.integers(1, 30))
    def trim(self, job: str, keep: int) -> None:
        self.both(lambda events: events.trim(job, keep=keep))

    def teardown(self) -> None:
        for job in JOBS:
            self._page(job, (None, None), 1000)
            self.just_all(job=job)


@few_or_all("examples", 5, 12)
def test_events_in_memory_and_in_dynamodb_are_alike(aws: Any, examples: int) -> None:
    client, tables = aws("dynamodb"), count()

    def machine() -> EventsAlike:
        machine, table = EventsAlike(), f"events-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real = MemoryEvents(), EventTable(client, table)
        return machine

    hold_parity(machine, examples=examples, steps=15)
