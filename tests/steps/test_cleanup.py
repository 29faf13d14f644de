"""Cleanup of staged tiles after an attempt has ended."""

from dataclasses import replace

import pytest

from chalicelib.adapters.memory import MemoryClock
from chalicelib.core.errors import MongoUnavailableError, RetriesExhaustedError, UnsupportedError
from chalicelib.core.jobs.backoff import GRACE_SECONDS, LATE_SECONDS
from chalicelib.core.jobs.model import Job, State
from chalicelib.steps.cleanup import BATCH as CLEANUP_BATCH
from chalicelib.steps.cleanup import KEEP_SECONDS, clean_up, due_for_cleanup, end_with_error
from chalicelib.steps.cleanup import RESERVE_SECONDS as CLEANUP_RESERVE_SECONDS
from chalicelib.steps.control import recreate_session
from tests.slides import Slide, write
from tests.steps.jobs import CLEANUP_PORTS, SLIDE, create_jobs, die, ports, world_with_tiling_job
from tests.world import DATABASE, SESSION, Died, World


def test_permanent_error_ends_job_and_discards_staged_tiles() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, UnsupportedError("it is in strips"), **ports(world, *CLEANUP_PORTS))
    ended = world.job(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code, ended.error.message) == (State.FAILED, "unsupported", "it is in strips")
    assert world.memory_archive.tiles == {}
    assert (ended.generation, ended.discarded) == (1, (0,))


def test_next_attempt_reuses_tiles_after_transient_error() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *CLEANUP_PORTS))
    ended = world.job(job)
    assert (ended.state, ended.cleanup_at) == (State.FAILED, world.clock.now() + KEEP_SECONDS)
    world.memory_queue.sent.clear()
    again = world.submit()
    assert (again.attempt, again.state, again.chunks_done) == (2, State.QUEUED, job.chunks_done)
    world.deliver(world.memory_queue.sent.pop(0))
    asked = {message.chunk for message in world.memory_queue.sent}
    assert asked == {number for number in range(job.chunks_total) if number not in job.chunks_done} & asked
    assert not asked & job.chunks_done
    assert world.finish(again).state is State.DONE


def test_abandoned_tiles_are_cleaned_up_and_checked_again() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *CLEANUP_PORTS))
    world.minute()
    assert world.memory_archive.tiles != {}
    world.clock.advance(KEEP_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}
    # A suspended worker writes to the discarded collection. No view shows it, and the next cleanup discards it.
    world.memory_archive.stage(job)
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}
    assert (world.job(job).discarded, world.job(job).cleanup_at) == ((), None)


def test_new_attempt_during_cleanup_keeps_its_tiles() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, UnsupportedError("x"), **ports(world, *CLEANUP_PORTS))
    again = world.finish(world.submit())
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert (again.state, again.generation) == (State.DONE, 1)
    assert len(world.tiles(again)) == again.tiles_total


def test_cleanup_discards_tiles_of_later_attempts() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, UnsupportedError("x"), **ports(world, *CLEANUP_PORTS))
    again = world.finish(world.submit())
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    newer = world.finish(world.submit())
    for _ in range(2):
        world.clock.advance(LATE_SECONDS)
        world.minute()
    assert (again.attempt, world.tiles(again)) == (2, {})
    assert list(world.memory_archive.tiles) == [(DATABASE, newer.image)]


def test_late_tiles_of_earlier_attempt_are_cleaned_up() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, UnsupportedError("x"), **ports(world, *CLEANUP_PORTS))
    again = world.finish(world.submit())
    world.memory_archive.stage(job)  # a late write of the first attempt
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert list(world.memory_archive.tiles) == [(DATABASE, again.image)]
    assert (world.job(again).discarded, world.job(again).cleanup_at) == ((), None)


def test_slide_of_replaced_named_image_can_be_resubmitted() -> None:
    world = World()
    named = {"mongo_collection": "00000000000000000000aaaa"}
    for key in ("a.svs", "b.svs"):
        world.put(write(Slide(width_px=300, height_px=200, seed=ord(key[0]))), key)
    first = world.finish(world.submit("a.svs", **named))
    tiles = world.tiles(first)
    world.finish(world.submit("b.svs", **named))
    again = world.finish(world.submit("a.svs", **named))
    assert (again.id, again.state, again.attempt) == (first.id, State.DONE, 2)
    assert world.tiles(again) == tiles


