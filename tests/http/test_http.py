"""What callers see of the API: answers, refusals, and what they point at."""

import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from chalice.test import HTTPResponse
from PIL import Image

from chalicelib.config import MissingSettingError, WrongSettingError, find_service, read_settings
from chalicelib.core.errors import ConflictError, MongoUnavailableError
from chalicelib.core.jobs.model import State
from chalicelib.entrypoints.http.responses import problem
from chalicelib.ports.archive import ImageFacts
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, OTHER_COLLECTION, OTHER_SESSION, SESSION, STORE, World

Call = Callable[..., HTTPResponse]

GOOD = {"source": f"s3://{BUCKET}/slide.svs", "collection": COLLECTION, "session": SESSION}
NOWHERE = "0123456789abcdef01234567"


def done(world: World, call: Call, **options: Any) -> dict[str, Any]:
    job = call("POST", "/hooks/upload", GOOD | options).json_body
    world.run()
    found: dict[str, Any] = call("GET", f"/jobs/{job['id']}").json_body
    assert found["state"] == "done"
    return found


def test_upload_is_accepted_with_location_and_retry_after(world: World, call: Call) -> None:
    answer = call("POST", "/hooks/upload", GOOD)
    assert answer.status_code == 202
    job = answer.json_body
    assert answer.headers["Location"] == f"/jobs/{job['id']}"
    assert answer.headers["Retry-After"] == "1"
    assert (job["state"], job["hook"], job["attempt"], job["links"]["self"]) == (
        "queued",
        "upload",
        1,
        f"/jobs/{job['id']}",
    )
    assert call("POST", "/hooks/upload", GOOD).json_body["id"] == job["id"]
    status = call("GET", f"/jobs/{job['id']}")
    assert (status.status_code, status.headers["Retry-After"], status.headers["Cache-Control"]) == (
        200,
        "1",
        "no-store",
    )
    world.run()
    ended = call("GET", f"/jobs/{job['id']}")
    assert ended.json_body["state"] == "done"
    assert "Retry-After" not in ended.headers


def test_ids_are_accepted_in_upper_case(world: World, call: Call) -> None:
    assert call("POST", "/hooks/upload", GOOD | {"session": SESSION.upper()}).status_code == 202


REFUSED: list[tuple[dict[str, Any], int, str, list[str]]] = [
    ({"source": f"s3://{BUCKET}/nothing.svs"}, 422, "no_such_source", ["/source"]),
    ({"source": f"s3://{BUCKET}/text.svs"}, 422, "not_a_tiff", ["/source"]),
    ({"source": f"s3://{BUCKET}/empty.svs"}, 422, "empty_source", ["/source"]),
    ({"source": "s3://secrets/slide.svs"}, 403, "bucket_not_allowed", ["/source"]),
    ({"source": "http://example.com/a.svs"}, 422, "invalid_request", ["/source"]),
    ({"source": 7}, 422, "invalid_request", ["/source"]),
    ({"source": None}, 422, "invalid_request", ["/source"]),
    ({"collection": NOWHERE}, 422, "no_such_collection", ["/collection"]),
    ({"session": NOWHERE}, 422, "no_such_session", ["/session"]),
    ({"session": OTHER_SESSION}, 422, "session_not_in_collection", ["/session"]),
    ({"collection": OTHER_COLLECTION}, 422, "session_not_in_collection", ["/session"]),
    ({"collection": "abc"}, 422, "invalid_request", ["/collection"]),
    ({"session": NOWHERE + "0"}, 422, "invalid_request", ["/session"]),
    ({"session": {"$ne": None}}, 422, "invalid_request", ["/session"]),
    ({"mongo_collection": "tiles"}, 422, "invalid_request", ["/mongo_collection"]),
    ({"tile_size": 0}, 422, "invalid_request", ["/tile_size"]),
    ({"tile_size": -1}, 422, "invalid_request", ["/tile_size"]),
    ({"tile_size": 100_000}, 422, "invalid_request", ["/tile_size"]),
    ({"tile_size": "abc"}, 422, "invalid_request", ["/tile_size"]),
    ({"tile_size": True}, 422, "invalid_request", ["/tile_size"]),
    ({"tile_size": 256.5}, 422, "invalid_request", ["/tile_size"]),
    ({"base_only": "yes"}, 422, "invalid_request", ["/base_only"]),
    ({"tilesize": 256}, 422, "invalid_request", ["/tilesize"]),
    ({"session": "x", "tile_size": 0}, 422, "invalid_request", ["/session", "/tile_size"]),
]


