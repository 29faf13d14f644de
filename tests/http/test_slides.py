"""Slides and their tiles as viewers ask for them: addresses, caching, refusals."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from chalice.config import Config
from chalice.local import LocalDevServer
from chalice.test import HTTPResponse
from PIL import Image

from chalicelib.config import read_settings
from chalicelib.core.ids import tile_id
from chalicelib.core.jobs.model import Job, State
from chalicelib.core.web.slide_ids import mark_of
from chalicelib.entrypoints.http import tile_responses as pieces
from chalicelib.ports.archive import ImageFacts, Tile
from infra.local.api import Handler
from tests.slides import Slide, write
from tests.timeouts import TIMEOUT_SECONDS
from tests.world import DATABASE, SESSION, STORE, World

ROOT = Path(__file__).parent.parent.parent
Call = Callable[..., HTTPResponse]

NOWHERE = "0123456789abcdef01234567"
NAMED = "0000000000000000000a0001"
WEEK = "public, max-age=604800, immutable"


@pytest.fixture
def job(world: World) -> Job:
    """A published slide: 300 x 200 px in tiles of 64, so 5 x 4, 3 x 2, 2 x 1 and 1 tile."""
    return publish(world)


def publish(world: World, **options: Any) -> Job:
    found = world.finish(world.submit(**options))
    assert found.state is State.DONE
    return found


def view_of(job: Job) -> str:
    assert job.published is not None
    return job.published.view


def exact(job: Job) -> str:
    return f"{STORE}-{job.image}-{mark_of(f'{job.id}/{job.generation}')}"


def size_of(answer: HTTPResponse) -> tuple[int, int]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    return Image.open(io.BytesIO(answer.body)).size


class NoTiles:
    """An archive from which no tile may be read."""

    def __init__(self, archive: Any) -> None:
        self.archive = archive

    def __getattr__(self, name: str) -> Any:
        assert name != "tile", "a tile was read"
        return getattr(self.archive, name)


# -- descriptions ------------------------------------------------------------------------------------------------------


def test_slide_document_contains_viewer_metadata(call: Call, job: Job) -> None:
    answer = call("GET", f"/slides/{view_of(job)}")
    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        200, "application/json", "public, no-cache",
    )  # fmt: skip
    assert answer.json_body == {
        "id": view_of(job),
        "view": view_of(job),
        "image_store": STORE,
        "image": job.image,
        "generation": mark_of(f"{job.id}/0"),
        "job": job.id,
        "file_name": "slide.svs",
        "width_px": 300,
        "height_px": 200,
        "tile_size_px": 64,
        "mpp_x": None,
        "mpp_y": None,
        "magnification": None,
        "vendor": None,
        "levels": [
            {"level": 0, "width_px": 300, "height_px": 200, "columns": 5, "rows": 4},
            {"level": 1, "width_px": 150, "height_px": 100, "columns": 3, "rows": 2},
            {"level": 2, "width_px": 75, "height_px": 50, "columns": 2, "rows": 1},
            {"level": 3, "width_px": 38, "height_px": 25, "columns": 1, "rows": 1},
        ],
        "tiles": f"/slides/{exact(job)}/{{level}}/{{column}}_{{row}}.jpg",
        "links": {
            "self": f"/slides/{view_of(job)}",
            "dzi": f"/slides/{view_of(job)}.dzi",
            "iiif": f"/iiif/{view_of(job)}/info.json",
            "thumbnail": f"/slides/{exact(job)}/3/0_0.jpg",
        },
    }
    assert size_of(call("GET", answer.json_body["links"]["thumbnail"])) == (64, 64)
    for other in (f"{STORE}-{job.image}", exact(job)):
        found = call("GET", f"/slides/{other}").json_body
        assert (found["id"], found["view"], found["tiles"]) == (other, None, answer.json_body["tiles"])
    again = call("GET", f"/slides/{view_of(job)}", If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])


def test_slide_document_contains_scale_and_magnification(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=300, height_px=200, associated=True)), "aperio.svs")
    found = call("GET", f"/slides/{view_of(publish(world, key='aperio.svs'))}").json_body
    assert (found["mpp_x"], found["mpp_y"], found["magnification"], found["vendor"]) == (0.5, 0.5, 20.0, "Aperio")


def test_dzi_names_tiles_of_current_generation(call: Call, job: Job) -> None:
    answer = call("GET", f"/slides/{view_of(job)}.dzi", Host="slides.example")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/xml")
    assert ET.fromstring(answer.body).attrib["Url"] == f"http://slides.example/slides/{exact(job)}_files/"
    again = call("GET", f"/slides/{view_of(job)}.dzi", Host="slides.example", If_None_Match=answer.headers["ETag"])
    assert again.status_code == 304


def test_iiif_info_has_exact_address_as_id(world: World, call: Call, job: Job) -> None:
    answer = call("GET", f"/iiif/{view_of(job)}/info.json", Host="slides.example", X_Forwarded_Proto="https")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json_body["id"] == f"https://slides.example/iiif/{exact(job)}"
    world.settings = replace(world.settings, public_url="https://slides.hospital.example/viewer")
    info = call("GET", f"/iiif/{exact(job)}/info.json").json_body
    assert info["id"] == f"https://slides.hospital.example/viewer/iiif/{exact(job)}"
    redirect = call("GET", f"/iiif/{view_of(job)}")
    assert (redirect.status_code, redirect.headers["Location"]) == (
        303, f"https://slides.hospital.example/viewer/iiif/{view_of(job)}/info.json",
    )  # fmt: skip


def test_links_behind_api_gateway_contain_domain_and_stage(world: World, job: Job) -> None:
    import app

    event = {
        "requestContext": {
            "httpMethod": "GET", "resourcePath": "/iiif/{slide}/info.json", "path": f"/api/iiif/{view_of(job)}/info.json",
            "domainName": "abc.execute-api.example",
        },
        "headers": {"Host": "evil.example", "Authorization": "Bearer a token", "X-Forwarded-Proto": "https"},
        "pathParameters": {"slide": view_of(job)}, "stageVariables": {}, "body": None, "isBase64Encoded": False,
        "multiValueQueryStringParameters": None,
    }  # fmt: skip
    answer = app.app(event, None)
    assert json.loads(answer["body"])["id"] == f"https://abc.execute-api.example/api/iiif/{exact(job)}"


# -- tiles -------------------------------------------------------------------------------------------------------------


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


PATHS = [
    "/slides/{0}/0/4_3.jpg",
    "/slides/{0}_files/9/4_3.jpg",
    "/slides/{0}_files/2/0_0.jpg",
    "/iiif/{0}/full/38,25/0/default.jpg",
]


@pytest.mark.parametrize("path", [*PATHS, "/tile/{1}/{2}/tqqq.jpg", "/thumb?db={1}&img={2}"])
def test_known_etag_returns_304_without_reading_tiles(world: World, call: Call, job: Job, path: str) -> None:
    path = path.format(exact(job), STORE, job.image)
    first = call("GET", path)
    assert first.status_code == 200
    world.archive = NoTiles(world.memory_archive)
    for known in (first.headers["ETag"], f'"x", W/{first.headers["ETag"]}'):
        again = call("GET", path, If_None_Match=known)
        assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]


def test_etag_of_other_tile_or_crop_does_not_match(call: Call, job: Job) -> None:
    here = view_of(job)
    whole, cut = call("GET", f"/slides/{here}/0/4_3.jpg"), call("GET", f"/slides/{here}_files/9/4_3.jpg")
    other = call("GET", f"/slides/{here}/0/0_0.jpg")
    assert len({each.headers["ETag"] for each in (whole, cut, other)}) == 3
    for tag in (cut.headers["ETag"], other.headers["ETag"]):
        assert call("GET", f"/slides/{here}/0/4_3.jpg", If_None_Match=tag).body == whole.body


def test_foreign_tile_is_identified_by_content(world: World, call: Call) -> None:
    archive = world.memory_archive
    facts = ImageFacts(file_name="theirs.ptif", width_px=60, height_px=60, tile_size_px=64, levels=1)
    archive.add_view(NOWHERE, session=SESSION, image=NAMED, image_store=STORE, facts=facts)
    archive.tiles[DATABASE, NAMED] = {"t.jpg": Tile("t.jpg", 1, b"their jpeg", bytes(12))}
    answer = call("GET", f"/slides/{NOWHERE}/0/0_0.jpg")
    assert (answer.body, answer.headers["Cache-Control"]) == (b"their jpeg", "public, no-cache")
    for known in (answer.headers["ETag"], "*"):
        assert call("GET", f"/slides/{NOWHERE}/0/0_0.jpg", If_None_Match=known).status_code == 304
    found = call("GET", f"/slides/{NOWHERE}").json_body
    assert (found["generation"], found["job"]) == (None, None)
    assert found["tiles"] == f"/slides/{STORE}-{NAMED}/{{level}}/{{column}}_{{row}}.jpg"
    damaged = call("GET", f"/slides/{NOWHERE}_files/6/0_0.jpg")
    assert (damaged.status_code, damaged.json_body["code"]) == (404, "not_found")
    assert "is damaged" in damaged.json_body["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_exact_address_is_immutable_and_others_revalidate(world: World, call: Call, job: Job, path: str) -> None:
    def caching(address: str) -> str:
        return str(call("GET", path.format(address)).headers["Cache-Control"])

    assert caching(exact(job)) == WEEK
    assert caching(view_of(job)) == caching(f"{STORE}-{job.image}") == "public, no-cache"
    world.settings = replace(world.settings, allow_anonymous_local_reads=False)
    assert caching(exact(job)) == "private, max-age=604800, immutable"
    assert caching(view_of(job)) == "private, no-cache"


def test_republished_slide_has_new_tile_urls_and_keeps_old_ones(world: World, call: Call, job: Job) -> None:
    old = call("GET", f"/slides/{view_of(job)}").json_body["tiles"].format(level=0, column=0, row=0)
    before = call("GET", old)
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    new_job = publish(world)
    assert view_of(new_job) == view_of(job)
    new = call("GET", f"/slides/{view_of(job)}").json_body["tiles"].format(level=0, column=0, row=0)
    assert new != old
    assert call("GET", old).body == before.body
    assert call("GET", new).body == call("GET", f"/slides/{view_of(job)}/0/0_0.jpg").body != before.body


def test_replaced_named_image_is_not_found_under_old_address(world: World, call: Call) -> None:
    first = publish(world, mongo_collection=NAMED)
    old = call("GET", f"/slides/{view_of(first)}").json_body["tiles"].format(level=0, column=0, row=0)
    assert call("GET", old).headers["Cache-Control"] == "public, no-cache"
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    publish(world, mongo_collection=NAMED)
    gone = call("GET", old)
    assert (gone.status_code, gone.json_body["code"]) == (404, "not_found")
    assert "was replaced" in gone.json_body["detail"]
    new = call("GET", f"/slides/{view_of(first)}").json_body["tiles"].format(level=0, column=0, row=0)
    assert call("GET", new).status_code == 200


def test_exact_address_expires_if_image_is_named_later(world: World, call: Call, job: Job) -> None:
    assert call("GET", f"/slides/{exact(job)}/0/0_0.jpg").headers["Cache-Control"] == WEEK
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    later = publish(world, mongo_collection=job.image)
    assert later.image == job.image
    assert call("GET", f"/slides/{exact(job)}/0/0_0.jpg").status_code == 404
    assert call("GET", f"/slides/{exact(later)}/0/0_0.jpg").headers["Cache-Control"] == "public, no-cache"


# -- refusals ----------------------------------------------------------------------------------------------------------


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


def test_base_only_slide_serves_published_levels_only(world: World, call: Call) -> None:
    here = view_of(publish(world, base_only=True))
    found = call("GET", f"/slides/{here}").json_body
    assert [level["level"] for level in found["levels"]] == [0]
    assert found["links"]["thumbnail"] is None
    (listed,) = call("GET", f"/sessions/{SESSION}/slides").json_body["slides"]
    assert listed["links"]["thumbnail"] is None
    (job,) = call("GET", "/jobs").json_body["jobs"]
    for found in (job, call("GET", f"/jobs/{job['id']}").json_body):
        assert found["result"]["thumbnail"] is None
        assert "thumbnail" not in found["links"]
    assert size_of(call("GET", f"/slides/{here}/0/4_3.jpg")) == (64, 64)
    dzi = call("GET", f"/slides/{here}.dzi")
    assert dzi.status_code == 404
    assert "base_only" in dzi.json_body["detail"]
    assert size_of(call("GET", f"/iiif/{here}/0,0,64,64/64,64/0/default.jpg")) == (64, 64)


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


# -- HEAD, routes, imports ---------------------------------------------------------------------------------------------


def test_head_equals_get_without_body(call: Call, job: Job) -> None:
    here = view_of(job)
    for path in (
        *(path.format(here) for path in PATHS), f"/slides/{here}", f"/slides/{here}.dzi", f"/iiif/{here}/info.json",
        f"/tile/{STORE}/{job.image}/t.jpg", f"/tile?img={job.image}&db={STORE}&name=t.jpg",
        f"/thumb?img={job.image}&db={STORE}", f"/slides/{NOWHERE}",
    ):  # fmt: skip
        whole, head = call("GET", path), call("HEAD", path)
        # Each request has an id of its own.
        assert head.headers.pop("X-Request-Id") != whole.headers.pop("X-Request-Id")
        assert (head.status_code, head.headers, head.body) == (whole.status_code, whole.headers, b""), path


def test_head_over_http_has_no_body_and_keeps_connection(job: Job) -> None:
    import app

    # Chalice changes the app's class for a server of its own, and can do so once only.
    config = Config.create(chalice_app=app.app, app_name="slidehook", lambda_timeout=30, lambda_memory_size=512)
    server = LocalDevServer(app.app, config, "127.0.0.1", 0, handler_cls=Handler).server
    Thread(target=server.serve_forever, daemon=True).start()
    connection = HTTPConnection(*server.server_address[:2], timeout=TIMEOUT_SECONDS)
    try:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, f"/slides/{view_of(job)}_files/9/4_3.jpg")
            answer = connection.getresponse()
            body = answer.read()
            assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
            assert bool(body) is (method == "GET")
            assert ("Content-Length" in answer.headers) is (method == "GET")
    finally:
        connection.close()
        server.shutdown()
        server.server_close()


def test_routes_have_one_variable_per_position() -> None:
    """Of one place in a path it takes one variable only, whatever follows it."""
    import app

    variables: dict[str, set[str]] = {}
    for route in app.app.routes:
        parts = route.split("/")
        for index, part in enumerate(parts):
            if "{" in part:
                assert re.fullmatch(r"\{\w+\}", part)
                variables.setdefault("/".join(parts[:index]), set()).add(part)
    assert {place: names for place, names in variables.items() if len(names) > 1} == {}


SERVES_A_TILE = """
import json, sys
from types import SimpleNamespace
import app
from chalice.test import Client
from chalicelib.adapters.memory import MemoryArchive
from chalicelib.core.ids import tile_id
from chalicelib.ports.archive import ImageFacts, Tile
from dataclasses import replace

