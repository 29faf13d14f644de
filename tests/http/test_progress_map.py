"""The progress map of a job, and its tiles before publication."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.jobs.model import Job
from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import COLLECTION, SESSION, World


def map_of(call: Call, job: Job) -> dict[str, Any]:
    answer = call("GET", f"/jobs/{job.id}/map")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json_body
    return found


def cells(found: dict[str, Any]) -> str:
    return "".join("".join(level["cells"]) for level in found["levels"])


def step(world: World) -> None:
    world.deliver(world.memory_queue.sent.pop(0))


def test_map_fills_as_chunks_finish(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=700, height_px=500, levels=(0, 1))))
    job = world.submit()
    assert map_of(call, job)["levels"] == []
    step(world)
    planned = map_of(call, job)
    assert [(level["columns"], level["rows"], level["side"]) for level in planned["levels"]][:2] == [
        (11, 8, 1),
        (6, 4, 1),
    ]
    assert planned["levels"][0]["cells"] == ["0" * 11] * 8
    assert (planned["depth"], planned["levels"][1]["method"]) == (5, "passthrough")
    step(world)
    some = map_of(call, job)
    assert 0 < cells(some).count("9") < len(cells(some))
    world.run()
    assert set(cells(map_of(call, job))) == {"9"}


def test_map_contains_cost_so_far(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=700, height_px=500, levels=(0, 1))))
    estimate = call("POST", "/hooks/inspect", {"source": "s3://incoming/slide.svs"}).json_body["estimate"]
    job = world.submit()
    costs = [map_of(call, job)["cost"]["dollars"]]
    while world.memory_queue.sent:
        step(world)
        costs.append(map_of(call, job)["cost"]["dollars"])
    assert costs == sorted(costs)
    assert 0 < costs[0] < costs[-1]
    assert map_of(call, job)["cost"] == {
        "worker_seconds": estimate["worker_seconds"], "dollars": estimate["dollars"],
    }  # fmt: skip


def test_unchanged_map_is_not_sent_again(world: World, call: Call) -> None:
    job = world.submit()
    step(world)
    first = call("GET", f"/jobs/{job.id}/map")
    again = call("GET", f"/jobs/{job.id}/map", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.body) == (304, b"")
    world.run()
    assert call("GET", f"/jobs/{job.id}/map", If_None_Match=first.headers["ETag"]).status_code == 200


def test_map_lists_damaged_tiles_during_tiling(world: World, call: Call) -> None:
    data = write(Slide(width_px=700, height_px=500, levels=(0, 1), sparse=frozenset({(0, 3, 2)})))
    broken = bytearray(data)
    start = broken.index(b"\xff\xda")  # the first scan: the bytes after it are not JPEG any more
    broken[start : start + 200] = bytes(200)
    world.put(bytes(broken))
    job = world.submit()
    step(world)
    while world.job(job).tiles_bad == 0:
        step(world)
    (bad,) = map_of(call, job)["bad_tiles"]
    assert (bad["level"], bad["column"], bad["row"]) == (0, 0, 0)
    assert bad["reason"]
    world.run()
    assert map_of(call, job)["bad_tiles"] == [bad]


def test_map_of_verification_lists_findings(world: World, call: Call) -> None:
    job = world.submit()
    world.run()
    image = world.job(job).image
    del world.memory_archive.tiles["tiles", image]["t.jpg"]
    verification = call("POST", "/hooks/verify", {"job": job.id}).json_body
    world.run()
    found = call("GET", f"/jobs/{verification['id']}/map").json_body
    assert [each["reason"] for each in found["bad_tiles"]] == ["missing"]


def test_map_without_plan_is_uniform(world: World, call: Call) -> None:
    job = world.submit()
    step(world)
    world.memory_work.objects.clear()
    assert set(cells(map_of(call, job))) == {"0"}
    world.memory_jobs._jobs[job.id] = replace(world.job(job), plan_digest=None)
    assert set(cells(map_of(call, job))) == {"0"}


def test_staged_tiles_are_served_and_not_cached(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=700, height_px=500, levels=(0, 1))))
    job = world.submit()
    step(world)
    waiting = call("GET", f"/jobs/{job.id}/tiles/tqqqq.jpg")
    assert (waiting.status_code, waiting.json_body["code"]) == (404, "not_found")
    step(world)
    tile = call("GET", f"/jobs/{job.id}/tiles/tqqqq.jpg")
    assert (tile.status_code, tile.headers["Content-Type"], tile.headers["Cache-Control"]) == (
        200, "image/jpeg", "no-store",
    )  # fmt: skip
    assert tile.body[:2] == b"\xff\xd8"


def test_tiles_of_named_image_are_served_after_publishing(world: World, call: Call) -> None:
    job = world.submit(mongo_collection="0000000000000000000a0001")
    world.run()
    assert call("GET", f"/jobs/{job.id}/tiles/t.jpg").status_code == 200


@pytest.mark.parametrize("name", ["t.png", "t..jpg", "x.jpg", "t%2Fq.jpg", "t" + "q" * 60 + ".jpg"])
def test_invalid_tile_name_is_refused_without_lookup(world: World, call: Call, name: str) -> None:
    job = world.submit()
    world.run()
    before = world.calls
    assert call("GET", f"/jobs/{job.id}/tiles/{name}").status_code == 404
    assert world.calls <= before + 1  # the job itself


@pytest.mark.parametrize("path", ["map", "tiles/t.jpg"])
def test_map_and_tiles_require_token_and_job(world: World, call: Call, path: str) -> None:
    job = world.submit()
    world.settings = replace(world.settings, allow_anonymous_local_reads=False)
    assert call("GET", f"/jobs/{job.id}/{path}", token=None).status_code == 401
    assert call("GET", f"/jobs/{'0' * 32}/{path}").status_code == 404
    assert call("GET", f"/jobs/nothing/{path}").status_code == 404


def test_collections_are_listed_with_sessions(world: World, call: Call) -> None:
    found = call("GET", "/collections").json_body["collections"]
    assert (found[0]["id"], found[0]["label"]) == (COLLECTION, "Teaching")
    assert found[0]["sessions"] == [{"id": SESSION, "label": "Lung", "views": 0}]
    world.settings = replace(world.settings, allow_anonymous_local_reads=False)
    assert call("GET", "/collections", token=None).status_code == 401