@pytest.mark.parametrize(("change", "status", "code", "pointers"), REFUSED, ids=lambda value: str(value)[:40])
def test_invalid_upload_is_refused_and_changes_nothing(
    world: World, call: Call, change: dict[str, Any], status: int, code: str, pointers: list[str]
) -> None:
    world.memory_slides.put(BUCKET, "text.svs", b"no TIFF at all")
    world.memory_slides.put(BUCKET, "empty.svs", b"")
    answer = call("POST", "/hooks/upload", GOOD | change)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    found = answer.json_body
    assert (found["status"], found["code"]) == (status, code)
    assert [each["pointer"] for each in found["errors"]] == pointers
    assert found["detail"]
    assert found["hint"]
    assert all(each["detail"] for each in found["errors"])
    assert world.memory_queue.sent == []
    assert world.memory_archive.tiles == {}
    assert call("GET", "/jobs").json_body == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    ("field", "said"),
    [("tilesize", "unknown field; did you mean 'tile_size'?"), ("quux", "unknown field")],
)
def test_unknown_field_is_refused_with_the_most_similar_name(call: Call, field: str, said: str) -> None:
    answer = call("POST", "/hooks/upload", GOOD | {field: 256})
    assert answer.json_body["errors"] == [{"pointer": f"/{field}", "detail": said}]


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b"\xff\xfe", b"[" * 60_000])
def test_body_that_is_not_json_is_refused(call: Call, body: bytes) -> None:
    answer = call("POST", "/hooks/upload", body)
    assert (answer.status_code, answer.json_body["code"]) == (422, "invalid_request")
    assert "not JSON" in answer.json_body["detail"]


@pytest.mark.parametrize("body", [[], "text", 1, None, [GOOD]])
def test_json_that_is_not_an_object_is_refused(call: Call, body: Any) -> None:
    answer = call("POST", "/hooks/upload", json.dumps(body).encode())
    assert (answer.status_code, answer.json_body["detail"]) == (422, "the body must be a JSON object")


