"""Orphans: staged tiles that cleanup no longer finds are listed, and deleted on request."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.errors import UnsupportedError
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import Job, State
from chalicelib.steps import orphans as steps
from chalicelib.steps.cleanup import end_with_error
from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import DATABASE, World

NAMED = "00000000000000000000aaaa"


def cleaned_up_job(world: World) -> Job:
    """Return a job that failed while tiling, after its last cleanup."""
    job = world.submit()
    world.deliver(world.memory_queue.sent.pop(0))
    world.memory_queue.sent.clear()
    end_with_error(world.job(job), UnsupportedError("x"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert world.job(job).cleanup_at is None
    return job


def found(answer: Any) -> list[tuple[str, int, str]]:
    assert answer.status_code == 200, answer.body
    return [(each["job"], each["generation"], each["collection"]) for each in answer.json_body["orphans"]]


def test_late_tiles_after_last_cleanup_are_listed_and_deleted(world: World, call: Call) -> None:
    job = cleaned_up_job(world)
    world.memory_archive.stage(job)  # a worker was suspended for longer than cleanup waits
    world.clock.advance(10 * LATE_SECONDS)
    world.minute()
    expected = [(job.id, 0, job.staging())]
    assert found(call("GET", "/orphans")) == expected
    assert list(world.memory_archive.tiles) == [(DATABASE, job.staging())]
    assert found(call("DELETE", "/orphans")) == expected
    assert world.memory_archive.tiles == {}
    assert found(call("GET", "/orphans")) == []


def test_visible_live_and_foreign_tiles_are_not_orphans(world: World, call: Call) -> None:
    world.memory_archive.tiles[DATABASE, "f" * 24] = {}  # belongs to SlideAtlas
    done = world.finish(world.submit())
    world.clock.advance(LATE_SECONDS)
    world.minute()
    world.put(write(Slide(width_px=300, height_px=200, seed=3)), "other.svs")
    live = world.submit("other.svs")
    world.deliver(world.memory_queue.sent.pop(0))
    before = dict(world.memory_archive.tiles)
    assert found(call("DELETE", "/orphans")) == []
    assert world.memory_archive.tiles == before
    assert {name for _, name in before} == {"f" * 24, done.image, live.staging()}


def test_tiles_due_for_cleanup_are_not_orphans(world: World, call: Call) -> None:
    job = cleaned_up_job(world)
    world.memory_archive.stage(job)
    world.memory_jobs.schedule_cleanup(job.id, world.clock.now() + 60)
    assert found(call("GET", "/orphans")) == []


def test_staged_tiles_of_named_image_are_orphans(world: World, call: Call) -> None:
    done = world.finish(world.submit(mongo_collection=NAMED))
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert (done.state, world.job(done).cleanup_at) == (State.DONE, None)
    world.memory_archive.stage(done)
    assert found(call("DELETE", "/orphans")) == [(done.id, 0, done.staging())]
    assert list(world.memory_archive.tiles) == [(DATABASE, NAMED)]


def test_generation_kept_for_readers_is_not_an_orphan(world: World, call: Call) -> None:
    done = world.finish(world.submit())
    world.submit(force=True)
    world.memory_queue.sent.clear()
    end_with_error(world.job(done), UnsupportedError("x"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert (world.job(done).cleanup_at, world.job(done).discarded) == (None, (0,))
    assert found(call("DELETE", "/orphans")) == []
    assert (DATABASE, done.image) in world.memory_archive.tiles


def test_orphans_are_searched_page_by_page(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    job = cleaned_up_job(world)
    world.memory_archive.stage(job)
    for number in range(4):
        source = replace(job.source, key=f"{number}.svs")
        world.memory_jobs.create(replace(job, id=f"{number:032x}", source=source, updated_at=float(number)))
    monkeypatch.setattr(steps, "PAGE", 2)
    looked, pages, recorded, cursor = 0, 0, [], ""
    while cursor is not None:
        answer = call("GET", f"/orphans?cursor={cursor}")
        recorded += found(answer)
        looked, pages, cursor = looked + answer.json_body["jobs"], pages + 1, answer.json_body["next"]
    assert (looked, pages, recorded) == (5, 3, [(job.id, 0, job.staging())])


def test_orphans_require_token_and_valid_cursor(call: Call) -> None:
    assert call("GET", "/orphans", token=None).status_code == 401
    assert call("DELETE", "/orphans", token=None).status_code == 401
    assert call("DELETE", "/orphans?cursor=x").status_code == 422
