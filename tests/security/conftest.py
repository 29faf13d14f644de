"""The app as attackers meet it: reads require a token, and each token is limited."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from chalice.test import HTTPResponse

from chalicelib.core.standard_webhooks import secret_bytes, sign
from chalicelib.core.web.auth import secrets_of, token_hash, tokens_of
from infra.local.api import create_server
from tests.http.conftest import call
from tests.http.conftest import world as open_world
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, OTHER_COLLECTION, OTHER_SESSION, SESSION, World

__all__ = ["call", "open_world"]

Call = Callable[..., HTTPResponse]

OLD, NEW, UNKNOWN = (f"whsec_{letter * 32}" for letter in "ABC")
THEIRS = f"{OTHER_COLLECTION}/{OTHER_SESSION}/secret.svs"
MINE = f"{COLLECTION}/{SESSION}/mine.svs"


def entry(name: str, scopes: list[str], **more: Any) -> dict[str, Any]:
    return {"name": name, "sha256": token_hash(name), "scopes": scopes, **more}


@pytest.fixture
def world(open_world: World) -> World:
    """Tokens are named by their scope: `read`, `submit`, `admin`; `mine-...` is limited to one collection."""
    scopes = ("read", "submit", "admin")
    tokens = [entry(scope, [scope]) for scope in scopes]
    tokens += [entry(f"mine-{scope}", [scope], collections=[COLLECTION]) for scope in scopes]
    secrets = [
        {"name": "scanner", "secret": OLD},
        {"name": "scanner", "secret": NEW},
        {"name": "mine", "secret": f"whsec_{'M' * 32}", "collections": [COLLECTION]},
    ]
    open_world.settings = replace(
        open_world.settings,
        allow_anonymous_local_reads=False,
        tokens=tokens_of(json.dumps(tokens)),
        webhook_secrets=secrets_of(json.dumps(secrets)),
    )
    for key in (MINE, THEIRS):
        open_world.put(write(Slide(width_px=300, height_px=200)), key)
    return open_world


@pytest.fixture
def deliver(world: World, call: Call) -> Call:
    """Return a function that calls a hook with a signed webhook. `headers` replace signed headers."""

    def send(
        body: dict[str, Any] | bytes,
        *,
        hook: str = "upload",
        secret: str = NEW,
        delivery: str = "msg_1",
        at: float | None = None,
        **headers: str,
    ) -> HTTPResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = int(world.clock.now() if at is None else at)
        sent = {
            "webhook_id": delivery,
            "webhook_timestamp": str(stamp),
            "webhook_signature": sign(secret_bytes(secret), delivery, stamp, data),
        }
        return call("POST", f"/hooks/{hook}", data, token=None, **sent | headers)

    return send


@pytest.fixture
def port(world: World) -> Iterator[int]:
    """The port of the real local server over the app."""
    import app

    kind = type(app.app)
    server = create_server(0).server
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.app.__class__ = kind  # Chalice's local server replaces it


UPLOAD = {"source": f"s3://{BUCKET}/{MINE}", "collection": COLLECTION, "session": SESSION}
FOREIGN_UPLOAD = {"source": f"s3://{BUCKET}/{THEIRS}", "collection": OTHER_COLLECTION, "session": OTHER_SESSION}


def publish(world: World, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Publish a slide with all rights; return the job's status."""
    job = call("POST", "/hooks/upload", body)
    assert job.status_code == 202, job.body
    world.run()
    found: dict[str, Any] = call("GET", f"/jobs/{job.json_body['id']}").json_body
    assert found["state"] == "done"
    return found
