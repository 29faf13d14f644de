"""Tokens that are limited to a collection, at each route that can name another one."""

import json
from typing import Any

import pytest

from tests.security.conftest import FOREIGN_UPLOAD, MINE, THEIRS, UPLOAD, Call, publish
from tests.world import BUCKET, COLLECTION, OTHER_COLLECTION, OTHER_SESSION, SESSION, STORE, World

NOWHERE, NO_JOB = "f" * 24, "f" * 32


@pytest.fixture
def foreign(world: World, call: Call) -> dict[str, Any]:
    """The job of a slide in the other collection."""
    return publish(world, call, FOREIGN_UPLOAD)


def assert_hidden(call: Call, method: str, path: str, body: Any, token: str, known: str, unknown: str) -> None:
    """Fail unless the response for a foreign id equals the response for an unknown id."""
    found = call(method, path, body, token=token)
    swapped = None if body is None else json.loads(json.dumps(body).replace(known, unknown))
    missing = call(method, path.replace(known, unknown), swapped, token=token)
    assert found.status_code == missing.status_code
    assert found.status_code in (404, 422)
    assert found.body.decode().replace(known, "X") == missing.body.decode().replace(unknown, "X")


def test_foreign_jobs_are_not_found(world: World, call: Call, foreign: dict[str, Any]) -> None:
    job = foreign["id"]
    assert_hidden(call, "GET", f"/jobs/{job}", None, "mine-read", job, NO_JOB)
    assert_hidden(call, "GET", f"/jobs/{job}/events", None, "mine-read", job, NO_JOB)
    assert_hidden(call, "POST", f"/jobs/{job}/cancel", {}, "mine-submit", job, NO_JOB)
    assert_hidden(call, "POST", f"/jobs/{job}/retry", {}, "mine-submit", job, NO_JOB)
    assert_hidden(call, "POST", "/hooks/verify", {"job": job}, "mine-submit", job, NO_JOB)


def test_foreign_staged_tiles_are_not_found(world: World, call: Call, foreign: dict[str, Any]) -> None:
    job = foreign["id"]
    assert_hidden(call, "GET", f"/jobs/{job}/map", None, "mine-read", job, NO_JOB)
    assert_hidden(call, "GET", f"/jobs/{job}/tiles/t.jpg", None, "mine-read", job, NO_JOB)
    assert call("GET", f"/jobs/{job}/tiles/t.jpg", token="read").status_code == 200


def test_foreign_collections_are_not_listed(world: World, call: Call) -> None:
    found = call("GET", "/collections", token="mine-read").json_body["collections"]
    assert [each["id"] for each in found] == [COLLECTION]
    assert len(call("GET", "/collections", token="read").json_body["collections"]) == 2


def test_upload_for_foreign_collection_is_refused(world: World, call: Call) -> None:
    file = {"file_name": "a.svs", "size_bytes": 9, "collection": OTHER_COLLECTION, "session": OTHER_SESSION}
    assert_hidden(call, "POST", "/uploads", file, "mine-submit", OTHER_COLLECTION, NOWHERE)
    started = call("POST", "/uploads", file, token="submit").json_body
    named = {"key": started["key"], "upload_id": started["upload_id"]}
    for path, more in (("parts", {"numbers": [1]}), ("complete", {"size_bytes": 9}), ("abort", {})):
        refused = call("POST", f"/uploads/{path}", named | more, token="mine-submit")
        assert (refused.status_code, refused.json_body["code"]) == (404, "no_such_upload")
    assert call("POST", "/uploads/parts", named, token="submit").json_body["stored"] == []


def test_foreign_live_job_cannot_be_cancelled(world: World, call: Call) -> None:
    job = call("POST", "/hooks/upload", FOREIGN_UPLOAD).json_body["id"]
    assert call("POST", f"/jobs/{job}/cancel", {}, token="mine-admin").status_code == 404
    assert call("GET", f"/jobs/{job}").json_body["state"] == "queued"


