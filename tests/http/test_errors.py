"""Errors as problem details."""

import logging

import pytest

from chalicelib.core.errors import ConflictError, MongoUnavailableError
from chalicelib.entrypoints.http.responses import problem
from tests.http.client import Call
from tests.http.uploads import NOWHERE, UPLOAD
from tests.world import World


def test_unknown_resources_are_not_found(call: Call) -> None:
    for method, path in (
        ("GET", "/jobs/nothing"), ("GET", f"/jobs/{'x' * 3000}"), ("GET", f"/jobs/{'0' * 32}"), ("POST", "/hooks/nothing"), ("GET", f"/sessions/{NOWHERE}"), ("GET", "/sessions/x"),
        ("GET", f"/collections/{NOWHERE}"), ("POST", f"/collections/{NOWHERE}/sessions"),
        ("POST", f"/sessions/{NOWHERE}/recreate"),
    ):  # fmt: skip
        answer = call(method, path, {"label": "x"} if method == "POST" else None)
        assert (answer.status_code, answer.json_body["code"]) == (404, "not_found"), path


def test_unavailable_database_returns_503_with_retry_after(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise MongoUnavailableError("MongoDB did not answer")

    monkeypatch.setattr(world.memory_archive, "locate", away)
    answer = call("POST", "/hooks/upload", UPLOAD)
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
