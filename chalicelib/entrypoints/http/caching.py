"""Conditional requests and long polling (RFC 9110 and RFC 7240)."""

import hashlib
import json
import re
from collections.abc import Callable

from chalice.app import Request

from chalicelib.core.jobs.model import Job
from chalicelib.ports.clock import Clock

# API Gateway's integration timeout is 29 s.
MAX_WAIT_SECONDS = 20
LOOK_EVERY_SECONDS = 0.5
_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?\s*(;.*)?', re.IGNORECASE | re.ASCII | re.DOTALL)
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag(*parts: object) -> str:
    """Return the weak ETag of these values. Rates and remaining time are not part of it: they always change."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def has_already(request: Request, tag: str) -> bool:
    """Return whether If-None-Match names this tag."""
    given = str(request.headers.get("if-none-match", ""))
    return given.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(given)


def preferred_wait_seconds(request: Request) -> int:
    """Return how long the client prefers to wait for a change, 20 s at most; 0 without such a preference."""
    for preference in str(request.headers.get("prefer", "")).split(","):
        if found := _WAIT.fullmatch(preference.strip()):
            return min(int(found[1]), MAX_WAIT_SECONDS)
    return 0


def wait_for_change(
    look: Callable[[], Job], has_changed: Callable[[Job], bool], *, seconds: float, clock: Clock
) -> Job:
    """Return the job as soon as it has changed, or its state after `seconds`."""
    until = clock.now() + seconds
    while not has_changed(job := look()) and (left := until - clock.now()) > 0:
        clock.sleep(min(LOOK_EVERY_SECONDS, left))
    return job
