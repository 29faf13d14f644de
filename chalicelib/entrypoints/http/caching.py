"""What a client has already, and how long it would wait for news (RFC 9110 and RFC 7240)."""

import hashlib
import json
import re
from collections.abc import Callable

from chalice.app import Request

from chalicelib.core.jobs.model import Job
from chalicelib.ports.clock import Clock
from chalicelib.steps.report import report

# API Gateway gives up on an answer after 29 s.
MAX_WAIT_SECONDS = 20
LOOK_EVERY_SECONDS = 0.5
_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?\s*(;.*)?', re.IGNORECASE | re.ASCII | re.DOTALL)
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def etag(*parts: object) -> str:
    """Return the tag of what these parts say. It is weak: rates and what is left are reckoned anew for each answer, and
    are no news."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def tag_of(job: Job) -> str:
    """Return the tag of a job's status: it changes with all that the status tells but what passes with time."""
    return etag(report(job, now=job.updated_at))


def has_already(request: Request, tag: str) -> bool:
    """Tell whether the client says that it has what bears this tag."""
    given = str(request.headers.get("if-none-match", ""))
    return given.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(given)


def preferred_wait_seconds(request: Request) -> int:
    """Return how long an answer may wait for news, as far as the client would: 0 without such a wish."""
    for preference in str(request.headers.get("prefer", "")).split(","):
        if wish := _WAIT.fullmatch(preference.strip()):
            return min(int(wish[1]), MAX_WAIT_SECONDS)
    return 0


def awaited(look: Callable[[], Job], is_news: Callable[[Job], bool], *, seconds: float, clock: Clock) -> Job:
    """Return the job when it is news, or as it stands when the seconds have passed."""
    until = clock.now() + seconds
    while not is_news(job := look()) and (left := until - clock.now()) > 0:
        clock.sleep(min(LOOK_EVERY_SECONDS, left))
    return job
