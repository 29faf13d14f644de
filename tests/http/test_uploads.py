"""Multipart uploads of local slides into the incoming bucket."""

from typing import Any

import pytest

from chalicelib.core.web.multipart_upload import MIB, PART_BYTES, missing_parts, part_bytes, part_count, safe_name
from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, OTHER_SESSION, SESSION, World

SLIDE = write(Slide(width_px=300, height_px=200))
FILE = {"file_name": "a slide.svs", "size_bytes": len(SLIDE), "collection": COLLECTION, "session": SESSION}


def start_upload(call: Call, **changes: Any) -> dict[str, Any]:
    answer = call("POST", "/uploads", FILE | changes)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.json_body
    return found


def named(upload: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"key": upload["key"], "upload_id": upload["upload_id"], **more}


def send_part(world: World, call: Call, upload: dict[str, Any], data: bytes = SLIDE) -> None:
    answer = call("POST", "/uploads/parts", named(upload, numbers=[1])).json_body
    world.memory_uploads.put(answer["addresses"][0]["url"], data)


def test_slide_uploaded_in_parts_can_be_submitted(world: World, call: Call) -> None:
    upload = start_upload(call)
    assert (upload["key"], upload["parts"]) == (f"direct/{COLLECTION}/{SESSION}/a slide.svs", 1)
    send_part(world, call, upload)
    parts = call("POST", "/uploads/parts", named(upload)).json_body
    assert parts == {"stored": [{"number": 1, "size_bytes": len(SLIDE)}], "addresses": []}
    done = call("POST", "/uploads/complete", named(upload, size_bytes=len(SLIDE)))
    assert done.json_body["source"] == upload["source"] == f"s3://{BUCKET}/{upload['key']}"
    place = {"source": upload["source"], "collection": COLLECTION, "session": SESSION}
    job = call("POST", "/hooks/upload", place).json_body
    world.run()
    assert call("GET", f"/jobs/{job['id']}").json_body["state"] == "done"


def test_complete_is_idempotent(world: World, call: Call) -> None:
    upload = start_upload(call)
    send_part(world, call, upload)
    answers = [call("POST", "/uploads/complete", named(upload, size_bytes=len(SLIDE))) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json_body == answers[1].json_body


def test_upload_with_missing_parts_can_continue(world: World, call: Call) -> None:
    upload = start_upload(call)
    for data in (None, SLIDE[:-1]):
        if data is not None:
            send_part(world, call, upload, data)
        refused = call("POST", "/uploads/complete", named(upload, size_bytes=len(SLIDE)))
        assert (refused.status_code, refused.json_body["code"]) == (409, "parts_missing")
        assert refused.json_body["detail"] == "1 of 1 parts are missing: 1"
    send_part(world, call, upload)
    assert call("POST", "/uploads/complete", named(upload, size_bytes=len(SLIDE))).status_code == 200


def test_error_lists_first_missing_parts(call: Call) -> None:
    size = 12 * PART_BYTES
    upload = start_upload(call, size_bytes=size)
    recorded = call("POST", "/uploads/complete", named(upload, size_bytes=size)).json_body["detail"]
    assert recorded == "12 of 12 parts are missing: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and more"


def test_aborted_upload_is_gone(world: World, call: Call) -> None:
    upload = start_upload(call)
    send_part(world, call, upload)
    for _ in range(2):
        assert call("POST", "/uploads/abort", named(upload)).status_code == 200
    for path, more in (("parts", {"numbers": [1]}), ("complete", {"size_bytes": len(SLIDE)})):
        gone = call("POST", f"/uploads/{path}", named(upload, **more))
        assert (gone.status_code, gone.json_body["code"]) == (404, "no_such_upload")


def test_other_object_under_key_does_not_complete_upload(world: World, call: Call) -> None:
    upload = start_upload(call)
    call("POST", "/uploads/abort", named(upload))
    world.memory_slides.put(BUCKET, upload["key"], b"something else")
    assert call("POST", "/uploads/complete", named(upload, size_bytes=len(SLIDE))).status_code == 404


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"file_name": "../.."}, "/file_name"),
        ({"file_name": "\u202e\n"}, "/file_name"),
        ({"file_name": 3}, "/file_name"),
        ({"size_bytes": 0}, "/size_bytes"),
        ({"size_bytes": 6 * 1000**4}, "/size_bytes"),
        ({"session": "../x"}, "/session"),
        ({"session": OTHER_SESSION}, "/session"),
        ({"collection": "f" * 24}, "/collection"),
    ],
)
def test_upload_that_cannot_be_published_is_refused(call: Call, changes: dict[str, Any], pointer: str) -> None:
    refused = call("POST", "/uploads", FILE | changes)
    assert (refused.status_code, refused.json_body["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("parts", {"numbers": [0]}),
        ("parts", {"numbers": [1001]}),
        ("parts", {"numbers": list(range(1, 52))}),
        ("parts", {"key": f"{COLLECTION}/{SESSION}/slide.svs"}),
        ("parts", {"key": f"direct/{COLLECTION}/{SESSION}/../../x"}),
        ("complete", {"key": "direct/slide.svs", "size_bytes": 1}),
        ("complete", {}),
        ("abort", {"upload_id": ""}),
    ],
)
def test_invalid_upload_calls_are_refused(call: Call, path: str, changes: dict[str, Any]) -> None:
    assert call("POST", f"/uploads/{path}", named(start_upload(call)) | changes).status_code == 422


@pytest.mark.parametrize("path", ["", "/parts", "/complete", "/abort"])
def test_uploads_require_a_token(call: Call, path: str) -> None:
    assert call("POST", f"/uploads{path}", FILE, token=None).status_code == 401


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("slide.svs", "slide.svs"),
        ("C:\\slides\\a b.svs", "a b.svs"),
        ("/home/x/Gro\u0308\u00dfe.svs", "Gr\u00f6\u00dfe.svs"),
        ("evil\u202egpj.svs\x00\n", "evilgpj.svs"),
        ("..svs", "svs"),
        ("x" * 300 + ".svs", "x" * 196 + ".svs"),
        ("a." + "x" * 300, "a." + "x" * 100),
        ("n" * 300, "n" * 200),
    ],
)
def test_safe_name_removes_misleading_parts(given: str, kept: str) -> None:
    assert safe_name(given) == kept


@pytest.mark.parametrize(
    ("size", "each", "count"),
    [(1, 8, 1), (8 * MIB, 8, 1), (8 * MIB + 1, 8, 2), (8000 * MIB, 8, 1000), (8000 * MIB + 1, 9, 889)],
)
def test_slide_of_any_size_has_at_most_1000_parts(size: int, each: int, count: int) -> None:
    assert (part_bytes(size), part_count(size)) == (each * MIB, count)
    assert len(missing_parts((), size)) == count
