"""Generations of one slide: the newest object wins, and newer bytes are submitted automatically."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import Destination, Job, Options, State
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.transitions import finishing
from chalicelib.core.plan.messages import Message
from chalicelib.steps.submit import submit
from tests.steps.jobs import OTHER, SLIDE, world_with
from tests.steps.small_slides import NAMED, published, small
from tests.world import BUCKET, COLLECTION, DATABASE, SESSION, World


class ChangingSlides:
    """Slides that change before each of the first calls of `pin`."""

    def __init__(self, world: World, *acts: Callable[[], object]) -> None:
        self.world, self.acts = world, list(acts)

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        if self.acts:
            self.acts.pop(0)()
        return self.world.memory_slides.pin(bucket, key, first_bytes=first_bytes)


def submit_with(world: World, slides: Any) -> Job:
    place = destination(world)
    return submit(
        "upload", BUCKET, "slide.svs", place, Options(),
        slides=slides, jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip


def destination(world: World) -> Destination:
    return world.memory_archive.locate(COLLECTION, SESSION, None)


def test_newer_bytes_of_same_second_win_despite_earlier_call() -> None:
    world = World()
    second = world.clock.now()
    world.memory_slides.put(BUCKET, "slide.svs", SLIDE, at=second)

    def publish_older() -> None:
        world.finish(submit_with(world, world.slides))
        world.memory_slides.put(BUCKET, "slide.svs", OTHER, at=second)

    world.clock.advance(0.1)
    # This call starts first and pins last.
    newer = world.finish(submit_with(world, ChangingSlides(world, lambda: world.clock.advance(0.1), publish_older)))
    assert newer.state is State.DONE
    assert newer.source.etag == world.memory_slides.pin(BUCKET, "slide.svs", first_bytes=1)[0].etag
    assert world.memory_archive.shows(newer)


def test_constantly_overwritten_object_raises_and_creates_no_job() -> None:
    world = World()
    turns = count()

    def put() -> None:
        world.memory_slides.put(BUCKET, "slide.svs", (SLIDE, OTHER)[next(turns) % 2], at=world.clock.now())

    with pytest.raises(AwsUnavailableError, match="overwritten during each attempt"):
        submit_with(world, ChangingSlides(world, *[put] * 20))
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


@pytest.mark.usefixtures("small_blocks")
def test_new_bytes_replace_the_published_slide() -> None:
    world, old = published()
    world.put(small(seed=7))
    new = world.finish(world.submit())
    assert old.id != new.id
    assert new.published is not None
    assert old.published is not None
    assert new.published.view == old.published.view
    assert world.views() == (new.published.view,)
    assert not world.memory_archive.shows(old)
    assert len(world.tiles(old)) == 29  # readers of the old slide continue during the grace period
    world.clock.advance(31 * 60)
    world.minute()
    assert world.tiles(old) == {}
    assert len(world.tiles(new)) == 29


@pytest.mark.usefixtures("small_blocks")
def test_previous_bytes_can_be_published_again() -> None:
    world, first = published()
    world.put(small(seed=7))
    world.finish(world.submit())
    world.clock.advance(31 * 60)
    world.minute()
    world.put(small())
    again = world.finish(world.submit())
    assert (again.id, again.attempt, again.state, again.generation) == (first.id, 2, State.DONE, 1)
    assert world.memory_archive.shows(again)
    assert len(world.tiles(again)) == 29


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("happens", ["overwritten", "deleted"])
@pytest.mark.parametrize("after_messages", [0, 1, 2])
def test_source_change_ends_job_and_discards_tiles(happens: str, after_messages: int) -> None:
    world = World()
    world.put(small())
    job = world.submit()
    for _ in range(after_messages):
        world.deliver(world.memory_queue.sent.pop(0))
    if happens == "overwritten":
        world.put(small(seed=3))
    else:
        world.memory_slides.delete("incoming", "slide.svs")
    ended = world.finish(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == {
        "overwritten": (State.SUPERSEDED, "source_changed"),
        "deleted": (State.FAILED, "source_gone"),
    }[happens]
    assert (DATABASE, job.staging()) not in world.memory_archive.tiles
    # The newer bytes were submitted automatically.
    assert len(world.views()) == (happens == "overwritten")


@pytest.mark.usefixtures("small_blocks")
def test_older_version_never_wins_if_it_finishes_last() -> None:
    world = World()
    world.put(small())
    old = world.submit()
    world.run()
    queue = world.memory_queue.sent
    assert world.job(old).state is State.DONE
    # The same race, with the finish of the older job held back after it has counted its tiles.
    world = World()
    queue = world.memory_queue.sent
    world.put(small())
    old = world.submit()
    held: list[Message] = []
    while queue:
        message = queue.pop(0)
        if message.step == "finish":
            held.append(message)
        else:
            world.deliver(message)
    complete = world.job(old)
    assert world.memory_jobs.move(complete, finishing(complete, bad_tiles=(), now=world.clock.now()))
    world.put(small(seed=9))
    new = world.finish(world.submit())
    queue += held
    ended = world.finish(old)
    assert ended.error is not None
    assert (world.job(new).state, ended.state, ended.error.code) == (State.DONE, State.SUPERSEDED, "newer_generation")
    assert world.memory_archive.shows(world.job(new))
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert list(world.memory_archive.tiles) == [(DATABASE, world.job(new).image)]


@pytest.mark.usefixtures("small_blocks")
def test_later_submitted_job_wins_named_image() -> None:
    world = World()
    queue = world.memory_queue.sent
    world.put(small(), "a.svs")
    world.put(small(seed=5), "b.svs")
    first = world.submit("a.svs", mongo_collection=NAMED)
    held = []
    while queue:
        message = queue.pop(0)
        if message.step == "finish":
            held.append(message)
        else:
            world.deliver(message)
    second = world.finish(world.submit("b.svs", mongo_collection=NAMED))
    queue += held
    assert world.finish(first).state is State.SUPERSEDED
    assert world.job(second).state is State.DONE
    assert world.memory_archive.shows(world.job(second))
    assert {database for database, _ in world.memory_archive.tiles} == {DATABASE}


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