def test_large_body_is_refused_unread(call: Call) -> None:
    answer = call("POST", "/hooks/upload", GOOD | {"source": "s3://" + "x" * 70_000})
    assert (answer.status_code, answer.json_body["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "path", ["/hooks/upload", f"/collections/{COLLECTION}/sessions", f"/sessions/{SESSION}/recreate"]
)
@pytest.mark.parametrize("token", [None, "", "wrong", "a tokeN"])
def test_writes_without_valid_token_are_refused(world: World, call: Call, path: str, token: str | None) -> None:
    answer = call("POST", path, GOOD, token=token)
    assert (answer.status_code, answer.json_body["code"], answer.headers["WWW-Authenticate"]) == (
        401,
        "unauthorized",
        "Bearer",
    )
    assert world.memory_queue.sent == []


def test_writes_are_refused_if_no_token_is_configured(world: World, call: Call) -> None:
    world.settings = replace(world.settings, token_hashes=frozenset())
    assert call("POST", "/hooks/upload", GOOD).status_code == 401
    assert call("POST", "/hooks/upload", GOOD, token="").status_code == 401


def test_reads_require_token_unless_anonymous_reads_are_allowed(world: World, call: Call) -> None:
    job = done(world, call)
    world.settings = replace(world.settings, allow_anonymous_local_reads=False)
    paths = [
        "/jobs", f"/jobs/{job['id']}", job["result"]["thumbnail"], f"/collections/{COLLECTION}", f"/sessions/{SESSION}",
        "/client",
    ]  # fmt: skip
    assert [call("GET", path, token=None).status_code for path in paths] == [401] * 6
    assert [call("GET", path).status_code for path in paths] == [200] * 6
    assert call("GET", job["result"]["thumbnail"]).headers["Cache-Control"] == "private, no-cache"
    assert call("GET", "/health", token=None).json_body == {"status": "ok"}


def test_client_settings_require_a_token(call: Call) -> None:
    assert call("GET", "/client", token=None).status_code == 401
    assert call("GET", "/client").json_body == {"incoming_bucket": BUCKET, "region": "us-east-1", "aws_endpoint": None}


def test_unknown_resources_are_not_found(call: Call) -> None:
    for method, path in (
        ("GET", "/jobs/nothing"), ("GET", f"/jobs/{'x' * 3000}"), ("GET", f"/jobs/{'0' * 32}"), ("POST", "/hooks/nothing"), ("GET", f"/sessions/{NOWHERE}"), ("GET", "/sessions/x"),
        ("GET", f"/collections/{NOWHERE}"), ("POST", f"/collections/{NOWHERE}/sessions"),
        ("POST", f"/sessions/{NOWHERE}/recreate"),
    ):  # fmt: skip
        answer = call(method, path, {"label": "x"} if method == "POST" else None)
        assert (answer.status_code, answer.json_body["code"]) == (404, "not_found"), path


def test_jobs_are_listed_by_last_change_with_filters_and_pages(world: World, call: Call) -> None:
    ids = []
    for number in range(5):
        world.memory_slides.put(BUCKET, f"{number}.svs", b"II*\0 whatever")
        ids.append(call("POST", "/hooks/upload", GOOD | {"source": f"s3://{BUCKET}/{number}.svs"}).json_body["id"])
        world.clock.advance(1)
    first = call("GET", "/jobs?limit=3").json_body
    rest = call("GET", f"/jobs?limit=3&cursor={first['next']}").json_body
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next"] is None
    assert [job["id"] for job in call("GET", f"/jobs?state=queued&session={SESSION}").json_body["jobs"]] == ids[::-1]
    assert call("GET", "/jobs?state=done").json_body["jobs"] == []
    for wrong in ("state=odd", "limit=0", "limit=101", "limit=x", "cursor=xyz", "session=1"):
        assert call("GET", f"/jobs?{wrong}").status_code in (404, 422), wrong


def test_tile_is_served_under_every_slideatlas_address(world: World, call: Call) -> None:
    shown = done(world, call)["result"]
    image = shown["image"]
    answer = call("GET", f"/tile?img={image}&db={STORE}&name=tqq.jpg")
    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        200, "image/jpeg", "public, no-cache",
    )  # fmt: skip
    assert Image.open(io.BytesIO(answer.body)).size == (64, 64)
    assert call("GET", f"/tile/{STORE}/{image}/tqq.jpg").body == answer.body
    assert call("GET", f"/thumb?img={image}&db={STORE}").body == world.memory_archive.tile(STORE, image, "t.jpg")
    assert call("GET", f"/tile/{STORE}/{image}/tqq.jpg", Accept="image/*").body == answer.body
    cached = call("GET", f"/tile/{STORE}/{image}/tqq.jpg", If_None_Match=answer.headers["ETag"])
    assert (cached.status_code, cached.body) == (304, b"")


@pytest.mark.parametrize(
    "query",
    ["", f"img={NOWHERE}&db={STORE}&name=t.jpg", f"img={NOWHERE}&db={NOWHERE}&name=t.jpg", "img=admin&db=x&name=t.jpg"],
)
def test_missing_tile_is_404_in_viewer_format(call: Call, query: str) -> None:
    answer = call("GET", f"/tile?{query}")
    assert answer.status_code == 404
    assert "error" in answer.json_body


def test_session_is_created_once_per_label_and_can_be_recreated(world: World, call: Call) -> None:
    made = call("POST", f"/collections/{COLLECTION}/sessions", {"label": " Kidney "})
    assert (made.status_code, made.json_body["label"], made.json_body["collection"]) == (201, "Kidney", COLLECTION)
    again = call("POST", f"/collections/{COLLECTION}/sessions", {"label": "Kidney"})
    assert (again.status_code, again.json_body) == (200, made.json_body)
    for label in ("", "  ", "x" * 201, 7, None, "a\0b", "\ud800", "a\x1b[2J"):
        assert call("POST", f"/collections/{COLLECTION}/sessions", {"label": label}).status_code == 422
    job = done(world, call)
    assert call("GET", f"/sessions/{SESSION}").json_body["views"] == [job["result"]["view"]]
    labels = {each["label"]: each["views"] for each in call("GET", f"/collections/{COLLECTION}").json_body["sessions"]}
    assert labels == {"Lung": 1, "Kidney": 0}
    emptied = call("POST", f"/sessions/{SESSION}/recreate")
    assert (emptied.status_code, emptied.json_body["views_removed"], emptied.json_body["label"]) == (200, 1, "Lung")
    assert call("GET", f"/sessions/{SESSION}").json_body["views"] == []


