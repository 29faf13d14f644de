"""Cancellation of jobs."""

from typing import Any

import pytest

from chalicelib.core.errors import MongoUnavailableError, NotCancellableError, NotFoundError
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import Job, State
from chalicelib.core.jobs.transitions import finishing
from chalicelib.ports.jobs import Jobs
from chalicelib.steps.cleanup import cancel
from chalicelib.steps.control import remove
from tests.steps.jobs import OTHER, cancel_job, run_cleanup, tiling_job, world_with
from tests.world import DATABASE, SESSION, World


def test_cancelled_job_stops_and_leaves_no_tiles() -> None:
    world = world_with()
    job = tiling_job(world)
    ended = cancel_job(world, job)
    assert (ended.state, ended.error, ended.history[-1].outcome) == (State.CANCELLED, None, State.CANCELLED)
    world.run()
    assert world.memory_archive.tiles == {}
    assert world.views() == ()
    assert world.job(job).state is State.CANCELLED


def test_tiles_written_after_cancel_are_cleaned_up() -> None:
    world = world_with()
    job = tiling_job(world)
    cancel_job(world, job)
    world.memory_archive.stage(job)
    place = (job.destination.database, job.staging())
    assert place in world.memory_archive.tiles
    run_cleanup(world, LATE_SECONDS + 1)
    assert world.memory_archive.tiles == {}


@pytest.mark.parametrize("ending", ["cancelled", "overwritten"])
def test_complete_tiles_wait_for_finish_of_earlier_attempt(ending: str) -> None:
    world = world_with()
    done = world.finish(world.submit())
    remove(SESSION, None, jobs=world.jobs, archive=world.archive, clock=world.clock)
    again = world.submit()
    if ending == "cancelled":
        cancel_job(world, again)
    else:
        world.put(OTHER)
        world.deliver(world.memory_queue.sent.pop(0))
    assert not world.job(done).is_live
    assert len(world.tiles(done)) == done.tiles_total
    run_cleanup(world, LATE_SECONDS + 1)
    assert (DATABASE, done.image) not in world.memory_archive.tiles


def test_cancel_keeps_published_slide() -> None:
    world = world_with()
    first = world.finish(world.submit())
    world.put(OTHER)
    cancel_job(world, tiling_job(world))
    assert len(world.views()) == 1
    assert world.tiles(first)


def test_cancel_is_idempotent() -> None:
    world = world_with()
    job = world.submit()
    once = cancel_job(world, job)
    assert cancel_job(world, job) == once


def test_cancel_of_finishing_or_done_job_is_refused() -> None:
    world = world_with()
    job = tiling_job(world)
    world.memory_jobs.move(world.job(job), finishing(world.job(job), bad_tiles=(), now=world.clock.now()))
    with pytest.raises(NotCancellableError, match="is finishing and cannot be cancelled"):
        cancel_job(world, job)
    other = world_with()
    with pytest.raises(NotCancellableError, match="is done"):
        cancel_job(other, other.finish(other.submit()))


def test_cancel_of_unknown_job_is_not_found() -> None:
    world = World()
    with pytest.raises(NotFoundError):
        cancel("f" * 32, jobs=world.jobs, archive=world.archive, clock=world.clock)


class ConflictingJobs:
    """A job table in which each move conflicts with another writer."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def move(self, _was: Job, _now: Job) -> bool:
        return False


def test_cancel_gives_up_after_repeated_conflicts() -> None:
    world = world_with()
    job = world.submit()
    jobs: Any = ConflictingJobs(world.jobs)
    with pytest.raises(NotCancellableError, match="changed its state"):
        cancel(job.id, jobs=jobs, archive=world.archive, clock=world.clock)


def test_cancel_without_mongodb_succeeds_and_is_cleaned_up_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with()
    job = tiling_job(world)
    real = world.memory_archive.discard
    monkeypatch.setattr(
        world.memory_archive, "discard", lambda *_: (_ for _ in ()).throw(MongoUnavailableError("away"))
    )
    assert cancel_job(world, job).state is State.CANCELLED
    assert world.memory_archive.tiles
    monkeypatch.setattr(world.memory_archive, "discard", real)
    run_cleanup(world, LATE_SECONDS + 1)
    assert world.memory_archive.tiles == {}
