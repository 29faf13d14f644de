"""What ends badly, what is left over, and what would be forgotten."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from chalicelib.adapters.memory import MemoryClock
from chalicelib.core.errors import (
    MongoUnavailableError,
    PlanExpiredError,
    RetriesExhaustedError,
    SlidehookError,
    SourceChangedError,
    SourceGoneError,
    UnsupportedError,
    VerificationError,
)
from chalicelib.core.jobs.backoff import GRACE_SECONDS, LATE_SECONDS, MAX_RESCUES
from chalicelib.core.jobs.model import Job, Problem, State
from chalicelib.core.plan.messages import Message
from chalicelib.core.timestamps import instant
from chalicelib.entrypoints.http.schemas.jobs import job_document
from chalicelib.steps.cleanup import BATCH as SWEEPS
from chalicelib.steps.cleanup import KEEP_SECONDS, clean_up, due_for_cleanup, end_with_error
from chalicelib.steps.cleanup import RESERVE_SECONDS as SWEEP_RESERVE_SECONDS
from chalicelib.steps.control import recreate_session
from chalicelib.steps.finish import finish
from chalicelib.steps.plan import plan
from chalicelib.steps.rescue import BATCH, RESERVE_SECONDS, rescue, retries_exhausted, silent_jobs
from chalicelib.steps.tile import tile
from tests.contracts.samples import a_job
from tests.slides import Slide, write
from tests.world import DATABASE, SESSION, Died, World

SLIDE = write(Slide(width_px=300, height_px=200))


def tiling() -> tuple[World, Job]:
    """A job whose first chunk is done."""
    world = World()
    world.put(SLIDE)
    job = world.submit()
    for _ in range(2):
        world.deliver(world.memory_queue.sent.pop(0))
    assert world.job(job).state is State.TILING
    assert world.job(job).tiles_done > 0
    return world, world.job(job)


def ports(world: World, *names: str) -> dict:
    return {name: getattr(world, name) for name in names}


ALL = ("jobs", "archive", "clock")


def test_a_permanent_error_ends_the_job_and_clears_what_it_staged() -> None:
    world, job = tiling()
    end_with_error(job, UnsupportedError("it is in strips"), **ports(world, *ALL))
    ended = world.job(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code, ended.error.message) == (State.FAILED, "unsupported", "it is in strips")
    assert world.memory_archive.tiles == {}
    assert (ended.generation, ended.discarded) == (1, (0,))


def test_what_a_transient_error_left_serves_the_next_attempt() -> None:
    world, job = tiling()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *ALL))
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


def test_what_nobody_comes_back_for_is_swept_and_looked_at_once_more() -> None:
    world, job = tiling()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *ALL))
    world.minute()
    assert world.memory_archive.tiles != {}
    world.clock.advance(KEEP_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}
    # A worker that was asleep writes to the dropped name: nobody reads it, and it is dropped again.
    world.memory_archive.stage(job)
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}
    assert (world.job(job).discarded, world.job(job).cleanup_at) == ((), None)


def test_an_attempt_that_begins_while_the_sweeper_is_at_it_loses_nothing() -> None:
    world, job = tiling()
    end_with_error(job, UnsupportedError("x"), **ports(world, *ALL))
    again = world.finish(world.submit())
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert (again.state, again.generation) == (State.DONE, 1)
    assert len(world.tiles(again)) == again.tiles_total


def test_the_tiles_of_an_attempt_after_the_first_are_swept_as_well() -> None:
    world, job = tiling()
    end_with_error(job, UnsupportedError("x"), **ports(world, *ALL))
    again = world.finish(world.submit())
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    newer = world.finish(world.submit())
    for _ in range(2):
        world.clock.advance(LATE_SECONDS)
        world.minute()
    assert (again.attempt, world.tiles(again)) == (2, {})
    assert list(world.memory_archive.tiles) == [(DATABASE, newer.image)]


def test_what_a_worker_of_an_earlier_attempt_leaves_is_swept_also_where_the_next_one_went_well() -> None:
    world, job = tiling()
    end_with_error(job, UnsupportedError("x"), **ports(world, *ALL))
    again = world.finish(world.submit())
    world.memory_archive.stage(job)  # of the first attempt, late
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert list(world.memory_archive.tiles) == [(DATABASE, again.image)]
    assert (world.job(again).discarded, world.job(again).cleanup_at) == ((), None)


def test_a_slide_for_a_named_image_that_another_one_has_taken_can_be_submitted_again() -> None:
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


def test_what_readers_see_is_never_swept() -> None:
    world, job = tiling()
    done = world.finish(job)
    world.memory_jobs.schedule_cleanup(done.id, world.clock.now())
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert len(world.tiles(done)) == done.tiles_total
    assert world.job(done).cleanup_at is None


def test_settling_and_sweeping_leave_alone_what_is_not_theirs() -> None:
    world, job = tiling()
    clean_up(job, **ports(world, *ALL))
    done = world.finish(job)
    end_with_error(done, UnsupportedError("x"), **ports(world, *ALL))
    assert world.job(done) == done
    # Somebody else was faster: what `settle` was told of the job is old.
    end_with_error(job, UnsupportedError("x"), **ports(world, *ALL))
    assert world.job(done) == done
    assert len(world.tiles(done)) == done.tiles_total


def test_a_sweeper_that_was_overtaken_drops_nothing() -> None:
    world, job = tiling()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *ALL))
    seen = replace(world.job(job), cleanup_at=world.clock.now())
    world.submit()
    clean_up(seen, **ports(world, *ALL))
    assert world.memory_archive.tiles != {}


@pytest.mark.parametrize("state", ["queued", "planning", "tiling", "finishing"])
def test_a_job_whose_messages_were_lost_is_sent_on_its_way_again(state: str) -> None:
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
    assert world.memory_queue.sent == []  # not silent for long enough yet
    world.clock.advance(91)
    world.minute()
    assert world.memory_queue.sent != []
    assert world.finish(job).state is State.DONE


def test_a_job_in_finishing_is_finished_again() -> None:
    from chalicelib.core.jobs.transitions import finishing

    world, job = tiling()
    while any(message.step == "tile" for message in world.memory_queue.sent):
        world.deliver(world.memory_queue.sent.pop(0))
    stored = world.job(job)
    assert world.memory_jobs.move(stored, finishing(stored, bad_tiles=(), now=world.clock.now()))
    world.memory_queue.sent.clear()
    world.clock.advance(91)
    world.minute()
    assert world.memory_queue.sent == [Message(step="finish", job=job.id, attempt=1)]
    assert world.finish(job).state is State.DONE


def test_patience_grows_with_every_rescue_and_ends_with_the_last_error() -> None:
    world, job = tiling()
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
    assert "64 tries; the last error was: MongoDB is away" in ended.error.message


def of_many(world: World, state: State, count: int, **changes: object) -> list[Job]:
    """Store many jobs of a state."""
    made = [replace(a_job(f"{state}{number}.svs"), state=state, **changes) for number in range(count)]
    for job in made:
        world.memory_jobs.create(job)
    return made


def test_a_new_silent_job_is_rescued_although_thousands_of_troubled_ones_are_silent_for_longer() -> None:
    world = World()
    now = world.clock.now()
    for state in (State.QUEUED, State.TILING):
        of_many(world, state, 12 * BATCH, updated_at=now - 3000, rescues=9)  # their patience is an hour
    world.put(SLIDE)
    job = world.submit()
    world.memory_queue.sent.clear()
    world.clock.advance(91)
    world.minute()
    assert [message.job for message in world.memory_queue.sent] == [job.id]
    assert world.job(job).rescues == 1


def test_a_slide_is_swept_although_hundreds_before_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    world, job = tiling()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *ALL))
    of_many(world, State.FAILED, 3 * SWEEPS, cleanup_at=1.0)
    real, last = world.memory_archive.discard, world.memory_archive

    def away(each: Job, generation: int) -> bool:
        if each.id != job.id:
            raise MongoUnavailableError("the database of these is away")
        return real(each, generation)

    monkeypatch.setattr(last, "shows", lambda each: each.id != job.id)  # so that each look is a second one
    monkeypatch.setattr(last, "discard", away)
    for each in world.memory_jobs._all():
        if each.id != job.id:
            world.memory_jobs._jobs[each.id] = replace(each, discarded=(0,))
    world.clock.advance(KEEP_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}
    assert sum(each.cleanup_at == 1.0 for each in world.memory_jobs._all()) == 3 * SWEEPS


def test_the_sweeper_leaves_time_for_what_comes_after() -> None:
    world = World()
    of_many(world, State.FAILED, 3 * SWEEPS, cleanup_at=1.0)
    clock = MemoryClock(world.clock.now(), remaining_seconds=SWEEP_RESERVE_SECONDS + 9.5)
    for _ in due_for_cleanup(jobs=world.jobs, clock=clock):
        clock.advance(1)
    assert clock.remaining == SWEEP_RESERVE_SECONDS - 0.5
    assert len(list(due_for_cleanup(jobs=world.jobs, clock=world.clock))) == 3 * SWEEPS


def test_the_states_take_turns() -> None:
    world = World()
    for state in (State.FINISHING, State.QUEUED):
        of_many(world, state, 2 * BATCH + 1, updated_at=world.clock.now() - 3000)
    found = [job.state for job in silent_jobs(**ports(world, "jobs", "clock"))]
    finishing, queued = [State.FINISHING], [State.QUEUED]
    assert found == 2 * (BATCH * finishing + BATCH * queued) + finishing + queued


@pytest.mark.parametrize("most", [0, 1, BATCH, BATCH + 5])
def test_no_more_silent_jobs_are_looked_at_than_there_is_time_for(most: int) -> None:
    world = World()
    of_many(world, State.QUEUED, 3 * BATCH, updated_at=world.clock.now() - 3000)
    clock = MemoryClock(world.clock.now(), remaining_seconds=RESERVE_SECONDS + most - 0.5)
    rescued = 0
    for job in silent_jobs(jobs=world.jobs, clock=clock):
        rescue(job, **ports(world, "jobs", "work", "queue"), clock=clock)
        rescued += 1
        clock.advance(1)
    assert rescued == most
    # The next minute goes on with the others: who was rescued is silent no more.
    assert len(list(silent_jobs(jobs=world.jobs, clock=world.clock))) == 3 * BATCH - most


def test_rescue_gives_up_without_a_known_error_as_well() -> None:
    world, job = tiling()
    with pytest.raises(RetriesExhaustedError, match=r"no progress in 64 tries$"):
        rescue(replace(job, rescues=MAX_RESCUES), **ports(world, "jobs", "work", "queue", "clock"))


def test_two_rescuers_send_once() -> None:
    world, job = tiling()
    world.memory_queue.sent.clear()
    for _ in range(2):
        rescue(job, **ports(world, "jobs", "work", "queue", "clock"))
    assert len({message.chunk for message in world.memory_queue.sent}) == len(world.memory_queue.sent)


def test_a_lost_plan_ends_the_job_and_the_next_attempt_plans_anew() -> None:
    world, job = tiling()
    world.memory_work.objects.clear()
    with pytest.raises(PlanExpiredError):
        rescue(job, **ports(world, "jobs", "work", "queue", "clock"))
    ended = world.finish(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (State.FAILED, "plan_expired")
    assert world.finish(world.submit()).state is State.DONE


def test_giving_up_names_the_step_and_what_is_known_of_the_reason() -> None:
    _, job = tiling()
    silent = retries_exhausted(job, Message(step="tile", job=job.id, attempt=1, chunk=3))
    assert str(silent).startswith("chunk 3 failed after the maximum number of retries")
    assert "stopped each time without an error" in str(silent)
    known = retries_exhausted(
        replace(job, last_transient_error=Problem(code="c", message="m", hint="h")),
        Message(step="plan", job=job.id, attempt=1),
    )
    assert str(known) == "the step 'plan' failed after the maximum number of retries: m (c)"


@pytest.mark.parametrize("harm", ["dropped", "altered", "doubled"])
def test_tiles_that_are_not_what_was_written_are_not_published(harm: str) -> None:
    world, job = tiling()
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
        finish(world.job(job), **ports(world, *ALL, "work", "slides"))
    assert world.views() == ()
    world.run()
    assert world.job(job).state is State.FAILED
    assert world.finish(world.submit()).state is State.DONE


def test_steps_do_nothing_for_a_job_that_is_elsewhere() -> None:
    world, job = tiling()
    done = world.finish(job)
    before = world.tiles(done)
    plan(done, chunk_bytes=1, **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"))
    tile(done, 0, threads=1, cores=1, **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"))
    finish(done, **ports(world, *ALL, "work", "slides"))
    # An old view of the job: somebody else has moved it since.
    plan(
        replace(done, state=State.QUEUED),
        chunk_bytes=1,
        **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"),
    )
    finish(replace(done, state=State.TILING), **ports(world, *ALL, "work", "slides"))
    assert world.memory_queue.sent == []
    assert world.job(done) == done
    assert world.tiles(done) == before


def test_a_chunk_of_an_attempt_that_is_over_changes_nothing() -> None:
    world, job = tiling()
    end_with_error(job, MongoUnavailableError("away"), **ports(world, *ALL))
    missing = next(number for number in range(job.chunks_total) if number not in job.chunks_done)
    world.memory_queue.sent.clear()
    tile(job, missing, threads=3, cores=1, **ports(world, "slides", "jobs", "archive", "work", "queue", "clock"))
    assert world.job(job).chunks_done == job.chunks_done
    assert world.memory_queue.sent == []


def test_a_session_is_emptied_and_its_slides_are_swept_after_a_while() -> None:
    world, job = tiling()
    done = world.finish(job)
    assert recreate_session(SESSION, **ports(world, *ALL)) == 1
    assert world.views() == ()
    world.minute()
    assert world.tiles(done) != {}
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}


def test_the_status_document_says_where_a_job_stands() -> None:
    world, job = tiling()
    world.clock.advance(10)
    document = job_document(job, now=world.clock.now())
    assert document["state"] == "tiling"
    assert document["tiles"] == {"done": job.tiles_done, "total": 29}
    assert document["chunks"] == {"done": 1, "total": job.chunks_total}
    assert document["rate"] == {
        "tiles_per_second": round(job.tiles_done / 10, 1),
        "bytes_per_second": round(job.bytes_done / 10, 1),
    }
    assert document["eta_seconds"] == round((29 - job.tiles_done) * 10 / job.tiles_done, 1)
    assert (document["result"], document["error"], document["last_transient_error"]) == (None, None, None)
    troubled = job_document(
        replace(job, last_transient_error=Problem(code="c", message="m", hint="h")), now=world.clock.now()
    )
    assert troubled["last_transient_error"] == {"code": "c", "message": "m", "hint": "h"}
    done = job_document(world.finish(job), now=world.clock.now())
    assert (done["state"], done["tiles"], done["eta_seconds"]) == ("done", {"done": 29, "total": 29}, None)
    result = done["result"]
    assert isinstance(result, dict)
    assert result["thumbnail"] == f"/thumb?img={result['image']}&db={result['image_store']}"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["done"]  # type: ignore[attr-defined]


def test_a_queued_job_has_no_rate_yet() -> None:
    world = World()
    world.put(SLIDE)
    document = job_document(world.submit(), now=world.clock.now())
    assert (document["rate"], document["eta_seconds"], document["levels"]) == (
        {"tiles_per_second": None, "bytes_per_second": None}, None, [],
    )  # fmt: skip


def test_instants_are_iso_8601_in_utc() -> None:
    assert instant(0.0) == "1970-01-01T00:00:00.000Z"
    assert instant(1767323045.25) == "2026-01-02T03:04:05.250Z"
    assert instant(None) is None


def test_what_a_finisher_replaced_before_it_died_is_swept_although_its_job_fails() -> None:
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
            # It switches the view, and dies before it tells the sweeper of the first.
            world.memory_jobs.schedule_cleanup = _die  # type: ignore[method-assign]
            with pytest.raises(Died):
                world.deliver(message)
            del world.memory_jobs.schedule_cleanup
        else:
            world.deliver(message)
    end_with_error(world.job(job), RetriesExhaustedError("given up"), **ports(world, *ALL))
    cleanup_at = world.job(first).cleanup_at
    assert cleanup_at is not None
    assert cleanup_at >= world.clock.now() + GRACE_SECONDS


def _die(*_: object, **__: object) -> None:
    raise Died


@pytest.mark.parametrize("error", [SourceChangedError("overwritten"), SourceGoneError("deleted")])
def test_who_finds_the_source_changed_after_another_began_to_publish_ends_nothing(error: SlidehookError) -> None:
    world, job = tiling()
    world.memory_archive.publish = _die  # type: ignore[method-assign]
    while world.job(job).state is not State.FINISHING:
        message = world.memory_queue.sent.pop(0)
        with pytest.raises(Died) if message.step == "finish" else nullcontext():
            world.deliver(message)
    del world.memory_archive.publish
    end_with_error(world.job(job), error, **ports(world, *ALL))
    assert world.job(job).state is State.FINISHING
    assert world.finish(job).state is State.DONE
