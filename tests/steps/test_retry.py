"""Retry of ended jobs, force, and redrive."""

from typing import Any

import pytest

from chalicelib.core.errors import BucketNotAllowedError, MongoUnavailableError, NoSuchSourceError, NotRetryableError
from chalicelib.core.jobs.backoff import GRACE_SECONDS, LATE_SECONDS
from chalicelib.core.jobs.model import Job, State
from chalicelib.core.web.s3_notifications import Arrival
from chalicelib.entrypoints.http.schemas.jobs import job_document
from chalicelib.steps.cleanup import KEEP_SECONDS, end_with_error
from chalicelib.steps.control import recreate_session, redrive
from chalicelib.steps.submit import submit_arrival
from tests.steps.jobs import OTHER, SLIDE, cancel_job, retry_job, run_cleanup, tiling_job, world_with
from tests.world import BUCKET, SESSION, World


def test_retry_after_transient_error_runs_missing_chunks_only() -> None:
    world = world_with()
    job = tiling_job(world)
    stored = world.job(job).chunks_done
    end_with_error(
        world.job(job), MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock
    )
    world.memory_queue.sent.clear()
    again = retry_job(world, job)
    assert (again.attempt, again.state, again.chunks_done) == (2, State.QUEUED, stored)
    assert world.finish(again).state is State.DONE
    assert world.clock.now() < 1_000_000 + KEEP_SECONDS


def test_cancelled_job_can_be_retried() -> None:
    world = world_with()
    job = tiling_job(world)
    cancel_job(world, job)
    done = world.finish(retry_job(world, job))
    assert (done.state, done.attempt, [each.outcome for each in done.history]) == (
        State.DONE, 2, [State.CANCELLED, State.DONE],
    )  # fmt: skip
    run_cleanup(world, LATE_SECONDS + 1)
    assert world.tiles(done)


def test_retry_of_running_or_published_job_is_refused() -> None:
    world = world_with()
    job = world.submit()
    with pytest.raises(NotRetryableError, match="is queued"):
        retry_job(world, job)
    world.finish(job)
    with pytest.raises(NotRetryableError, match="is done") as refused:
        retry_job(world, job)
    assert "`force`" in refused.value.advice


def test_done_job_that_is_not_shown_can_be_retried() -> None:
    world = world_with()
    job = world.finish(world.submit())
    recreate_session(SESSION, jobs=world.jobs, archive=world.archive, clock=world.clock)
    assert world.finish(retry_job(world, job)).attempt == 2
    assert len(world.views()) == 1


def test_retry_of_changed_source_is_refused() -> None:
    world = world_with()
    job = world.submit()
    ended = cancel_job(world, job)
    world.put(OTHER)
    with pytest.raises(NotRetryableError, match="has changed since"):
        retry_job(world, job)
    world.memory_slides.delete(BUCKET, "slide.svs")
    with pytest.raises(NoSuchSourceError):
        retry_job(world, job)
    assert world.job(job) == ended


def test_retry_of_forbidden_bucket_is_refused() -> None:
    world = world_with()
    job = world.submit()
    cancel_job(world, job)
    with pytest.raises(BucketNotAllowedError):
        retry_job(world, job, buckets=frozenset())


def test_retry_of_upload_without_session_is_refused() -> None:
    world = world_with()
    arrival = Arrival(bucket=BUCKET, key="slide.svs", etag='"e"', size_bytes=1, version_id=None, at=1.0)
    job = submit_arrival(
        arrival, source_buckets=world.settings.source_buckets,
        slides=world.slides, jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    assert job is not None
    links = job_document(job, now=1.0)["links"]
    assert isinstance(links, dict)
    assert "retry" not in links
    with pytest.raises(NotRetryableError, match="does not name a destination"):
        retry_job(world, job)


def test_concurrent_retries_start_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with()
    job = world.submit()
    cancel_job(world, job)
    real = world.memory_jobs.move

    def overtaken(was: Job, now: Job) -> bool:
        assert real(was, now)
        return real(was, now)

    world.memory_queue.sent.clear()
    monkeypatch.setattr(world.memory_jobs, "move", overtaken)
    assert (retry_job(world, job).attempt, world.memory_queue.sent) == (2, [])


def test_force_republishes_while_old_slide_stays_visible() -> None:
    world = world_with()
    first = world.finish(world.submit())
    before = world.tiles(first)
    assert world.submit().attempt == 1
    again = world.submit(force=True)
    assert (again.id, again.attempt, again.state, again.tiles_done) == (first.id, 2, State.QUEUED, 0)
    assert again.image != first.image
    assert world.memory_archive.views[world.views()[0]].image == first.image
    done = world.finish(again)
    assert world.tiles(done) == before
    assert world.memory_archive.views[world.views()[0]].image == done.image
    run_cleanup(world, GRACE_SECONDS + LATE_SECONDS + 1)
    assert [name for _, name in world.memory_archive.tiles] == [done.image]


def test_force_of_running_job_returns_it() -> None:
    world = world_with()
    job = world.submit()
    assert world.submit(force=True) == job


def test_cancelled_force_keeps_old_slide_until_replaced() -> None:
    world = world_with()
    first = world.finish(world.submit())
    tiles = world.tiles(first)
    again = world.submit(force=True)
    world.deliver(world.memory_queue.sent.pop(0))
    cancel_job(world, again)
    for _ in range(3):
        run_cleanup(world, LATE_SECONDS + 1)
    shown = world.memory_archive.tiles[first.destination.database, first.image]
    assert {name: tile.jpeg for name, tile in shown.items()} == tiles
    world.put(OTHER)
    newer = world.finish(world.submit())
    for _ in range(3):
        run_cleanup(world, LATE_SECONDS + 1)
    assert [name for _, name in world.memory_archive.tiles] == [newer.image]


def test_redrive_retries_matching_jobs_and_lists_refused_ones() -> None:
    world = World()
    for name in "abc":
        world.put(SLIDE, f"{name}.svs")
    jobs = [world.submit(f"{name}.svs") for name in "abc"]
    for job in jobs[:2]:
        end_with_error(job, MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    world.memory_slides.delete(BUCKET, "b.svs")
    asked: dict[str, Any] = {"codes": [MongoUnavailableError.code], "cursor": None, "jobs": world.jobs}
    elsewhere = redrive(lambda job_id: retry_job(world, world.job(jobs[0])), session="0" * 24, **asked)
    assert (elsewhere.retried, elsewhere.refused) == ((), ())
    found = redrive(
        lambda job_id: retry_job(world, next(job for job in jobs if job.id == job_id)), session=None, **asked
    )
    assert [job.id for job in found.retried] == [jobs[0].id]
    assert [(job.id, why.code) for job, why in found.refused] == [(jobs[1].id, "no_such_source")]
    assert world.job(jobs[0]).attempt == 2
    assert found.cursor is None


def test_redrive_raises_if_port_does_not_answer() -> None:
    world = world_with()
    end_with_error(
        world.submit(), MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock
    )

    def away(_job: str) -> Job:
        raise MongoUnavailableError("still away")

    with pytest.raises(MongoUnavailableError):
        redrive(away, codes=[MongoUnavailableError.code], session=SESSION, cursor=None, jobs=world.jobs)
