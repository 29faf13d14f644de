"""The app and its routes over ports in memory."""

import json
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse

from chalicelib.core.jobs.model import Job
from tests.http.client import Call
from tests.http.documented import assert_documented
from tests.http.slides import publish
from tests.slides import Slide, write
from tests.world import BUCKET, TOKEN, World

SETTINGS = (
    "SLIDEHOOK_INCOMING_BUCKET", "SLIDEHOOK_WORK_BUCKET", "SLIDEHOOK_JOBS_TABLE", "SLIDEHOOK_JOBS_QUEUE",
    "SLIDEHOOK_CHUNKS_QUEUE", "SLIDEHOOK_MONGO_URI",
)  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Ports in memory with one slide in the bucket, used as `app.services`."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "unused")
    import app

    world = World()
    monkeypatch.setattr(app, "services", world)
    world.put(write(Slide(width_px=300, height_px=200)))
    return world


@pytest.fixture
def call(world: World) -> Call:
    """Return a function that calls the app with a valid token and checks the response against the API document."""
    import app

    def request(method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **headers: str) -> HTTPResponse:
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        with Client(app.app, stage_name="test") as client:
            answer = client.http.request(method, path, headers=sent, body=data)
        assert_documented(method, path, answer)
        return answer

    return request


@pytest.fixture
def job(world: World) -> Job:
    """A published slide: 300 x 200 px in tiles of 64, so 5 x 4, 3 x 2, 2 x 1 and 1 tile."""
    return publish(world)


@pytest.fixture
def empty_bucket(world: World) -> None:
    world.memory_slides.delete(BUCKET, "slide.svs")
