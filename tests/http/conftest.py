"""The app with its doors, over ports in memory."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse

from tests.http.documented import assert_documented
from tests.slides import Slide, write
from tests.world import TOKEN, World

SETTINGS = (
    "SLIDEHOOK_INCOMING_BUCKET", "SLIDEHOOK_WORK_BUCKET", "SLIDEHOOK_JOBS_TABLE", "SLIDEHOOK_JOBS_QUEUE",
    "SLIDEHOOK_CHUNKS_QUEUE", "SLIDEHOOK_MONGO_URI",
)  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """The app's outside; `app.services` from now on."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "unused")
    import app

    made = World()
    monkeypatch.setattr(app, "services", made)
    made.put(write(Slide(width_px=300, height_px=200)))
    return made


@pytest.fixture
def call(world: World) -> Callable[..., HTTPResponse]:
    """Call the app as a client with the right token does."""
    import app

    def made(method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **headers: str) -> HTTPResponse:
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        with Client(app.app, stage_name="test") as client:
            answer = client.http.request(method, path, headers=sent, body=data)
        assert_documented(method, path, answer)
        return answer

    return made
