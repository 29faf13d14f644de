"""Whether the service is alive, and whether it is ready."""

import logging
from collections.abc import Callable
from threading import Event

import pytest
from chalice.test import HTTPResponse

from tests.world import World

Call = Callable[..., HTTPResponse]


def test_a_service_whose_parts_answer_is_ready(world: World, call: Call) -> None:
    answer = call("GET", "/ready", token=None)
    assert (answer.status_code, answer.json_body["status"]) == (200, "ready")
    assert {name: part["ok"] for name, part in answer.json_body["parts"].items()} == {"table": True, "database": True}


def test_a_part_that_fails_is_named_and_its_secrets_are_not(
    world: World, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> None:
        raise ConnectionError("mongodb://user:secret@host refused")

    world.probes["database"] = away
    with caplog.at_level(logging.WARNING):
        answer = call("GET", "/ready", token=None)
    assert (answer.status_code, answer.json_body["status"]) == (503, "not ready")
    assert {name: part["ok"] for name, part in answer.json_body["parts"].items()} == {"table": True, "database": False}
    assert "secret" not in answer.body.decode() + caplog.text
    assert "not ready: database (ConnectionError)" in caplog.text


def test_a_part_that_does_not_answer_is_not_waited_for(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.entrypoints.http.ready.PATIENCE_SECONDS", 0.05)
    over = Event()
    world.probes["table"] = lambda: over.wait(30)
    answer = call("GET", "/ready")
    over.set()
    assert (answer.status_code, answer.json_body["parts"]["table"]) == (503, {"ok": False, "seconds": 0.05})
    assert answer.json_body["parts"]["database"]["ok"] is True


def test_a_service_is_alive_whatever_it_stands_on(world: World, call: Call) -> None:
    world.probes["table"] = lambda: 1 / 0
    assert call("GET", "/health", token=None).json_body == {"status": "ok"}
