"""Subscribers of a job and notices of its ends: what every implementation of ports.Jobs promises of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.memory import MemoryJobs
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.model import Job, Problem, State, Subscriber
from chalicelib.core.jobs.transitions import cancelled, cleaned_up, failed, next_attempt, planning
from chalicelib.ports.jobs import Jobs
from tests.contracts.samples import a_job, an_ended_job

AtOnce = Callable[[list[Callable[[], Any]]], list[Any]]
ONE, TWO = Subscriber("https://one.example/", 1), Subscriber("https://two.example/", 1)
WRONG = Problem(code="truncated", message="it ends too early", hint="")
END = 1700000100.5
EVER = 1e12


@pytest.fixture(params=["memory", "dynamodb"])
def jobs(request: pytest.FixtureRequest) -> Jobs:
    if request.param == "memory":
        return MemoryJobs()
    return JobTable(request.getfixturevalue("dynamodb"), "jobs", stores_notifications=True)


def pending_notifications(jobs: Jobs) -> tuple[PendingNotification, ...]:
    return jobs.pending_notifications(before=EVER, limit=9)


def stored(jobs: Jobs, job: Job) -> Job:
    found = jobs.get(job.id)
    assert found is not None
    return found


def test_a_subscriber_is_added_to_a_live_job_and_no_move_forgets_it(jobs: Jobs) -> None:
    job = jobs.create(a_job())
    assert jobs.subscribe(job, ONE)
    assert stored(jobs, job) == replace(job, subscribers=(ONE,))
    started = planning(job, now=1700000001.0)  # by a worker that read the job before
    assert jobs.move(job, started)
    assert stored(jobs, job) == replace(started, subscribers=(ONE,))
    assert jobs.subscribe(stored(jobs, job), TWO)
    assert stored(jobs, job).subscribers == (ONE, TWO)
    assert pending_notifications(jobs) == ()


def test_of_two_subscribers_at_once_one_is_added_and_the_other_looks_again(jobs: Jobs, at_once: AtOnce) -> None:
    job = jobs.create(a_job())
    urls = [Subscriber(f"https://example.org/{number}", 1) for number in range(6)]
    assert sorted(at_once([lambda each=each: jobs.subscribe(job, each) for each in urls])) == [False] * 5 + [True]  # type: ignore[misc]
    assert len(stored(jobs, job).subscribers) == 1


def test_a_job_that_moved_on_is_looked_at_again_before_it_is_subscribed_to(jobs: Jobs) -> None:
    job = jobs.create(a_job(subscribers=(ONE,)))
    ended = cancelled(job, now=END, cleanup_at=END)
    assert jobs.move(job, ended)
    assert not jobs.subscribe(job, TWO)
    again = next_attempt(ended, ended.source, now=END + 1)
    assert jobs.move(ended, again)
    assert not jobs.subscribe(ended, TWO)
    assert not jobs.subscribe(a_job("unknown.svs"), ONE)
    assert stored(jobs, job).subscribers == (ONE,)


def test_a_move_that_ends_an_attempt_leaves_a_notice_and_no_other_does(jobs: Jobs) -> None:
    job = jobs.create(a_job())
    started = planning(job, now=1700000001.0)
    assert jobs.move(job, started)
    assert pending_notifications(jobs) == ()
    ended = failed(started, WRONG, now=END, cleanup_at=END)
    assert jobs.move(started, ended)
    assert pending_notifications(jobs) == (PendingNotification(job=job.id, attempt=1),)
    assert jobs.pending_notifications(before=END, limit=9) == ()
    jobs.acknowledge(pending_notifications(jobs)[0], subscribers=0)
    assert jobs.move(ended, cleaned_up(ended))
    assert pending_notifications(jobs) == ()


def test_an_end_that_lost_its_race_leaves_no_notice(jobs: Jobs) -> None:
    job = jobs.create(a_job())
    assert jobs.move(job, planning(job, now=1700000001.0))
    assert not jobs.move(job, cancelled(job, now=END, cleanup_at=END))
    assert pending_notifications(jobs) == ()


def test_each_attempt_has_its_notice_the_oldest_first(jobs: Jobs) -> None:
    job = jobs.create(a_job())
    ended = cancelled(job, now=END, cleanup_at=END)
    again = next_attempt(ended, ended.source, now=END + 1)
    ended_again = cancelled(again, now=END + 2, cleanup_at=END + 2)
    assert jobs.move(job, ended)
    assert jobs.move(ended, again)
    assert jobs.move(again, ended_again)
    assert pending_notifications(jobs) == (
        PendingNotification(job=job.id, attempt=1),
        PendingNotification(job=job.id, attempt=2),
    )
    assert jobs.pending_notifications(before=EVER, limit=1) == (PendingNotification(job=job.id, attempt=1),)
    jobs.acknowledge(PendingNotification(job=job.id, attempt=1), subscribers=0)
    jobs.acknowledge(PendingNotification(job=job.id, attempt=1), subscribers=0)
    assert pending_notifications(jobs) == (PendingNotification(job=job.id, attempt=2),)


def test_a_job_that_is_stored_as_ended_leaves_a_notice_once(jobs: Jobs) -> None:
    job = an_ended_job()
    assert jobs.create(job) == job
    assert pending_notifications(jobs) == (PendingNotification(job=job.id, attempt=1),)
    jobs.acknowledge(pending_notifications(jobs)[0], subscribers=0)
    assert jobs.create(replace(job, ended_at=END + 1, state=State.CANCELLED)) == job
    assert pending_notifications(jobs) == ()


def test_who_subscribes_to_what_has_ended_leaves_a_notice_again(jobs: Jobs) -> None:
    job = jobs.create(a_job(subscribers=(ONE,)))
    ended = cancelled(job, now=END, cleanup_at=END)
    assert jobs.move(job, ended)
    jobs.acknowledge(PendingNotification(job=job.id, attempt=1), subscribers=1)
    assert pending_notifications(jobs) == ()
    assert jobs.subscribe(stored(jobs, job), TWO)
    assert pending_notifications(jobs) == (PendingNotification(job=job.id, attempt=1),)


def test_a_notice_is_not_taken_by_who_did_not_know_the_last_subscriber(jobs: Jobs) -> None:
    job = jobs.create(a_job(subscribers=(ONE,)))
    ended = cancelled(job, now=END, cleanup_at=END)
    assert jobs.move(job, ended)
    assert jobs.subscribe(ended, TWO)
    jobs.acknowledge(PendingNotification(job=job.id, attempt=1), subscribers=1)
    assert pending_notifications(jobs) == (PendingNotification(job=job.id, attempt=1),)
    jobs.acknowledge(PendingNotification(job=job.id, attempt=1), subscribers=2)
    assert pending_notifications(jobs) == ()
