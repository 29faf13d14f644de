"""Tiles in the protocols of viewers, and requests that are refused."""

import json
from dataclasses import replace

import pytest

from chalicelib.core.ids import tile_id
from chalicelib.core.jobs.model import Job
from chalicelib.entrypoints.http import tile_responses as pieces
from chalicelib.ports.archive import Tile
from tests.http.client import Call
from tests.http.slides import NOWHERE, PATHS, exact, publish, size_of, view_of
from tests.slides import Slide, write
from tests.world import DATABASE, STORE, World


def test_all_protocols_return_the_same_tile(world: World, call: Call, job: Job) -> None:
    stored = world.tiles(job)["tqq.jpg"]  # level 1, column 0, row 0
    for address in (view_of(job), f"{STORE}-{job.image}", exact(job)):
        for path in (
            f"/slides/{address}/1/0_0.jpg",
            f"/slides/{address}_files/8/0_0.jpg",
            f"/iiif/{address}/0,0,128,128/64,64/0/default.jpg",
            f"/iiif/{address}/0%2C0%2C128%2C128/64%2C64/0/default.jpg",
        ):
            answer = call("GET", path)
            assert (answer.status_code, answer.body) == (200, stored), path
            assert answer.headers["ETag"] == f'"tqq.{tile_id("tqq.jpg", stored).hex()}"'


def test_slidehook_tiles_are_whole_and_others_cropped(call: Call, job: Job) -> None:
    here = view_of(job)
    assert size_of(call("GET", f"/slides/{here}/0/4_3.jpg")) == (64, 64)
    assert size_of(call("GET", f"/slides/{here}_files/9/4_3.jpg")) == (44, 8)
    assert size_of(call("GET", f"/iiif/{here}/256,192,44,8/44,8/0/default.jpg")) == (44, 8)
    assert size_of(call("GET", f"/iiif/{here}/full/38,25/0/default.jpg")) == (38, 25)
    assert size_of(call("GET", f"/iiif/{here}/full/max/0/default.jpg")) == (38, 25)
    levels = [size_of(call("GET", f"/slides/{here}_files/{level}/0_0.jpg")) for level in range(7)]
    assert levels == [(1, 1), (2, 1), (3, 2), (5, 4), (10, 7), (19, 13), (38, 25)]


def test_unknown_slide_paths_are_not_found(call: Call, job: Job) -> None:
    here = view_of(job)
    for path in (
        "/slides/x", f"/slides/{NOWHERE}", f"/slides/{NOWHERE}.dzi", f"/slides/{STORE}-{NOWHERE}",
        f"/slides/{NOWHERE}-{job.image}", f"/slides/{STORE}-{job.image}-00000000", f"/slides/{here}.png",
        f"/slides/{NOWHERE}/0/0_0.jpg", f"/slides/{here}/4/0_0.jpg", f"/slides/{here}/0/5_0.jpg", f"/slides/{here}/0/0_4.jpg",
        f"/slides/{here}/0/0_0.png", f"/slides/{here}/x/0_0.jpg", f"/slides/{here}_files/10/0_0.jpg",
        f"/slides/{here}_files/3/1_0.jpg", f"/slides/{here}.dzi/9/0_0.jpg", "/iiif/x", "/iiif/x/info.json", f"/iiif/{NOWHERE}/info.json",
        f"/iiif/{NOWHERE}/full/max/0/default.jpg", f"/slides/{'x' * 3000}",
    ):  # fmt: skip
        answer = call("GET", path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json"), path
        assert answer.json_body["code"] == "not_found"


def test_unsupported_iiif_request_is_a_bad_request(call: Call, job: Job) -> None:
    for part in (
        "full/max/90/default.jpg", "full/max/0/default.png", "full/max/!0/default.jpg", "full/max/0/gray.jpg",
        "full/300,200/0/default.jpg", "pct:0,0,50,50/max/0/default.jpg", "0,0,64,64/32,32/0/default.jpg",
    ):  # fmt: skip
        answer = call("GET", f"/iiif/{view_of(job)}/{part}")
        assert (answer.status_code, answer.json_body["code"]) == (400, "bad_address"), part


def test_sparse_tile_is_not_found_in_any_protocol(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=300, height_px=200, sparse=frozenset({(0, 1, 0)}))), "sparse.svs")
    here = view_of(publish(world, key="sparse.svs"))
    for path in (
        f"/slides/{here}/0/1_0.jpg",
        f"/slides/{here}_files/9/1_0.jpg",
        f"/iiif/{here}/64,0,64,64/64,64/0/default.jpg",
    ):
        answer = call("GET", path)
        assert (answer.status_code, answer.json_body["code"]) == (404, "not_found"), path
        assert "the file omits it" in answer.json_body["detail"]


