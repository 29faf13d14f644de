"""Requests with and without a token."""

from dataclasses import replace

import pytest

from tests.http.client import Call
from tests.http.uploads import UPLOAD, upload_and_finish
from tests.world import BUCKET, COLLECTION, SESSION, World


@pytest.mark.parametrize(
    "path", ["/hooks/upload", f"/collections/{COLLECTION}/sessions", f"/sessions/{SESSION}/recreate"]
)
@pytest.mark.parametrize("token", [None, "", "wrong", "a tokeN"])
def test_writes_without_valid_token_are_refused(world: World, call: Call, path: str, token: str | None) -> None:
    answer = call("POST", path, UPLOAD, token=token)
    assert (answer.status_code, answer.json_body["code"], answer.headers["WWW-Authenticate"]) == (
        401,
        "unauthorized",
        "Bearer",
    )
    assert world.memory_queue.sent == []


def test_writes_are_refused_if_no_token_is_configured(world: World, call: Call) -> None:
    world.settings = replace(world.settings, token_hashes=frozenset())
    assert call("POST", "/hooks/upload", UPLOAD).status_code == 401
    assert call("POST", "/hooks/upload", UPLOAD, token="").status_code == 401


def test_reads_require_token_unless_anonymous_reads_are_allowed(world: World, call: Call) -> None:
    job = upload_and_finish(world, call)
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