def test_cleanup_keeps_published_tiles() -> None:
    world, job = world_with_tiling_job()
    done = world.finish(job)
    world.memory_jobs.schedule_cleanup(done.id, world.clock.now())
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert len(world.tiles(done)) == done.tiles_total
    assert world.job(done).cleanup_at is None


def test_cleanup_and_end_ignore_jobs_in_other_states() -> None:
    world, job = world_with_tiling_job()
    clean_up(job, **ports(world, *CLEANUP_PORTS))
    done = world.finish(job)
    end_with_error(done, UnsupportedError("x"), **ports(world, *CLEANUP_PORTS))
    assert world.job(done) == done
    # The job that `end_with_error` receives is stale.
    end_with_error(job, UnsupportedError("x"), **ports(world, *CLEANUP_PORTS))
    assert world.job(done) == done
    assert len(world.tiles(done)) == done.tiles_total


def test_cleanup_with_stale_job_discards_nothing() -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *CLEANUP_PORTS))
    seen = replace(world.job(job), cleanup_at=world.clock.now())
    world.submit()
    clean_up(seen, **ports(world, *CLEANUP_PORTS))
    assert world.memory_archive.tiles != {}


def test_cleanup_reaches_slide_behind_hundreds_of_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    world, job = world_with_tiling_job()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *CLEANUP_PORTS))
    create_jobs(world, State.FAILED, 3 * CLEANUP_BATCH, cleanup_at=1.0)
    archive, real = world.memory_archive, world.memory_archive.discard

    def discard(each: Job, generation: int) -> bool:
        if each.id != job.id:
            raise MongoUnavailableError("the database of these is away")
        return real(each, generation)

    monkeypatch.setattr(archive, "shows", lambda each: each.id != job.id)  # so that each cleanup is a second one
    monkeypatch.setattr(archive, "discard", discard)
    for each in world.memory_jobs._all():
        if each.id != job.id:
            world.memory_jobs._jobs[each.id] = replace(each, discarded=(0,))
    world.clock.advance(KEEP_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}
    assert sum(each.cleanup_at == 1.0 for each in world.memory_jobs._all()) == 3 * CLEANUP_BATCH


def test_cleanup_leaves_time_for_following_tasks() -> None:
    world = World()
    create_jobs(world, State.FAILED, 3 * CLEANUP_BATCH, cleanup_at=1.0)
    clock = MemoryClock(world.clock.now(), remaining_seconds=CLEANUP_RESERVE_SECONDS + 9.5)
    for _ in due_for_cleanup(jobs=world.jobs, clock=clock):
        clock.advance(1)
    assert clock.remaining == CLEANUP_RESERVE_SECONDS - 0.5
    assert len(list(due_for_cleanup(jobs=world.jobs, clock=world.clock))) == 3 * CLEANUP_BATCH


def test_recreated_session_loses_its_tiles_after_grace_period() -> None:
    world, job = world_with_tiling_job()
    done = world.finish(job)
    assert recreate_session(SESSION, **ports(world, *CLEANUP_PORTS)) == 1
    assert world.views() == ()
    world.minute()
    assert world.tiles(done) != {}
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}


def test_replaced_generation_is_cleaned_up_if_finish_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.put(SLIDE)
    first = world.finish(world.submit())
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert world.job(first).cleanup_at is None
    world.put(write(Slide(width_px=300, height_px=200, seed=9)))
    job = world.submit()
    while world.job(job).state is not State.FINISHING:
        message = world.memory_queue.sent.pop(0)
        if message.step == "finish":
            # It switches the view, and dies before it schedules the cleanup of the first generation.
            with monkeypatch.context() as patch:
                patch.setattr(world.memory_jobs, "schedule_cleanup", die)
                with pytest.raises(Died):
                    world.deliver(message)
        else:
            world.deliver(message)
    end_with_error(world.job(job), RetriesExhaustedError("given up"), **ports(world, *CLEANUP_PORTS))
    cleanup_at = world.job(first).cleanup_at
    assert cleanup_at is not None
    assert cleanup_at >= world.clock.now() + GRACE_SECONDS
