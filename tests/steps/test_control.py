"""What people decide about jobs: cancel, retry, force, redrive; and newer bytes that run by themselves."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest

from chalicelib.core.errors import (
    AwsUnavailableError,
    BucketNotAllowedError,
    MongoUnavailableError,
    NoSuchSourceError,
    NotCancellableError,
    NotFoundError,
    NotRetryableError,
)
from chalicelib.core.jobs.backoff import GRACE_SECONDS, LATE_SECONDS
from chalicelib.core.jobs.model import Destination, Job, Options, State
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.transitions import finishing
from chalicelib.core.web.s3_notifications import Arrival
from chalicelib.entrypoints.http.schemas.jobs import job_document
from chalicelib.ports.jobs import Jobs
from chalicelib.steps.cleanup import KEEP_SECONDS, cancel, end_with_error
from chalicelib.steps.control import recreate_session, redrive, remove
from chalicelib.steps.submit import retry, submit, submit_arrival
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, DATABASE, SESSION, World

SLIDE = write(Slide(width_px=300, height_px=200))
OTHER = write(Slide(width_px=300, height_px=200, seed=9))


def world_with(data: bytes = SLIDE) -> World:
    world = World()
    world.put(data)
    return world


def tiling(world: World) -> Job:
    job = world.submit()
    for _ in range(2):
        world.deliver(world.memory_queue.sent.pop(0))
    assert world.job(job).tiles_done > 0
    return job


def cancelled(world: World, job: Job) -> Job:
    return cancel(job.id, jobs=world.jobs, archive=world.archive, clock=world.clock)


def retried(world: World, job: Job, buckets: frozenset[str] | None = None) -> Job:
    world.clock.advance(1)
    return retry(
        job.id, source_buckets=world.settings.source_buckets if buckets is None else buckets,
        slides=world.slides, jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip


def sweep_all(world: World, seconds: float) -> None:
    world.clock.advance(seconds)
    world.minute()


# -- order -----------------------------------------------------------------------------------------------------------


class _Overtaken:
    """Slides of which something else happens before each of the first looks at them."""

    def __init__(self, world: World, *acts: Callable[[], object]) -> None:
        self.world, self.acts = world, list(acts)

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        if self.acts:
            self.acts.pop(0)()
        return self.world.memory_slides.pin(bucket, key, first_bytes=first_bytes)


def submitted(world: World, slides: Any) -> Job:
    place = archive_place(world)
    return submit(
        "upload", BUCKET, "slide.svs", place, Options(),
        slides=slides, jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip


def archive_place(world: World) -> Destination:
    return world.memory_archive.locate(COLLECTION, SESSION, None)


def test_newer_bytes_of_same_second_win_despite_earlier_call() -> None:
    world = World()
    second = world.clock.now()
    world.memory_slides.put(BUCKET, "slide.svs", SLIDE, at=second)

    def older_is_published() -> None:
        world.finish(submitted(world, world.slides))
        world.memory_slides.put(BUCKET, "slide.svs", OTHER, at=second)

    world.clock.advance(0.1)
    # It is called first, and looks last.
    newer = world.finish(submitted(world, _Overtaken(world, lambda: world.clock.advance(0.1), older_is_published)))
    assert newer.state is State.DONE
    assert newer.source.etag == world.memory_slides.pin(BUCKET, "slide.svs", first_bytes=1)[0].etag
    assert world.memory_archive.shows(newer)


def test_constantly_overwritten_object_raises_and_creates_no_job() -> None:
    world = World()
    turns = count()

    def put() -> None:
        world.memory_slides.put(BUCKET, "slide.svs", (SLIDE, OTHER)[next(turns) % 2], at=world.clock.now())

    with pytest.raises(AwsUnavailableError, match="overwritten faster"):
        submitted(world, _Overtaken(world, *[put] * 20))
    assert world.memory_jobs.list(state=None, session=None, cursor=None, limit=10).jobs == ()


@pytest.mark.parametrize("is_there", [True, False], ids=["overwritten", "deleted"])
def test_bytes_replaced_after_last_read_are_not_published(is_there: bool) -> None:
    world = world_with()
    job = world.submit()
    while not world.job(job).all_chunks_done:
        world.deliver(world.memory_queue.sent.pop(0))
    if is_there:
        world.put(OTHER)
    else:
        world.memory_slides.delete(BUCKET, "slide.svs")
    ended = world.finish(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (
        (State.SUPERSEDED, "source_changed") if is_there else (State.FAILED, "source_gone")
    )
    world.run()
    shown = [job for job in world.memory_jobs._jobs.values() if world.memory_archive.shows(job)]
    assert len(shown) == is_there


# -- cancel ----------------------------------------------------------------------------------------------------------


def test_cancelled_job_stops_and_leaves_no_tiles() -> None:
    world = world_with()
    job = tiling(world)
    ended = cancelled(world, job)
    assert (ended.state, ended.error, ended.history[-1].outcome) == (State.CANCELLED, None, State.CANCELLED)
    world.run()
    assert world.memory_archive.tiles == {}
    assert world.views() == ()
    assert world.job(job).state is State.CANCELLED


def test_tiles_written_after_cancel_are_cleaned_up() -> None:
    world = world_with()
    job = tiling(world)
    cancelled(world, job)
    world.memory_archive.stage(job)
    place = (job.destination.database, job.staging())
    assert place in world.memory_archive.tiles
    sweep_all(world, LATE_SECONDS + 1)
    assert world.memory_archive.tiles == {}


@pytest.mark.parametrize("ending", ["cancelled", "overwritten"])
def test_complete_tiles_wait_for_finish_of_earlier_attempt(ending: str) -> None:
    world = world_with()
    done = world.finish(world.submit())
    remove(SESSION, None, jobs=world.jobs, archive=world.archive, clock=world.clock)
    again = world.submit()
    if ending == "cancelled":
        cancelled(world, again)
    else:
        world.put(OTHER)
        world.deliver(world.memory_queue.sent.pop(0))
    assert not world.job(done).is_live
    assert len(world.tiles(done)) == done.tiles_total
    sweep_all(world, LATE_SECONDS + 1)
    assert (DATABASE, done.image) not in world.memory_archive.tiles


def test_cancel_keeps_published_slide() -> None:
    world = world_with()
    first = world.finish(world.submit())
    world.put(OTHER)
    cancelled(world, tiling(world))
    assert len(world.views()) == 1
    assert world.tiles(first)


def test_cancel_is_idempotent() -> None:
    world = world_with()
    job = world.submit()
    once = cancelled(world, job)
    assert cancelled(world, job) == once


def test_cancel_of_finishing_or_done_job_is_refused() -> None:
    world = world_with()
    job = tiling(world)
    world.memory_jobs.move(world.job(job), finishing(world.job(job), bad_tiles=(), now=world.clock.now()))
    with pytest.raises(NotCancellableError, match="is finishing and cannot be cancelled"):
        cancelled(world, job)
    other = world_with()
    with pytest.raises(NotCancellableError, match="is done"):
        cancelled(other, other.finish(other.submit()))


def test_cancel_of_unknown_job_is_not_found() -> None:
    world = World()
    for decide in (partial(cancel, archive=world.archive, clock=world.clock),):
        with pytest.raises(NotFoundError):
            decide("f" * 32, jobs=world.jobs)


class Overtaken:
    """A job table in which somebody is always faster."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def move(self, _was: Job, _now: Job) -> bool:
        return False