def test_job_list_contains_own_jobs_only(world: World, call: Call, foreign: dict[str, Any]) -> None:
    own = publish(world, call, UPLOAD)
    for query in ("", f"?session={SESSION}", "?state=done", "?limit=1"):
        assert [job["id"] for job in call("GET", f"/jobs{query}", token="mine-read").json_body["jobs"]] == [own["id"]]
    theirs = call("GET", f"/jobs?session={OTHER_SESSION}", token="mine-read").json_body
    assert theirs == {"jobs": [], "next": None}
    assert len(call("GET", "/jobs", token="read").json_body["jobs"]) == 2


def test_pages_of_filtered_list_contain_all_own_jobs(world: World, call: Call) -> None:
    own = []
    for number in range(30):
        world.memory_slides.put(BUCKET, f"{number}.svs", b"II*\0 whatever")
        body = UPLOAD if number % 10 == 0 else FOREIGN_UPLOAD
        job = call("POST", "/hooks/upload", body | {"source": f"s3://{BUCKET}/{number}.svs"}).json_body["id"]
        own += [job] if number % 10 == 0 else []
        world.clock.advance(1)
    found, path = [], "/jobs?limit=2"
    while path:
        page = call("GET", path, token="mine-read").json_body
        assert len(page["jobs"]) <= 2
        found += [job["id"] for job in page["jobs"]]
        path = f"/jobs?limit=2&cursor={page['next']}" if page["next"] else ""
    assert found == own[::-1]


def test_foreign_catalogue_is_not_found(world: World, call: Call) -> None:
    for method, path, body, token, known in (
        ("GET", f"/collections/{OTHER_COLLECTION}", None, "mine-read", OTHER_COLLECTION),
        ("GET", f"/sessions/{OTHER_SESSION}", None, "mine-read", OTHER_SESSION),
        ("GET", f"/sessions/{OTHER_SESSION}/slides", None, "mine-read", OTHER_SESSION),
        ("POST", f"/collections/{OTHER_COLLECTION}/sessions", {"label": "x"}, "mine-submit", OTHER_COLLECTION),
        ("POST", f"/sessions/{OTHER_SESSION}/recreate", {}, "mine-admin", OTHER_SESSION),
        ("POST", "/hooks/remove", {"session": OTHER_SESSION, "whole_session": True}, "mine-admin", OTHER_SESSION),
    ):
        assert_hidden(call, method, path, body, token, known, NOWHERE)
    assert len(world.memory_archive.collection(OTHER_COLLECTION).sessions) == 1


def test_foreign_views_cannot_be_removed(world: World, call: Call, foreign: dict[str, Any]) -> None:
    body = {"session": SESSION, "views": [foreign["result"]["view"]]}
    assert call("POST", "/hooks/remove", body, token="mine-admin").json_body["views_removed"] == 0
    assert world.memory_archive.session(OTHER_SESSION).views == (foreign["result"]["view"],)


@pytest.mark.parametrize(
    "path", ["/tile/{store}/{image}/t.jpg", "/tile?img={image}&db={store}&name=t.jpg", "/thumb?img={image}&db={store}"]
)
def test_foreign_tiles_are_not_found(world: World, call: Call, foreign: dict[str, Any], path: str) -> None:
    own = publish(world, call, UPLOAD)
    theirs, mine = (path.format(store=STORE, image=job["result"]["image"]) for job in (foreign, own))
    assert_hidden(call, "GET", theirs, None, "mine-read", foreign["result"]["image"], NOWHERE)
    assert call("GET", theirs, token="read").status_code == 200
    assert call("GET", mine, token="mine-read").status_code == 200
    # A known ETag does not change that.
    etag = call("GET", theirs, token="read").headers["ETag"]
    assert call("GET", theirs, token="mine-read", If_None_Match=etag).status_code == 404


