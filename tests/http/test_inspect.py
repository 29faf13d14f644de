"""The `inspect` hook: it predicts an upload and writes nothing."""

from typing import Any

import pytest

from chalicelib.core.tiff.range_file import BLOCK_BYTES
from chalicelib.steps.inspect import TIME_BOX_SECONDS
from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import BUCKET, World

SOURCE = {"source": f"s3://{BUCKET}/slide.svs"}


def test_inspection_predicts_the_upload(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=300, height_px=200, levels=(0, 2), associated=True, colour="rgb", tables=True)))
    found = call("POST", "/hooks/inspect", SOURCE).json_body
    job = world.finish(world.submit())
    assert found["verdict"] == "publish"
    assert [(level["method"], level["tiles"]) for level in found["levels"]] == [
        (level.method, level.tiles) for level in job.levels
    ]
    assert (found["tiles"], found["tile_bytes"], found["tile_size_px"]) == (job.tiles_total, job.bytes_total, 64)
    assert found["levels"][0]["stored"] == {"compression": "JPEG", "kind": "tiles", "width_px": 64, "height_px": 64}
    assert found["levels"][1]["stored"] is None
    assert found["slide"]["mpp_x"] == job.slide.mpp_x == 0.5
    assert (found["slide"]["magnification"], found["slide"]["vendor"]) == (20.0, "Aperio")
    assert found["associated"] == ["thumbnail", "label", "macro"]
    assert found["chunks"] == job.chunks_total
    assert found["estimate"]["seconds"] > 0
    assert 0 < found["estimate"]["dollars"] < 0.01
    assert found["requests"] <= 3


@pytest.mark.parametrize(("tile_size", "method"), [(None, "passthrough"), (128, "re-encoded"), (64, "passthrough")])
def test_inspection_accepts_options_of_an_upload(world: World, call: Call, tile_size: int | None, method: str) -> None:
    options = {"base_only": True} | ({"tile_size": tile_size} if tile_size else {})
    found = call("POST", "/hooks/inspect", SOURCE | options).json_body
    assert [level["method"] for level in found["levels"]] == [method]


def test_inspection_writes_nothing(world: World, call: Call) -> None:
    call("POST", "/hooks/inspect", SOURCE)
    assert world.memory_work.objects == {}
    assert world.memory_queue.sent == []
    assert world.memory_archive.tiles == {}
    assert call("GET", "/jobs").json_body["jobs"] == []


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"no TIFF at all", "not_a_tiff"), (write(Slide())[:2000], "truncated")],
)
def test_inspection_reports_why_upload_would_be_refused(world: World, call: Call, data: bytes, code: str) -> None:
    world.put(data)
    answer = call("POST", "/hooks/inspect", SOURCE)
    assert answer.status_code == 200
    assert (answer.json_body["verdict"], answer.json_body["reason"]["code"]) == ("refuse", code)
    assert answer.json_body["reason"]["hint"]


def test_inspection_refuses_invalid_requests_like_an_upload(world: World, call: Call) -> None:
    assert call("POST", "/hooks/inspect", {"source": f"s3://{BUCKET}/none.svs"}).json_body["code"] == "no_such_source"
    assert call("POST", "/hooks/inspect", {"source": "s3://other/slide.svs"}).status_code == 403
    assert call("POST", "/hooks/inspect", SOURCE | {"tile_size": 3}).status_code == 422
    assert call("POST", "/hooks/inspect", SOURCE | {"session": "x"}).json_body["errors"][0]["pointer"] == "/session"
    assert call("POST", "/hooks/inspect", SOURCE, token=None).status_code == 401


def test_inspection_times_out(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    read = world.memory_slides.read

    def slow(*arguments: Any) -> bytes:
        world.clock.advance(TIME_BOX_SECONDS + 1)
        return read(*arguments)

    monkeypatch.setattr(world.memory_slides, "read", slow)
    # The second directory follows the tiles of the first one, several blocks later.
    data = write(Slide(width_px=2500, height_px=2000, levels=(0, 1)))
    assert len(data) > 2 * BLOCK_BYTES
    world.put(data)
    answer = call("POST", "/hooks/inspect", SOURCE)
    assert (answer.status_code, answer.json_body["code"]) == (503, "inspection_timeout")