def test_slides_of_session_are_paged_newest_first(world: World, call: Call) -> None:
    assert call("GET", f"/sessions/{SESSION}/slides").json_body == {"slides": [], "next": None}
    first = done(world, call)
    world.put(write(Slide(width_px=100, height_px=80)), "second.svs")
    second = done(world, call, source=f"s3://{BUCKET}/second.svs")
    page = call("GET", f"/sessions/{SESSION}/slides?limit=1").json_body
    (slide,) = page["slides"]
    assert (slide["title"], slide["job"], slide["view"]) == ("second.svs", second["id"], second["result"]["view"])
    assert (slide["slide"]["width_px"], slide["slide"]["height_px"], slide["slide"]["tile_size_px"]) == (100, 80, 64)
    assert slide["links"] == {"thumbnail": second["result"]["thumbnail"], "job": f"/jobs/{second['id']}"}
    rest = call("GET", f"/sessions/{SESSION}/slides?limit=1&cursor={page['next']}").json_body
    assert ([each["job"] for each in rest["slides"]], rest["next"]) == ([first["id"]], None)
    for wrong in ("limit=0", "limit=101", "cursor=xyz"):
        assert call("GET", f"/sessions/{SESSION}/slides?{wrong}").status_code == 422, wrong
    assert call("GET", f"/sessions/{NOWHERE}/slides").status_code == 404


def test_slide_of_other_publisher_has_no_job(world: World, call: Call) -> None:
    image = "0000000000000000000a0009"
    facts = ImageFacts(file_name="theirs.svs", width_px=10, height_px=10, tile_size_px=256, levels=1)
    world.memory_archive.add_view("0" * 23 + "b", session=SESSION, image=image, image_store=STORE, facts=facts)
    (slide,) = call("GET", f"/sessions/{SESSION}/slides").json_body["slides"]
    assert (slide["title"], slide["job"], slide["slide"]["levels"]) == ("theirs.svs", None, 1)
    assert slide["links"] == {"thumbnail": f"/thumb?img={image}&db={STORE}"}
    world.memory_archive.images.clear()
    (slide,) = call("GET", f"/sessions/{SESSION}/slides").json_body["slides"]
    assert (slide["image"], slide["slide"]) == (image, None)


