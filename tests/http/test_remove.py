"""The `remove` hook over HTTP."""

import json
from typing import Any

import pytest

from chalicelib.core.jobs.backoff import LATE_SECONDS
from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import DATABASE, SESSION, World

NOWHERE = "0" * 24


def remove(call: Call, **asked: Any) -> tuple[int, dict[str, Any]]:
    answer = call("POST", "/hooks/remove", {"session": SESSION} | asked)
    return answer.status_code, json.loads(answer.body)


def published(world: World, key: str) -> tuple[str, str]:
    """Return (view, image) of a new slide."""
    world.put(write(Slide(width_px=300, height_px=200, seed=len(key))), key)
    job = world.finish(world.submit(key))
    assert job.published is not None
    return job.published.view, job.published.image


def run_cleanup(world: World) -> None:
    for seconds in (LATE_SECONDS, LATE_SECONDS, LATE_SECONDS):
        world.clock.advance(seconds + 1)
        world.minute()


def test_removed_slide_is_hidden_and_its_tiles_are_cleaned_up(world: World, call: Call) -> None:
    (view, image), (other, kept) = published(world, "a.svs"), published(world, "bb.svs")
    assert remove(call, views=[view]) == (200, {"session": SESSION, "views_removed": 1})
    assert world.views() == (other,)
    assert (DATABASE, image) in world.memory_archive.tiles
    run_cleanup(world)
    assert list(world.memory_archive.tiles) == [(DATABASE, kept)]
    assert list(world.memory_archive.images) == [(DATABASE, kept)]


def test_remove_is_idempotent(world: World, call: Call) -> None:
    view, _ = published(world, "a.svs")
    remove(call, views=[view])
    assert remove(call, views=[view, NOWHERE]) == (200, {"session": SESSION, "views_removed": 0})


def test_whole_session_is_removed_on_request(world: World, call: Call) -> None:
    for key in ("a.svs", "bb.svs"):
        published(world, key)
    assert remove(call, whole_session=True) == (200, {"session": SESSION, "views_removed": 2})
    run_cleanup(world)
    assert world.views() == ()
    assert world.memory_archive.tiles == {}


def test_removed_slide_can_be_submitted_again(world: World, call: Call) -> None:
    view, _ = published(world, "a.svs")
    remove(call, views=[view])
    run_cleanup(world)
    job = world.finish(world.submit("a.svs"))
    assert (job.attempt, len(world.views())) == (2, 1)
    assert world.tiles(job)


@pytest.mark.parametrize(
    "asked",
    [{}, {"views": []}, {"views": [NOWHERE], "whole_session": True}, {"views": ["x"]}, {"session": NOWHERE}],
)
def test_invalid_remove_request_is_refused(world: World, call: Call, asked: dict[str, Any]) -> None:
    published(world, "a.svs")
    status, problem = remove(call, **asked) if "session" not in asked else remove(call, whole_session=True, **asked)
    assert (status, len(world.views())) == (422, 1)
    assert problem["hint"]


def test_remove_requires_a_token(world: World, call: Call) -> None:
    published(world, "a.svs")
    assert call("POST", "/hooks/remove", {"session": SESSION, "whole_session": True}, token=None).status_code == 401
    assert len(world.views()) == 1