def test_tile_over_response_limit_is_refused_with_hint(
    world: World, call: Call, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = bytes(pieces.MAX_RESPONSE_BYTES + 1)
    stored = world.memory_archive.tiles[DATABASE, job.image]
    stored["tqqq.jpg"] = Tile("tqqq.jpg", 4, large, tile_id("tqqq.jpg", large))
    answer = call("GET", f"/slides/{exact(job)}/0/0_0.jpg")
    assert (answer.status_code, answer.json_body["code"]) == (413, "response_too_large")
    assert "has 4400001 bytes; a response has at most 4400000" in answer.json_body["detail"]
    assert "tile_size" in answer.json_body["hint"]
    theirs = call("GET", f"/tile/{STORE}/{job.image}/tqqq.jpg")
    assert (theirs.status_code, list(theirs.json_body)) == (413, ["error"])
    stored["tqqq.jpg"] = Tile("tqqq.jpg", 4, large[1:], tile_id("tqqq.jpg", large[1:]))
    assert call("GET", f"/slides/{exact(job)}/0/0_0.jpg").body == large[1:]


def test_largest_response_fits_through_lambda(world: World, job: Job) -> None:
    import app

    body = bytes(pieces.MAX_RESPONSE_BYTES)
    world.memory_archive.tiles[DATABASE, job.image]["t.jpg"] = Tile("t.jpg", 1, body, tile_id("t.jpg", body))
    event = {
        "requestContext": {"httpMethod": "GET", "resourcePath": "/thumb", "path": "/thumb"},
        "headers": {"Authorization": "Bearer a token"}, "pathParameters": {}, "stageVariables": {}, "body": None,
        "isBase64Encoded": False, "multiValueQueryStringParameters": {"img": [job.image], "db": [STORE]},
    }  # fmt: skip
    answer = app.app(event, None)
    assert answer["statusCode"] == 200
    assert len(json.dumps(answer)) < 6 * 1024 * 1024 - 100_000


@pytest.mark.parametrize(
    "name", ["", "x.jpg", "t.png", "tx.jpg", "t.jpg\r\nSet-Cookie: a=b", '"t.jpg', "t" + "q" * 40 + ".jpg"]
)
def test_invalid_slideatlas_tile_name_is_not_found(call: Call, job: Job, name: str) -> None:
    from urllib.parse import quote

    answer = call("GET", f"/tile?img={job.image}&db={STORE}&name={quote(name)}")
    assert (answer.status_code, list(answer.json_body)) == (404, ["error"])


def test_slide_routes_require_a_token(world: World, call: Call, job: Job) -> None:
    world.settings = replace(world.settings, allow_anonymous_local_reads=False)
    here = view_of(job)
    for path in (
        *(path.format(here) for path in PATHS), f"/slides/{here}", f"/slides/{here}.dzi", f"/iiif/{here}",
        f"/iiif/{here}/info.json", f"/tile/{STORE}/{job.image}/t.jpg", f"/thumb?img={job.image}&db={STORE}",
    ):  # fmt: skip
        tag = call("GET", path).headers.get("ETag", "")
        assert call("GET", path, token=None, If_None_Match=tag).status_code == 401, path