def test_cancel_gives_up_after_repeated_conflicts() -> None:
    world = world_with()
    job = world.submit()
    jobs: Any = Overtaken(world.jobs)
    with pytest.raises(NotCancellableError, match="moves too fast"):
        cancel(job.id, jobs=jobs, archive=world.archive, clock=world.clock)


def test_cancel_without_mongodb_succeeds_and_is_cleaned_up_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with()
    job = tiling(world)
    real = world.memory_archive.discard
    monkeypatch.setattr(
        world.memory_archive, "discard", lambda *_: (_ for _ in ()).throw(MongoUnavailableError("away"))
    )
    assert cancelled(world, job).state is State.CANCELLED
    assert world.memory_archive.tiles
    monkeypatch.setattr(world.memory_archive, "discard", real)
    sweep_all(world, LATE_SECONDS + 1)
    assert world.memory_archive.tiles == {}


# -- retry -----------------------------------------------------------------------------------------------------------


def test_retry_after_transient_error_runs_missing_chunks_only() -> None:
    world = world_with()
    job = tiling(world)
    stored = world.job(job).chunks_done
    end_with_error(
        world.job(job), MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock
    )
    world.memory_queue.sent.clear()
    again = retried(world, job)
    assert (again.attempt, again.state, again.chunks_done) == (2, State.QUEUED, stored)
    assert world.finish(again).state is State.DONE
    assert world.clock.now() < 1_000_000 + KEEP_SECONDS


def test_cancelled_job_can_be_retried() -> None:
    world = world_with()
    job = tiling(world)
    cancelled(world, job)
    done = world.finish(retried(world, job))
    assert (done.state, done.attempt, [each.outcome for each in done.history]) == (
        State.DONE, 2, [State.CANCELLED, State.DONE],
    )  # fmt: skip
    sweep_all(world, LATE_SECONDS + 1)
    assert world.tiles(done)


def test_retry_of_running_or_published_job_is_refused() -> None:
    world = world_with()
    job = world.submit()
    with pytest.raises(NotRetryableError, match="is queued"):
        retried(world, job)
    world.finish(job)
    with pytest.raises(NotRetryableError, match="is done") as refused:
        retried(world, job)
    assert "`force`" in refused.value.advice


def test_done_job_that_is_not_shown_can_be_retried() -> None:
    world = world_with()
    job = world.finish(world.submit())
    recreate_session(SESSION, jobs=world.jobs, archive=world.archive, clock=world.clock)
    assert world.finish(retried(world, job)).attempt == 2
    assert len(world.views()) == 1