store, view, image = "0" * 23 + "d", "0" * 23 + "b", "0" * 23 + "a"
archive = MemoryArchive()
archive.add_store(store, database="tiles")
archive.add_session("s", collection="c")
facts = ImageFacts(file_name="a.svs", width_px=300, height_px=200, tile_size_px=64, levels=4)
archive.add_view(view, session="s", image=image, image_store=store, facts=facts)
archive.tiles["tiles", image] = {"tqqq.jpg": Tile("tqqq.jpg", 4, b"jpeg", tile_id("tqqq.jpg", b"jpeg"))}
app.services = SimpleNamespace(archive=archive, settings=replace(app.services.settings, allow_anonymous_local_reads=True))
paths = [f"/slides/{view}/0/0_0.jpg", f"/slides/{view}_files/9/0_0.jpg",
         f"/iiif/{view}/0,0,64,64/64,64/0/default.jpg", f"/tile/{store}/{image}/tqqq.jpg"]
with Client(app.app) as client:
    assert [client.http.get(path).body for path in paths] == [b"jpeg"] * 4
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules} | set(sys.modules))))
"""


def test_inner_tile_is_served_without_codecs() -> None:
    from tests.http.test_routes import SETTINGS

    command = [sys.executable, "-c", SERVES_A_TILE]
    ran = subprocess.run(command, cwd=ROOT, env=SETTINGS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    loaded = set(json.loads(ran.stdout))
    assert {"numpy", "tifffile", "simplejpeg", "imagecodecs", "PIL", "turbojpeg", "boto3"}.isdisjoint(loaded)
    assert "chalicelib.core.imaging.lossless_crop" in loaded


def test_public_url_can_be_configured() -> None:
    needed = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")
    values = {f"SLIDEHOOK_{name}": "set" for name in needed}
    assert read_settings(values).public_url == ""
    assert read_settings(values | {"SLIDEHOOK_PUBLIC_URL": "https://here/"}).public_url == "https://here"
