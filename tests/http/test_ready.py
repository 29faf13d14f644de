"""`/health` and `/ready`."""

import logging
from dataclasses import replace
from threading import Event

import pytest

from chalicelib.core.web.readiness import Condition, Finding
from chalicelib.services import Services
from tests.http.client import Call
from tests.world import World


def test_service_with_responding_parts_is_ready(world: World, call: Call) -> None:
    answer = call("GET", "/ready", token=None)
    assert (answer.status_code, answer.json_body["status"]) == (200, "ready")
    assert {name: part["ok"] for name, part in answer.json_body["parts"].items()} == {"table": True, "database": True}


def test_failing_part_is_named_without_secrets(world: World, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    def unavailable() -> None:
        raise ConnectionError("mongodb://user:secret@host refused")

    world.probes["database"] = unavailable
    with caplog.at_level(logging.WARNING):
        answer = call("GET", "/ready", token=None)
    assert (answer.status_code, answer.json_body["status"]) == (503, "not ready")
    assert {name: part["ok"] for name, part in answer.json_body["parts"].items()} == {"table": True, "database": False}
    assert "secret" not in answer.body.decode() + caplog.text
    assert "not ready: database (ConnectionError)" in caplog.text


def test_silent_part_times_out(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.entrypoints.http.handlers.readiness.TIMEOUT_SECONDS", 0.05)
    over = Event()
    world.probes["table"] = lambda: over.wait(30)
    answer = call("GET", "/ready")
    over.set()
    assert (answer.status_code, answer.json_body["parts"]["table"]) == (503, {"ok": False, "seconds": 0.05})
    assert answer.json_body["parts"]["database"]["ok"] is True


def test_degraded_part_degrades_service(world: World, call: Call) -> None:
    world.probes["database files"] = lambda: Finding(condition=Condition.DEGRADED, detail="Too many files are open.")
    answer = call("GET", "/ready", token=None)
    assert (answer.status_code, answer.json_body["status"]) == (200, "degraded")
    part = answer.json_body["parts"]["database files"]
    assert (part["ok"], part["detail"]) == (False, "Too many files are open.")
    assert "Retry-After" not in answer.headers


def test_unmeasurable_part_is_unknown_and_service_is_ready(world: World, call: Call) -> None:
    world.probes["database files"] = lambda: Finding(condition=Condition.UNKNOWN, detail="No right to ask.")
    answer = call("GET", "/ready", token=None)
    assert (answer.status_code, answer.json_body["status"]) == (200, "ready")
    part = answer.json_body["parts"]["database files"]
    assert (part["ok"], part["detail"]) == (None, "No right to ask.")


def test_silent_part_outweighs_degraded_part(world: World, call: Call) -> None:
    world.probes["database files"] = lambda: Finding(condition=Condition.DEGRADED, detail="Too many files are open.")
    world.probes["table"] = lambda: 1 / 0
    answer = call("GET", "/ready", token=None)
    assert (answer.status_code, answer.json_body["status"]) == (503, "not ready")


@pytest.mark.parametrize(("limit", "parts"), [(0, set()), (1024, {"database files"})])
def test_open_files_are_checked_only_if_limit_is_set(limit: int, parts: set[str]) -> None:
    settings = replace(World().settings, aws_endpoint="http://127.0.0.1:9", mongo_open_files=limit)
    names = {"table", "jobs queue", "chunks queue", "incoming bucket", "work bucket", "database"}
    services = Services(settings)
    assert set(services.probes) == names | parts
    services._mongo.close()


def test_health_is_ok_without_any_part(world: World, call: Call) -> None:
    world.probes["table"] = lambda: 1 / 0
    assert call("GET", "/health", token=None).json_body == {"status": "ok"}