SLIDES = (
    "/slides/{}", "/slides/{}.dzi", "/slides/{}/0/0_0.jpg", "/slides/{}_files/0/0_0.jpg", "/iiif/{}/info.json",
    "/iiif/{}/full/max/0/default.jpg",
)  # fmt: skip


@pytest.mark.parametrize("path", SLIDES)
def test_foreign_slides_are_not_found_under_any_address(
    world: World, call: Call, foreign: dict[str, Any], path: str
) -> None:
    own = publish(world, call, UPLOAD)
    view, image = foreign["result"]["view"], f"{STORE}-{foreign['result']['image']}"
    assert_hidden(call, "GET", path.format(view), None, "mine-read", view, NOWHERE)
    assert_hidden(call, "GET", path.format(image), None, "mine-read", image, f"{STORE}-{NOWHERE}")
    assert call("GET", path.format(view), token="read").status_code == 200
    assert call("GET", path.format(own["result"]["view"]), token="mine-read").status_code == 200


def test_foreign_associated_images_are_not_found(world: World, call: Call, foreign: dict[str, Any]) -> None:
    image = foreign["result"]["image"]
    assert_hidden(call, "GET", f"/associated/{STORE}/{image}/label", None, "mine-read", image, NOWHERE)


def test_collections_of_own_image_are_cached_for_a_minute(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = publish(world, call, UPLOAD)["result"]["image"]
    asked: list[str] = []
    look = world.memory_archive.collections_of

    def collections_of(store: str, image: str) -> frozenset[str]:
        asked.append(image)
        return look(store, image)

    monkeypatch.setattr(world.memory_archive, "collections_of", collections_of)
    path = f"/tile/{STORE}/{image}/t.jpg"
    assert [call("GET", path, token="mine-read").status_code for _ in range(5)] == [200] * 5
    assert call("GET", path, token="read").status_code == 200
    assert asked == [image]
    world.memory_archive.remove_views(SESSION, None)
    world.clock.advance(61)
    assert call("GET", path, token="mine-read").status_code == 404
    assert asked == [image] * 2


def test_upload_is_limited_to_own_collection(world: World, call: Call) -> None:
    assert_hidden(
        call,
        "POST",
        "/hooks/upload",
        UPLOAD | {"collection": OTHER_COLLECTION},
        "mine-submit",
        OTHER_COLLECTION,
        NOWHERE,
    )
    place = {"collection": COLLECTION, "session": OTHER_SESSION}
    for path, body in (
        ("/uploads", {"file_name": "a.svs", "size_bytes": 1000} | place),
        ("/hooks/upload", UPLOAD | place),
        ("/hooks/sync", {"prefix": f"s3://{BUCKET}/{COLLECTION}/"} | place),
    ):
        assert_hidden(call, "POST", path, body, "mine-submit", OTHER_SESSION, NOWHERE)
    assert world.memory_queue.sent == []
    assert call("POST", "/hooks/upload", UPLOAD, token="mine-submit").status_code == 202


@pytest.mark.parametrize("key", [THEIRS, f"direct/{THEIRS}", "slide.svs", f"x/{MINE}", f"{COLLECTION}x/a.svs"])
@pytest.mark.parametrize("hook", ["upload", "inspect"])
def test_foreign_source_is_refused(world: World, call: Call, hook: str, key: str) -> None:
    source = f"s3://{BUCKET}/{key}"
    body = {"source": source} if hook == "inspect" else UPLOAD | {"source": source}
    answer = call("POST", f"/hooks/{hook}", body, token="mine-submit")
    assert (answer.status_code, answer.json_body["code"]) == (403, "source_not_allowed")
    assert answer.json_body["errors"][0]["pointer"] == "/source"
    assert world.memory_queue.sent == []


def test_foreign_image_cannot_be_replaced(world: World, call: Call, foreign: dict[str, Any]) -> None:
    image = foreign["result"]["image"]
    assert_hidden(call, "POST", "/hooks/upload", UPLOAD | {"mongo_collection": image}, "mine-submit", image, NOWHERE)
    own = publish(world, call, UPLOAD)["result"]["image"]
    assert call("POST", "/hooks/upload", UPLOAD | {"mongo_collection": own}, token="mine-submit").status_code == 202


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prefix": f"s3://{BUCKET}/", "collection": COLLECTION, "session": SESSION}, 403),
        ({"prefix": f"s3://{BUCKET}/{OTHER_COLLECTION}/", "collection": COLLECTION, "session": SESSION}, 403),
        ({"prefix": f"s3://{BUCKET}/{COLLECTION}", "collection": COLLECTION, "session": SESSION}, 403),
        ({"prefix": f"s3://{BUCKET}/{COLLECTION}/", "collection": OTHER_COLLECTION, "session": OTHER_SESSION}, 422),
        ({"prefix": f"s3://{BUCKET}/{OTHER_COLLECTION}/"}, 422),
        ({"prefix": f"s3://{BUCKET}/direct/{OTHER_COLLECTION}/"}, 422),
        ({"prefix": f"s3://{BUCKET}/direct/"}, 422),
        ({"prefix": f"s3://{BUCKET}/direct/{COLLECTION}/"}, 202),
        ({"prefix": f"s3://{BUCKET}/"}, 422),
        ({"prefix": f"s3://{BUCKET}/{COLLECTION}/", "collection": COLLECTION, "session": SESSION}, 202),
        ({"prefix": f"s3://{BUCKET}/{COLLECTION}/"}, 202),
    ],
)
def test_sync_is_limited_to_own_collection(world: World, call: Call, body: dict[str, Any], status: int) -> None:
    assert call("POST", "/hooks/sync", body, token="mine-submit").status_code == status