def test_unavailable_database_returns_503_with_retry_after(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise MongoUnavailableError("MongoDB did not answer")

    monkeypatch.setattr(world.memory_archive, "locate", away)
    answer = call("POST", "/hooks/upload", GOOD)
    assert (answer.status_code, answer.headers["Retry-After"], answer.json_body["code"]) == (
        503,
        "5",
        "mongodb_unavailable",
    )


def test_unexpected_error_is_reported_without_details(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("password")

    monkeypatch.setattr(world.memory_jobs, "get", broken)
    with caplog.at_level(logging.ERROR):
        answer = call("GET", f"/jobs/{'0' * 32}")
    assert (answer.status_code, answer.json_body["code"]) == (500, "internal")
    assert "password" not in answer.body.decode()
    assert "show_job failed" in caplog.text


def test_conflict_error_has_status_409() -> None:
    assert problem(ConflictError("it is finishing")).status_code == 409


def test_page_is_served_with_its_files_only(call: Call) -> None:
    page = call("GET", "/", token=None)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "Slidehook" in page.body.decode()
    assert call("GET", "/static/pages/jobs.js").headers["Content-Type"].startswith("text/javascript")
    assert call("GET", "/static/components/style.css").headers["Content-Type"].startswith("text/css")
    for name in (
        "lib/nothing.js",
        "pages/..%2Fhttp.py",
        "nothing/jobs.js",
        "pages/index.html",
        "errors/not-found.html",
    ):
        assert call("GET", f"/static/{name}").status_code == 404


def test_pages_are_served_by_name(call: Call) -> None:
    assert "Submit" in call("GET", "/pages/submit", token=None).body.decode()
    for name in ("nothing", "submit.html", "..%2Fstatic%2Fsubmit"):
        assert call("GET", f"/pages/{name}").status_code == 404


def test_viewer_library_is_served_with_its_licence_only(call: Call) -> None:
    script = call("GET", "/static/vendor/openseadragon.min.js")
    assert (script.status_code, script.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert script.body.startswith(b"//! openseadragon ")
    assert b"CodePlex Foundation" in call("GET", "/static/vendor/openseadragon.LICENSE.txt").body
    for name in ("made-from.sha256", "jobs.js", "..%2Fjobs.js", "openseadragon.min.js.map"):
        assert call("GET", f"/static/vendor/{name}").status_code == 404


def test_cached_static_file_is_not_sent_again(call: Call) -> None:
    first = call("GET", "/static/components/style.css")
    again = call("GET", "/static/components/style.css", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.body) == (304, b"")
    assert call("GET", "/static/components/style.css", If_None_Match='"another"').status_code == 200


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        (None, "https://incoming.s3.eu-central-1.amazonaws.com"),
        ("http://127.0.0.1:4566/", "http://127.0.0.1:4566"),
    ],
)
def test_page_policy_allows_uploads_to_incoming_bucket_only(
    world: World, call: Call, endpoint: str | None, origin: str
) -> None:
    world.settings = replace(world.settings, incoming_bucket="incoming", region="eu-central-1", aws_endpoint=endpoint)
    policy = call("GET", "/pages/submit").headers["Content-Security-Policy"]
    assert f"connect-src 'self' {origin};" in policy


def test_settings_are_read_and_missing_one_is_named() -> None:
    needed = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")
    values = {f"SLIDEHOOK_{name}": name.lower() for name in needed}
    found = read_settings(
        values | {"SLIDEHOOK_SOURCE_BUCKETS": "a, b,", "SLIDEHOOK_ALLOW_ANONYMOUS_LOCAL_READS": "TRUE"}
    )
    assert (found.source_buckets, found.allow_anonymous_local_reads, found.token_hashes) == (
        frozenset({"a", "b"}),
        True,
        frozenset(),
    )
    assert (found.chunk_bytes, found.admin_db, found.region, found.aws_endpoint) == (
        33554432,
        "slideatlas",
        "us-east-1",
        None,
    )
    assert not read_settings(values).allow_anonymous_local_reads
    assert read_settings(values).mongo_open_files == 0
    assert read_settings(values | {"SLIDEHOOK_MONGO_OPEN_FILES": " 64000 "}).mongo_open_files == 64000
    for wrong in ("-1", "1e3", "many", "1.5", "\N{ARABIC-INDIC DIGIT ONE}"):
        with pytest.raises(WrongSettingError, match=r"SLIDEHOOK_MONGO_OPEN_FILES: .* integer.*docs/mongodb.md"):
            read_settings(values | {"SLIDEHOOK_MONGO_OPEN_FILES": wrong})
    with pytest.raises(MissingSettingError, match="SLIDEHOOK_MONGO_URI is not set"):
        read_settings(values | {"SLIDEHOOK_MONGO_URI": ""})


def test_states_have_their_documented_names() -> None:
    assert [state.value for state in State] == [
        "queued", "planning", "tiling", "finishing", "done", "failed", "cancelled", "superseded",
    ]  # fmt: skip


def test_local_token_is_sent_to_local_service_only(tmp_path: Any) -> None:
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text('{"api": "http://127.0.0.1:8000", "token": "local"}')
    assert find_service(None, None, [tmp_path], {}) == ("http://127.0.0.1:8000", "local")
    assert find_service("https://elsewhere", None, [tmp_path], {}) == ("https://elsewhere", "")
    assert find_service(None, "mine", [tmp_path], {}) == ("http://127.0.0.1:8000", "mine")
    environment = {"SLIDEHOOK_API": "https://there", "SLIDEHOOK_TOKEN": "theirs"}
    assert find_service(None, None, [tmp_path], environment) == ("https://there", "theirs")
    assert find_service(None, None, [tmp_path / "nowhere"], {}) == ("", "")
