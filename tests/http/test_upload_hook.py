"""The `upload` hook: accepted and refused requests."""

import json
from typing import Any

import pytest

from tests.http.client import Call
from tests.http.uploads import NOWHERE, UPLOAD
from tests.world import BUCKET, OTHER_COLLECTION, OTHER_SESSION, SESSION, World


def test_upload_is_accepted_with_location_and_retry_after(world: World, call: Call) -> None:
    answer = call("POST", "/hooks/upload", UPLOAD)
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
    assert call("POST", "/hooks/upload", UPLOAD).json_body["id"] == job["id"]
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
    assert call("POST", "/hooks/upload", UPLOAD | {"session": SESSION.upper()}).status_code == 202


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
    answer = call("POST", "/hooks/upload", UPLOAD | change)
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
    answer = call("POST", "/hooks/upload", UPLOAD | {field: 256})
    assert answer.json_body["errors"] == [{"pointer": f"/{field}", "detail": said}]


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b"\xff\xfe", b"[" * 60_000])
def test_body_that_is_not_json_is_refused(call: Call, body: bytes) -> None:
    answer = call("POST", "/hooks/upload", body)
    assert (answer.status_code, answer.json_body["code"]) == (422, "invalid_request")
    assert "not JSON" in answer.json_body["detail"]


@pytest.mark.parametrize("body", [[], "text", 1, None, [UPLOAD]])
def test_json_that_is_not_an_object_is_refused(call: Call, body: Any) -> None:
    answer = call("POST", "/hooks/upload", json.dumps(body).encode())
    assert (answer.status_code, answer.json_body["detail"]) == (422, "the body must be a JSON object")


def test_large_body_is_refused_unread(call: Call) -> None:
    answer = call("POST", "/hooks/upload", UPLOAD | {"source": "s3://" + "x" * 70_000})
    assert (answer.status_code, answer.json_body["code"]) == (413, "body_too_large")
