"""ETags of jobs and lists, and `Prefer: wait`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.memory import MemoryClock
from chalicelib.core.jobs.model import Job, State
from chalicelib.entrypoints.http.caching import MAX_WAIT_SECONDS
from tests.http.client import Call
from tests.world import World


class ActingClock(MemoryClock):
    """A clock that calls `act` after `seconds` of sleep."""

    def __init__(self, now: float, seconds: float, act: Callable[[], object]) -> None:
        super().__init__(now)
        self.slept, self.until, self.act = 0.0, seconds, act

    def sleep(self, seconds: float) -> None:
        before, self.slept = self.slept, self.slept + seconds
        super().sleep(seconds)
        if before < self.until <= self.slept:
            self.act()


@pytest.fixture
def job(world: World) -> Job:
    return world.submit()


def change_job(world: World, job: Job, **changes: Any) -> Job:
    """Change the stored job."""
    now = replace(world.job(job), **changes)
    assert world.memory_jobs.move(world.job(job), now)
    return now


def test_unchanged_status_is_not_sent_again(world: World, call: Call, job: Job) -> None:
    first = call("GET", f"/jobs/{job.id}")
    tag = first.headers["ETag"]
    again = call("GET", f"/jobs/{job.id}", If_None_Match=tag)
    assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", tag)
    change_job(world, job, state=State.PLANNING)
    changed = call("GET", f"/jobs/{job.id}", If_None_Match=tag)
    assert (changed.status_code, changed.json_body["state"]) == (200, "planning")
    assert changed.headers["ETag"] != tag


def test_passing_time_does_not_change_etag(world: World, call: Call, job: Job) -> None:
    change_job(world, job, state=State.TILING, tiles_total=10, tiles_done=5, tiling_at=world.clock.now())
    world.clock.advance(1)
    first = call("GET", f"/jobs/{job.id}")
    world.clock.advance(5)
    assert call("GET", f"/jobs/{job.id}", If_None_Match=first.headers["ETag"]).status_code == 304
    assert call("GET", f"/jobs/{job.id}").json_body["rate"] != first.json_body["rate"]


@pytest.mark.parametrize("form", ["{}", "*", '"other", {}', '{}, W/"x"'])
def test_if_none_match_accepts_lists_weak_tags_and_asterisk(call: Call, job: Job, form: str) -> None:
    tag = call("GET", f"/jobs/{job.id}").headers["ETag"]
    for each in (tag, tag.removeprefix("W/")):
        assert call("GET", f"/jobs/{job.id}", If_None_Match=form.format(each)).status_code == 304


@pytest.mark.parametrize("tag", ['"x"', "x", "", 'W/""', "W/*x", '"*"'])
def test_other_etags_do_not_match(call: Call, job: Job, tag: str) -> None:
    assert call("GET", f"/jobs/{job.id}", If_None_Match=tag).status_code == 200


def test_unchanged_page_of_jobs_is_not_sent_again(world: World, call: Call, job: Job) -> None:
    tag = call("GET", "/jobs").headers["ETag"]
    assert call("GET", "/jobs", If_None_Match=tag).status_code == 304
    assert call("GET", "/jobs?state=done", If_None_Match=tag).status_code == 200
    change_job(world, job, state=State.PLANNING)
    assert call("GET", "/jobs", If_None_Match=tag).status_code == 200


def test_prefer_wait_returns_when_job_ends(world: World, call: Call, job: Job) -> None:
    ended = lambda: change_job(world, job, state=State.CANCELLED, ended_at=world.clock.now())  # noqa: E731
    world.clock = clock = ActingClock(world.clock.now(), 3.0, ended)
    answer = call("GET", f"/jobs/{job.id}", Prefer="wait=10")
    assert (answer.json_body["state"], answer.headers["Preference-Applied"], clock.slept) == (
        "cancelled",
        "wait=10",
        3.0,
    )
    assert call("GET", f"/jobs/{job.id}", Prefer="wait=10").status_code == 200
    tag = answer.headers["ETag"]
    assert call("GET", f"/jobs/{job.id}", Prefer="wait=10", If_None_Match=tag).status_code == 304
    assert clock.slept == 3.0


def test_prefer_wait_with_etag_returns_on_change(world: World, call: Call, job: Job) -> None:
    tag = call("GET", f"/jobs/{job.id}").headers["ETag"]
    world.clock = clock = ActingClock(world.clock.now(), 2.0, lambda: change_job(world, job, state=State.PLANNING))
    answer = call("GET", f"/jobs/{job.id}", Prefer="respond-async, wait=10", If_None_Match=tag)
    assert (answer.status_code, answer.json_body["state"], clock.slept) == (200, "planning", 2.0)
    assert call("GET", f"/jobs/{job.id}", Prefer="wait=10", If_None_Match=tag).status_code == 200
    assert clock.slept == 2.0


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=7", 7),
        ('Wait = "7"', 7),
        ("wait=7; x=y", 7),
        ("wait=100000", MAX_WAIT_SECONDS),
        ("foo;wait=3,wait=5,wait=9", 5),
    ],
)
def test_prefer_wait_is_limited(world: World, call: Call, job: Job, prefer: str, seconds: int) -> None:
    world.clock = clock = ActingClock(world.clock.now(), 1e9, lambda: None)
    tag = call("GET", f"/jobs/{job.id}").headers["ETag"]
    answer = call("GET", f"/jobs/{job.id}", Prefer=prefer, If_None_Match=tag)
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (304, f"wait={seconds}")
    assert clock.slept == seconds


@pytest.mark.parametrize(
    "prefer", ["", "wait=0", "wait=-1", "wait", "wait=x", "return=minimal", "wait=1e3", "wait=\u00b2"]
)
def test_invalid_prefer_header_does_not_wait(world: World, call: Call, job: Job, prefer: str) -> None:
    world.clock = clock = ActingClock(world.clock.now(), 1e9, lambda: None)
    answer = call("GET", f"/jobs/{job.id}", Prefer=prefer)
    assert (answer.status_code, clock.slept) == (200, 0.0)
    assert "Preference-Applied" not in answer.headers


def test_prefer_wait_for_unknown_job_returns_at_once(world: World, call: Call) -> None:
    world.clock = clock = ActingClock(world.clock.now(), 1e9, lambda: None)
    assert call("GET", f"/jobs/{'0' * 32}", Prefer="wait=10").status_code == 404
    assert clock.slept == 0.0
