"""Calls of the `sync` hook, and the status of its runs."""

import json
from typing import Any

from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, SESSION, World

PLACE = {"collection": COLLECTION, "session": SESSION}
FOLDER = f"{COLLECTION}/{SESSION}/"


def slide(seed: int = 0) -> bytes:
    return write(Slide(width_px=150, height_px=100, seed=seed))


def sync(call: Call, prefix: str = "lung/", **asked: Any) -> tuple[int, dict[str, Any]]:
    answer = call("POST", "/hooks/sync", {"prefix": f"s3://{BUCKET}/{prefix}"} | asked)
    return answer.status_code, json.loads(answer.body)


def status(call: Call, sync_id: str, page: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("GET", f"/syncs/{sync_id}{page}").body)
    return found


def synced(world: World, call: Call, prefix: str = "lung/", **asked: Any) -> dict[str, Any]:
    """Run a sync and the jobs that it submits. Returns the status of the sync."""
    world.clock.advance(60)
    code, started = sync(call, prefix, **(PLACE | asked))
    assert code == 202, started
    world.run()
    return status(call, started["id"])


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


def synced_by_keys(world: World, call: Call, prefix: str) -> dict[str, Any]:
    """Run a sync whose keys name collection and session. Returns its status."""
    code, started = sync(call, prefix)
    assert code == 202, started
    world.run()
    return status(call, started["id"])
