"""Publication: altered tiles are not published, and steps ignore jobs in other states."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from chalicelib.core.errors import (
    MongoUnavailableError,
    SlidehookError,
    SourceChangedError,
    SourceGoneError,
    VerificationError,
)
from chalicelib.core.jobs.model import State
from chalicelib.steps.cleanup import end_with_error
from chalicelib.steps.finish import finish
from chalicelib.steps.plan import plan
from chalicelib.steps.tile import tile
from tests.steps.jobs import CLEANUP_PORTS, die, ports, world_with_tiling_job
from tests.world import DATABASE, Died


@pytest.mark.parametrize("harm", ["dropped", "altered", "doubled"])
def test_altered_tiles_are_not_published(harm: str) -> None:
    world, job = world_with_tiling_job()
    while any(message.step == "tile" for message in world.memory_queue.sent):
        world.deliver(world.memory_queue.sent.pop(0))
    stored = world.memory_archive.tiles[DATABASE, job.staging()]
    name = next(iter(stored))
    if harm == "dropped":
        del stored[name]
    elif harm == "altered":
        stored[name] = replace(stored[name], id=bytes(12))
    else:
        stored["tqqqqqqqq.jpg"] = replace(stored[name], name="tqqqqqqqq.jpg")
    with pytest.raises(VerificationError):
        finish(world.job(job), **ports(world, *CLEANUP_PORTS, "work", "slides"))
    assert world.views() == ()
    world.run()
    assert world.job(job).state is State.FAILED
    assert world.finish(world.submit()).state is State.DONE


def test_steps_ignore_jobs_in_other_states() -> None:
    world, job = world_with_tiling_job()
    done = world.finish(job)
    before = world.tiles(done)
    plan(done, chunk_bytes=1, **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"))
    tile(done, 0, threads=1, cores=1, **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"))
    finish(done, **ports(world, *CLEANUP_PORTS, "work", "slides"))
    # The job is stale: another writer has moved it.
    plan(
        replace(done, state=State.QUEUED),
        chunk_bytes=1,
        **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"),
    )
    finish(replace(done, state=State.TILING), **ports(world, *CLEANUP_PORTS, "work", "slides"))
    assert world.memory_queue.sent == []
    assert world.job(done) == done
    assert world.tiles(done) == before


def test_chunk_of_ended_attempt_changes_nothing() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *CLEANUP_PORTS))
    missing = next(number for number in range(job.chunks_total) if number not in job.chunks_done)
    world.memory_queue.sent.clear()
    tile(job, missing, threads=3, cores=1, **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"))
    assert world.job(job).chunks_done == job.chunks_done
    assert world.memory_queue.sent == []


@pytest.mark.parametrize("error", [SourceChangedError("overwritten"), SourceGoneError("deleted")])
def test_source_change_does_not_end_job_that_is_publishing(
    error: SlidehookError, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, job = world_with_tiling_job()
    with monkeypatch.context() as patch:
        patch.setattr(world.memory_archive, "publish", die)
        while world.job(job).state is not State.FINISHING:
            message = world.memory_queue.sent.pop(0)
            with pytest.raises(Died) if message.step == "finish" else nullcontext():
                world.deliver(message)
    end_with_error(world.job(job), error, **ports(world, *CLEANUP_PORTS))
    assert world.job(job).state is State.FINISHING
    assert world.finish(job).state is State.DONE
