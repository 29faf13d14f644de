"""Calls of the `upload` hook."""

from typing import Any

from tests.http.client import Call
from tests.world import BUCKET, COLLECTION, SESSION, World

UPLOAD = {"source": f"s3://{BUCKET}/slide.svs", "collection": COLLECTION, "session": SESSION}
NOWHERE = "0123456789abcdef01234567"


def upload_and_finish(world: World, call: Call, **options: Any) -> dict[str, Any]:
    job = call("POST", "/hooks/upload", UPLOAD | options).json_body
    world.run()
    found: dict[str, Any] = call("GET", f"/jobs/{job['id']}").json_body
    assert found["state"] == "done"
    return found
