"""The lines of jobs: what every implementation of ports.Events promises."""

from typing import Any

import pytest

from chalicelib.adapters.dynamodb.events import EventTable
from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.memory import MemoryEvents
from chalicelib.core.errors import InvalidRequestError
from chalicelib.core.jobs.events import Event
from chalicelib.ports.events import Events
from tests.contracts.samples import a_record, a_tiling_job

JOB, OTHER = "0" * 32, "1" * 32


@pytest.fixture(params=["memory", "dynamodb"])
def events(request: pytest.FixtureRequest) -> Events:
    if request.param == "memory":
        return MemoryEvents()
    return EventTable(request.getfixturevalue("dynamodb"), "jobs")


def a_line(number: int, *, job: str = JOB, at: float | None = None) -> Event:
    return Event(job=job, at=1700000000.25 + number if at is None else at, attempt=1, event="chunk", chunk=number)


def chunks(events: Events, after: str | None = None, limit: int = 100) -> list[int | None]:
    return [event.chunk for event in events.list(JOB, after=after, limit=limit).events]


def test_a_line_comes_back_as_it_was_kept(events: Events) -> None:
    said = Event(
        job=JOB, at=1700000000.123456, attempt=3, event="failed", worker="2026/01/02/[$LATEST]0a", request_id="r", entrypoint="d",
        chunk=0, chunks=2, levels=5, tiles=7, tiles_bad=1, source_bytes=99, seconds=0.25,
        code="c", message="m é", hint="h",
    )  # fmt: skip
    events.append(said)
    least = Event(job=OTHER, at=2.0, attempt=1, event="submitted")
    events.append(least)
    assert events.list(JOB, after=None, limit=9).events == (said,)
    assert events.list(OTHER, after=None, limit=9).events == (least,)


def test_a_job_that_is_not_known_has_no_lines(events: Events) -> None:
    page = events.list(JOB, after=None, limit=9)
    assert (page.events, page.cursor, page.is_end) == ((), None, True)


def test_the_newest_line_stands_last_whoever_came_first(events: Events) -> None:
    for number in (3, 1, 2):
        events.append(a_line(number))
    assert chunks(events) == [1, 2, 3]


def test_lines_of_one_instant_stay_in_their_order(events: Events) -> None:
    for number in range(12):
        events.append(a_line(number, at=5.0))
    assert chunks(events) == list(range(12))


def test_pages_follow_one_another_and_the_last_says_so(events: Events) -> None:
    for number in range(4):
        events.append(a_line(number))
    first = events.list(JOB, after=None, limit=2)
    assert ([each.chunk for each in first.events], first.is_end) == ([0, 1], False)
    second = events.list(JOB, after=first.cursor, limit=2)
    assert ([each.chunk for each in second.events], second.is_end) == ([2, 3], True)
    nothing_yet = events.list(JOB, after=second.cursor, limit=2)
    assert (nothing_yet.events, nothing_yet.cursor, nothing_yet.is_end) == ((), second.cursor, True)
    events.append(a_line(9))
    assert chunks(events, after=nothing_yet.cursor) == [9]


@pytest.mark.parametrize("cursor", ["x", "~", "0" * 17, "1700000000.250000-00000000-0000000g"])
def test_what_is_no_cursor_is_refused(events: Events, cursor: str) -> None:
    with pytest.raises(InvalidRequestError):
        events.list(JOB, after=cursor, limit=2)


def test_the_newest_lines_are_kept(events: Events) -> None:
    for number in range(60):
        events.append(a_line(number))
    events.append(a_line(0, job=OTHER))
    events.trim(JOB, keep=60)
    assert len(chunks(events)) == 60
    events.trim(JOB, keep=3)
    assert chunks(events) == [57, 58, 59]
    events.trim(JOB, keep=3)
    assert chunks(events) == [57, 58, 59]
    assert len(events.list(OTHER, after=None, limit=9).events) == 1


def test_the_lines_of_a_job_stand_beside_its_chunks_and_are_not_taken_for_them(dynamodb: Any) -> None:
    jobs, events = JobTable(dynamodb, "jobs"), EventTable(dynamodb, "jobs")
    job = a_tiling_job()
    jobs.create(job)
    events.append(a_line(0, job=job.id))
    assert jobs.finish_chunk(job, a_record(1)) is not None
    assert [record.number for record in jobs.chunk_records(job)] == [1]
    assert [event.chunk for event in events.list(job.id, after=None, limit=9).events] == [0]
    assert jobs.list(state=None, session=None, cursor=None, limit=9).jobs == (jobs.get(job.id),)


def test_lines_go_after_some_months(dynamodb: Any) -> None:
    EventTable(dynamodb, "jobs").append(a_line(0))
    (item,) = dynamodb.scan(TableName="jobs")["Items"]
    assert item["expires_at"] == {"N": str(1700000000 + 90 * 24 * 3600)}


def test_many_pages_of_lines_are_read_to_the_end(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events = EventTable(dynamodb, "jobs")
    for number in range(7):
        events.append(a_line(number))
    real = dynamodb.query

    def in_small_pages(**request: Any) -> Any:
        return real(**{**request, "Limit": min(2, request["Limit"])})

    monkeypatch.setattr(dynamodb, "query", in_small_pages)
    assert chunks(events) == list(range(7))
    assert chunks(events, limit=5) == list(range(5))