def test_retry_of_changed_source_is_refused() -> None:
    world = world_with()
    job = world.submit()
    ended = cancelled(world, job)
    world.put(OTHER)
    with pytest.raises(NotRetryableError, match="has other bytes"):
        retried(world, job)
    world.memory_slides.delete(BUCKET, "slide.svs")
    with pytest.raises(NoSuchSourceError):
        retried(world, job)
    assert world.job(job) == ended


def test_retry_of_forbidden_bucket_is_refused() -> None:
    world = world_with()
    job = world.submit()
    cancelled(world, job)
    with pytest.raises(BucketNotAllowedError):
        retried(world, job, buckets=frozenset())


def test_retry_of_upload_without_session_is_refused() -> None:
    world = world_with()
    arrival = Arrival(bucket=BUCKET, key="slide.svs", etag='"e"', size_bytes=1, version_id=None, at=1.0)
    job = submit_arrival(
        arrival, source_buckets=world.settings.source_buckets,
        slides=world.slides, jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    assert job is not None
    assert "retry" not in job_document(job, now=1.0)["links"]  # type: ignore[operator]
    with pytest.raises(NotRetryableError, match="would be refused again"):
        retried(world, job)


def test_concurrent_retries_start_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with()
    job = world.submit()
    cancelled(world, job)
    real = world.memory_jobs.move

    def overtaken(was: Job, now: Job) -> bool:
        assert real(was, now)
        return real(was, now)

    world.memory_queue.sent.clear()
    monkeypatch.setattr(world.memory_jobs, "move", overtaken)
    assert (retried(world, job).attempt, world.memory_queue.sent) == (2, [])


# -- force -----------------------------------------------------------------------------------------------------------


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
    sweep_all(world, GRACE_SECONDS + LATE_SECONDS + 1)
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
    cancelled(world, again)
    for _ in range(3):
        sweep_all(world, LATE_SECONDS + 1)
    shown = world.memory_archive.tiles[first.destination.database, first.image]
    assert {name: tile.jpeg for name, tile in shown.items()} == tiles
    world.put(OTHER)
    newer = world.finish(world.submit())
    for _ in range(3):
        sweep_all(world, LATE_SECONDS + 1)
    assert [name for _, name in world.memory_archive.tiles] == [newer.image]


# -- redrive ---------------------------------------------------------------------------------------------------------


def test_redrive_retries_matching_jobs_and_lists_refused_ones() -> None:
    world = World()
    for name in "abc":
        world.put(SLIDE, f"{name}.svs")
    jobs = [world.submit(f"{name}.svs") for name in "abc"]
    for job in jobs[:2]:
        end_with_error(job, MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    world.memory_slides.delete(BUCKET, "b.svs")
    asked: dict[str, Any] = {"codes": [MongoUnavailableError.code], "cursor": None, "jobs": world.jobs}
    elsewhere = redrive(lambda job_id: retried(world, world.job(jobs[0])), session="0" * 24, **asked)
    assert (elsewhere.again, elsewhere.refused) == ((), ())
    found = redrive(lambda job_id: retried(world, next(job for job in jobs if job.id == job_id)), session=None, **asked)
    assert [job.id for job in found.again] == [jobs[0].id]
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


# -- fairness --------------------------------------------------------------------------------------------------------


def test_messages_are_grouped_by_collection() -> None:
    world = world_with()
    groups = set()
    job = world.submit()
    while world.memory_queue.sent:
        message = world.memory_queue.sent.pop(0)
        groups.add((message.step, message.group))
        world.deliver(message)
    assert world.job(job).state is State.DONE
    assert groups == {(step, job.destination.collection) for step in ("plan", "tile", "finish")}


# -- newer bytes -----------------------------------------------------------------------------------------------------


def test_newer_bytes_are_submitted_automatically() -> None:
    world = world_with()
    job = world.submit(on_bad_tile="skip")
    world.put(OTHER)
    world.run()
    ended = world.job(job)
    assert (ended.state, ended.error and ended.error.code) == (State.SUPERSEDED, "source_changed")
    (newer,) = world.memory_jobs.list(state=State.DONE, session=None, cursor=None, limit=9).jobs
    assert (newer.source.key, newer.options) == (job.source.key, job.options)
    assert len(world.views()) == 1


def test_newer_bytes_that_are_not_a_slide_create_no_job() -> None:
    world = world_with()
    job = world.submit()
    world.put(b"a letter, not a slide")
    world.run()
    assert world.job(job).state is State.SUPERSEDED
    assert len(world.memory_jobs.list(state=None, session=None, cursor=None, limit=9).jobs) == 1


def test_job_continues_if_original_bytes_return(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with()
    job = world.submit()
    real = world.memory_slides.read
    world.put(OTHER)

    def read(*arguments: Any) -> bytes:
        try:
            return real(*arguments)
        finally:
            world.put(SLIDE)

    monkeypatch.setattr(world.memory_slides, "read", read)
    message = world.memory_queue.sent.pop(0)
    assert world.deliver(message) == ["message-0"]
    assert world.job(job).is_live
    world.memory_queue.sent.append(message)
    assert world.finish(job).state is State.DONE