def test_foreign_syncs_are_not_found(world: World, call: Call) -> None:
    bodies = [
        {"prefix": f"s3://{BUCKET}/{OTHER_COLLECTION}/", "collection": OTHER_COLLECTION, "session": OTHER_SESSION},
        {"prefix": f"s3://{BUCKET}/{OTHER_COLLECTION}/"},
        {"prefix": f"s3://{BUCKET}/"},
    ]
    for body in bodies:
        sync = call("POST", "/hooks/sync", body).json_body["id"]
        assert_hidden(call, "GET", f"/syncs/{sync}", None, "mine-read", sync, NO_JOB)
        assert_hidden(call, "GET", f"/syncs/{sync}?page=0", None, "mine-read", sync, NO_JOB)
    own = call("POST", "/hooks/sync", {"prefix": f"s3://{BUCKET}/{COLLECTION}/"}, token="mine-submit").json_body["id"]
    assert [sync["id"] for sync in call("GET", "/syncs", token="mine-read").json_body["syncs"]] == [own]


def test_redrive_skips_foreign_jobs(world: World, call: Call) -> None:
    jobs = []
    for number, body in enumerate((UPLOAD, FOREIGN_UPLOAD)):
        world.put(b"II*\0 broken", f"broken-{number}.svs")
        jobs.append(
            call("POST", "/hooks/upload", body | {"source": f"s3://{BUCKET}/broken-{number}.svs"}).json_body["id"]
        )
    world.run()
    codes = {call("GET", f"/jobs/{job}").json_body["error"]["code"] for job in jobs}
    answer = call("POST", "/redrive", {"codes": sorted(codes)}, token="mine-admin").json_body
    assert answer["retried"] == jobs[:1]
    assert answer["refused"] == []
    assert call("GET", f"/jobs/{jobs[1]}").json_body["state"] == "failed"


def test_signed_webhook_is_limited_like_a_token(world: World, deliver: Call) -> None:
    mine = f"whsec_{'M' * 32}"
    assert deliver(FOREIGN_UPLOAD, secret=mine).status_code == 422
    assert deliver(UPLOAD | {"source": FOREIGN_UPLOAD["source"]}, secret=mine, delivery="msg_2").status_code == 403
    assert deliver(UPLOAD, secret=mine, delivery="msg_3").status_code == 202
