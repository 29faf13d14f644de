"""Repeated calls, duplicate messages and dead workers lead to the same result."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.jobs.model import Job, State
from chalicelib.core.plan import chunks
from chalicelib.core.plan.messages import Message
from tests.steps.small_slides import NAMED, published, small
from tests.world import Died, World

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_repeated_submit_creates_one_job_and_one_message() -> None:
    world = World()
    world.put(small())
    assert len({world.submit().id for _ in range(20)}) == 1
    assert [message.step for message in world.memory_queue.sent] == ["plan"]


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_duplicate_and_reordered_messages_give_same_tiles(jitter: random.Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "BLOCK_LEVELS", 1)
        patch.setattr(chunks, "LATER_BLOCK_LEVELS", 1)
        expected, _ = published()
        reference = expected.tiles(next(iter(expected.memory_jobs._all())))
        world = World()
        world.put(small())
        job = world.submit()
        seen: list[Message] = []
        queue = world.memory_queue.sent
        for _ in range(2000):
            if not queue:
                break
            message = queue.pop(jitter.randrange(len(queue)))
            seen.append(message)
            assert world.deliver(message) == []
            if len(seen) < 60:
                queue.append(jitter.choice(seen))
        ended = world.finish(job)
    assert (ended.state, ended.tiles_done) == (State.DONE, 29)
    assert world.tiles(ended) == reference
    assert len(world.views()) == 1


@cache
def port_calls(named: bool) -> int:
    world = World()
    world.put(small())
    world.finish(world.submit(**({"mongo_collection": NAMED} if named else {})))
    return world.calls


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_job_survives_worker_death_at_any_call(named: bool, after: bool) -> None:
    options = {"mongo_collection": NAMED} if named else {}
    reference = World()
    reference.put(small())
    expected = reference.tiles(reference.finish(reference.submit(**options)))
    submitted = 5  # the calls of submit itself, whose failure the caller sees
    for dies_at in range(submitted + 1, port_calls(named) + 1):
        world = World()
        world.put(small())
        job = world.submit(**options)
        assert world.calls == submitted
        world.dies_at, world.after = dies_at, after
        ended = world.finish(job)
        assert world.calls >= dies_at
        assert (ended.state, ended.attempt) == (State.DONE, 1), (dies_at, ended.error)
        assert world.tiles(ended) == expected, dies_at
        assert len(world.views()) == 1
        assert len(world.memory_archive.tiles) == 1


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
@pytest.mark.parametrize("after", [False, True])
def test_submit_can_be_repeated_after_worker_death(dies_at: int, after: bool) -> None:
    world = World(dies_at=dies_at, after=after)
    world.put(small())
    with pytest.raises(Died):
        world.submit()
    job = world.submit()
    assert world.finish(job).state is State.DONE
    assert len(world.views()) == 1


def test_submit_of_published_slide_changes_nothing() -> None:
    world, job = published()
    again = world.submit()
    assert (again.id, again.attempt, again.state) == (job.id, 1, State.DONE)
    assert world.memory_queue.sent == []


def test_removed_slide_is_published_again_by_submit() -> None:
    world, job = published()
    world.memory_archive.remove_views(job.destination.session, None)
    again = world.finish(world.submit())
    assert (again.attempt, again.state) == (2, State.DONE)
    assert len(world.views()) == 1


def test_out_of_time_chunk_is_retried() -> None:
    world = World()
    world.put(small())
    job = world.submit()
    world.deliver(world.memory_queue.sent.pop(0))
    message = world.memory_queue.sent[0]
    assert world.deliver(message, seconds=4.0) == ["message-0"]
    noted = world.job(job)
    assert noted.last_transient_error is not None
    assert (noted.last_transient_error.code, noted.chunks_done) == ("out_of_time", frozenset())
    assert world.memory_queue.delayed == [("arn:aws:sqs:us-east-1:000000000000:slidehook-chunks", "receipt-0", 2)]
    assert world.finish(job).state is State.DONE


def test_concurrent_submits_restart_ended_job_once() -> None:
    world = World()
    world.put(small())
    job = world.submit()
    world.memory_slides.delete("incoming", "slide.svs")
    assert world.finish(job).state is State.FAILED
    world.put(small())
    concurrent: list[Job] = []

    def submit_first(write_: str) -> None:
        if write_ == "move" and not concurrent:
            concurrent.append(job)
            concurrent.append(world.submit())

    world.memory_jobs._before_write = submit_first
    again = world.submit()
    assert (again.attempt, concurrent[1].attempt) == (2, 2)
    assert [message.attempt for message in world.memory_queue.sent] == [2]
