"""Rescue of silent jobs: their messages are sent again, and at last the job fails."""

from dataclasses import replace

import pytest

from chalicelib.adapters.memory import MemoryClock
from chalicelib.core.errors import PlanExpiredError, RetriesExhaustedError
from chalicelib.core.jobs.backoff import MAX_RESCUES
from chalicelib.core.jobs.model import Problem, State
from chalicelib.core.plan.messages import Message
from chalicelib.steps.rescue import BATCH, RESERVE_SECONDS, rescue, retries_exhausted, silent_jobs
from tests.steps.jobs import SLIDE, create_jobs, ports, world_with_tiling_job
from tests.world import World


@pytest.mark.parametrize("state", ["queued", "planning", "tiling", "finishing"])
def test_job_with_lost_messages_is_rescued(state: str) -> None:
    world = World()
    world.put(SLIDE)
    job = world.submit()
    steps = {"queued": 0, "planning": 0, "tiling": 1, "finishing": 1}[state]
    for _ in range(steps):
        world.deliver(world.memory_queue.sent.pop(0))
    if state == "finishing":
        while any(message.step == "tile" for message in world.memory_queue.sent):
            world.deliver(world.memory_queue.sent.pop(0))
    if state == "planning":
        from chalicelib.core.jobs.transitions import planning

        assert world.memory_jobs.move(job, planning(job, now=world.clock.now()))
    world.memory_queue.sent.clear()
    world.minute()
    assert world.memory_queue.sent == []  # not silent long enough yet
    world.clock.advance(91)
    world.minute()
    assert world.memory_queue.sent != []
    assert world.finish(job).state is State.DONE


def test_silent_finishing_job_is_finished_again() -> None:
    from chalicelib.core.jobs.transitions import finishing

    world, job = world_with_tiling_job()
    while any(message.step == "tile" for message in world.memory_queue.sent):
        world.deliver(world.memory_queue.sent.pop(0))
    stored = world.job(job)
    assert world.memory_jobs.move(stored, finishing(stored, bad_tiles=(), now=world.clock.now()))
    world.memory_queue.sent.clear()
    world.clock.advance(91)
    world.minute()
    assert world.memory_queue.sent == [Message(step="finish", job=job.id, attempt=1)]
    assert world.finish(job).state is State.DONE


def test_silence_limit_grows_with_rescues_until_job_fails() -> None:
    world, job = world_with_tiling_job()
    world.memory_jobs.record_transient_error(
        job, Problem(code="mongodb_unavailable", message="MongoDB is away", hint="h")
    )
    world.clock.advance(91)
    assert [each.id for each in silent_jobs(**ports(world, "jobs", "clock"))] == [job.id]
    world.minute()
    world.clock.advance(120)
    assert list(silent_jobs(**ports(world, "jobs", "clock"))) == []
    for _ in range(2 * MAX_RESCUES):
        world.clock.advance(3600)
        world.minute()
    ended = world.job(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (State.FAILED, "retries_exhausted")
    assert "64 retries; the last error was: MongoDB is away" in ended.error.message


def test_new_silent_job_is_rescued_before_thousands_of_others() -> None:
    world = World()
    now = world.clock.now()
    for state in (State.QUEUED, State.TILING):
        create_jobs(world, state, 12 * BATCH, updated_at=now - 3000, rescues=9)  # these may be silent for an hour
    world.put(SLIDE)
    job = world.submit()
    world.memory_queue.sent.clear()
    world.clock.advance(91)
    world.minute()
    assert [message.job for message in world.memory_queue.sent] == [job.id]
    assert world.job(job).rescues == 1


def test_silent_jobs_alternate_between_states() -> None:
    world = World()
    for state in (State.FINISHING, State.QUEUED):
        create_jobs(world, state, 2 * BATCH + 1, updated_at=world.clock.now() - 3000)
    found = [job.state for job in silent_jobs(**ports(world, "jobs", "clock"))]
    finishing, queued = [State.FINISHING], [State.QUEUED]
    assert found == 2 * (BATCH * finishing + BATCH * queued) + finishing + queued


@pytest.mark.parametrize("most", [0, 1, BATCH, BATCH + 5])
def test_silent_jobs_stop_when_time_is_short(most: int) -> None:
    world = World()
    create_jobs(world, State.QUEUED, 3 * BATCH, updated_at=world.clock.now() - 3000)
    clock = MemoryClock(world.clock.now(), remaining_seconds=RESERVE_SECONDS + most - 0.5)
    rescued = 0
    for job in silent_jobs(jobs=world.jobs, clock=clock):
        rescue(job, **ports(world, "jobs", "work", "queue"), clock=clock)
        rescued += 1
        clock.advance(1)
    assert rescued == most
    # The next minute continues with the others: a rescued job is not silent any more.
    assert len(list(silent_jobs(jobs=world.jobs, clock=world.clock))) == 3 * BATCH - most


def test_rescue_without_known_error_gives_up() -> None:
    world, job = world_with_tiling_job()
    with pytest.raises(RetriesExhaustedError, match=r"no progress in 64 retries$"):
        rescue(replace(job, rescues=MAX_RESCUES), **ports(world, "jobs", "work", "queue", "clock"))


def test_concurrent_rescues_send_messages_once() -> None:
    world, job = world_with_tiling_job()
    world.memory_queue.sent.clear()
    for _ in range(2):
        rescue(job, **ports(world, "jobs", "work", "queue", "clock"))
    assert len({message.chunk for message in world.memory_queue.sent}) == len(world.memory_queue.sent)


def test_lost_plan_fails_job_and_next_attempt_plans_again() -> None:
    world, job = world_with_tiling_job()
    world.memory_work.objects.clear()
    with pytest.raises(PlanExpiredError):
        rescue(job, **ports(world, "jobs", "work", "queue", "clock"))
    ended = world.finish(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (State.FAILED, "plan_expired")
    assert world.finish(world.submit()).state is State.DONE


def test_given_up_error_names_step_and_last_error() -> None:
    _, job = world_with_tiling_job()
    silent = retries_exhausted(job, Message(step="tile", job=job.id, attempt=1, chunk=3))
    assert str(silent).startswith("chunk 3 failed after the maximum number of retries")
    assert "stopped each time without an error" in str(silent)
    known = retries_exhausted(
        replace(job, last_transient_error=Problem(code="c", message="m", hint="h")),
        Message(step="plan", job=job.id, attempt=1),
    )
    assert str(known) == "the step 'plan' failed after the maximum number of retries: m (c)"
