"""The Idempotency-Key header: a repeated request returns the stored response."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from chalice.test import HTTPResponse

from chalicelib.core.errors import MongoUnavailableError
from chalicelib.ports.idempotency import KEEP_RESPONSE_SECONDS, RESERVATION_SECONDS
from tests.http.client import Call
from tests.world import BUCKET, COLLECTION, SESSION, TOKEN, World

UPLOAD = {"source": f"s3://{BUCKET}/slide.svs", "collection": COLLECTION, "session": SESSION}


def post(call: Call, path: str, body: Any, key: str = "one", **headers: Any) -> HTTPResponse:
    return call("POST", path, body, Idempotency_Key=key, **headers)


def test_repeated_call_returns_first_response(world: World, call: Call) -> None:
    first = post(call, "/hooks/upload", UPLOAD)
    assert first.status_code == 202
    assert "Idempotency-Replayed" not in first.headers
    world.run()
    again = post(call, "/hooks/upload", UPLOAD)
    assert (again.status_code, again.body) == (202, first.body)
    assert again.json_body["state"] == "queued"
    assert {**again.headers, "X-Request-Id": ""} == {
        **first.headers, "X-Request-Id": "", "Idempotency-Replayed": "true",
    }  # fmt: skip
    assert call("POST", "/hooks/upload", UPLOAD).json_body["state"] == "done"


def test_forced_call_with_same_key_runs_once(world: World, call: Call) -> None:
    job = world.finish(world.submit())
    asked = UPLOAD | {"force": True}
    assert [post(call, "/hooks/upload", asked).json_body["attempt"] for _ in range(3)] == [2, 2, 2]
    world.finish(job)
    assert post(call, "/hooks/upload", asked).json_body["attempt"] == 2
    assert world.job(job).attempt == 2


def test_key_with_another_request_is_refused(world: World, call: Call) -> None:
    post(call, "/hooks/upload", UPLOAD)
    for path, body in (
        ("/hooks/upload", UPLOAD | {"base_only": True}), ("/hooks/inspect", UPLOAD), (f"/jobs/{'0' * 32}/cancel", UPLOAD),
    ):  # fmt: skip
        answer = post(call, path, body)
        assert (answer.status_code, answer.json_body["code"]) == (422, "idempotency_key_reused")
    assert post(call, f"/jobs/{'0' * 32}/cancel", None, "two").status_code == 404
    assert post(call, f"/jobs/{'1' * 32}/cancel", None, "two").status_code == 422


def test_concurrent_call_with_same_key_is_refused(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    locate = world.memory_archive.locate
    seen: list[HTTPResponse] = []

    def concurrent_request(*arguments: Any) -> Any:
        if not seen:
            seen.append(post(call, "/hooks/upload", UPLOAD))
        return locate(*arguments)

    monkeypatch.setattr(world.memory_archive, "locate", concurrent_request)
    assert post(call, "/hooks/upload", UPLOAD).status_code == 202
    (refused,) = seen
    assert (refused.status_code, refused.json_body["code"], refused.headers["Retry-After"]) == (
        409, "idempotency_key_in_use", "1",
    )  # fmt: skip


def test_interrupted_call_can_be_repeated_after_timeout(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def dies(*_: Any) -> Any:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(world.memory_archive, "locate", dies)
        with pytest.raises(Died):
            post(call, "/hooks/upload", UPLOAD)
    assert post(call, "/hooks/upload", UPLOAD).status_code == 409
    world.clock.advance(RESERVATION_SECONDS)
    assert post(call, "/hooks/upload", UPLOAD).status_code == 202


def test_refusal_is_replayed_and_transient_failure_is_not(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = UPLOAD | {"source": f"s3://{BUCKET}/later.svs"}
    assert post(call, "/hooks/upload", nowhere).json_body["code"] == "no_such_source"
    world.memory_slides.put(BUCKET, "later.svs", b"II*\0 whatever")
    refused = post(call, "/hooks/upload", nowhere)
    assert (refused.status_code, refused.json_body["code"]) == (422, "no_such_source")
    assert refused.headers["Content-Type"] == "application/problem+json"

    def unavailable(*_: object) -> None:
        raise MongoUnavailableError("MongoDB did not answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.memory_archive, "locate", unavailable)
        assert post(call, "/hooks/upload", nowhere, "two").status_code == 503
    assert post(call, "/hooks/upload", nowhere, "two").status_code == 202


def test_key_belongs_to_its_token(world: World, call: Call) -> None:
    hashes = {hashlib.sha256(token.encode()).hexdigest() for token in (TOKEN, "another")}
    world.settings = replace(world.settings, token_hashes=frozenset(hashes))
    post(call, "/hooks/upload", UPLOAD)
    assert "Idempotency-Replayed" not in post(call, "/hooks/upload", UPLOAD, token="another").headers
    assert post(call, "/hooks/upload", UPLOAD, token="wrong").status_code == 401
    assert post(call, "/hooks/upload", UPLOAD, token=None).status_code == 401


def test_key_expires_after_a_day(world: World, call: Call) -> None:
    post(call, "/hooks/upload", UPLOAD)
    world.clock.advance(KEEP_RESPONSE_SECONDS + 1)
    assert "Idempotency-Replayed" not in post(call, "/hooks/upload", UPLOAD).headers


def test_key_may_be_quoted(call: Call) -> None:
    post(call, "/hooks/upload", UPLOAD, '"a key"')
    assert post(call, "/hooks/upload", UPLOAD, "a key").headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", " ", '"', '""', "x" * 256, "a\nb", "\u00fc", 'a"b'])
def test_invalid_key_is_refused(call: Call, key: str) -> None:
    answer = post(call, "/hooks/upload", UPLOAD, key)
    assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/Idempotency-Key")


def test_response_too_large_to_store_is_not_replayed(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.entrypoints.http.idempotency.MAX_RESPONSE_BYTES", 10)
    post(call, "/hooks/upload", UPLOAD)
    assert "Idempotency-Replayed" not in post(call, "/hooks/upload", UPLOAD).headers


def test_key_on_read_is_ignored(world: World, call: Call) -> None:
    assert call("GET", "/jobs", Idempotency_Key="one").status_code == 200
    assert post(call, "/hooks/upload", UPLOAD).status_code == 202


def test_sign_in_response_is_not_stored(world: World, call: Call) -> None:
    for _ in range(2):
        answer = post(call, "/sign-in", {"token": TOKEN}, X_Slidehook="page", Sec_Fetch_Site="same-origin")
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, True)
        assert "Idempotency-Replayed" not in answer.headers
    assert not any(record.response for record in kept(world))


def kept(world: World) -> list[Any]:
    return [each.record for each in world.memory_idempotency._records.values()]


def test_keys_of_session_and_token_are_separate(world: World, call: Call) -> None:
    session = call("POST", "/sign-in", {"token": TOKEN}, token=None, X_Slidehook="page").headers["Set-Cookie"]
    cookie: dict[str, Any] = {"token": None, "Cookie": session.split(";")[0], "X_Slidehook": "page"}
    first = post(call, "/hooks/upload", UPLOAD, **cookie)
    assert first.status_code == 202
    assert post(call, "/hooks/upload", UPLOAD, **cookie).headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in post(call, "/hooks/upload", UPLOAD).headers
