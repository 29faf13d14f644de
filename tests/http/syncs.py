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
    """Return the status of a sync that has ended, after all it submitted has ended too."""
    world.clock.advance(60)
    code, begun = sync(call, prefix, **(PLACE | asked))
    assert code == 202, begun
    world.run()
    return status(call, begun["id"])


def counts(found: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


def by_their_keys(world: World, call: Call, prefix: str) -> dict[str, Any]:
    """Return the status of a sync whose keys name the places of their slides."""
    code, begun = sync(call, prefix)
    assert code == 202, begun
    world.run()
    return status(call, begun["id"])
