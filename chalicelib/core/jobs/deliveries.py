"""Callbacks: the deliveries of the outcome of an attempt, their signatures and their retry schedule.

    pending -> delivered    the receiver responded with 2xx
            -> failed       ten tries in 75 hours failed
            -> disabled     the receiver responded with 410: the URL receives no more callbacks of this job (or hook)
    any     -> pending      a user sends it again

One outcome for one URL is one delivery. Its id (`webhook-id`) is derived from both, so creating it twice is idempotent.
A try starts and ends with a conditional write, so that two workers do not make the same try. A try whose worker died is
repeated after a minute.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal

from chalicelib.core.ids import content_id
from chalicelib.core.jobs.model import Attempt, Job, Problem, State
from chalicelib.core.standard_webhooks import secret_bytes, sign
from chalicelib.core.timestamps import instant

DeliveryState = Literal["pending", "delivered", "failed", "disabled"]

# The schedule of Standard Webhooks: from seconds, for a receiver that restarts, to days, for an outage.
SCHEDULE_SECONDS = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
MAX_TRIES = len(SCHEDULE_SECONDS) + 1
JITTER = 0.1
LONGEST_WAIT_SECONDS = 86400.0
# Longer than a request may take. A try without a result after this time has failed.
SILENT_TRY_SECONDS = 60.0
# Clocks and queues have a resolution of one second.
EARLY_SECONDS = 1.0
KEEP_SECONDS = 30 * 86400.0
MAX_LOG = 20

SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingNotification:
    """An ended attempt whose callbacks have not been created yet (an outbox entry)."""

    job: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a request: a status with `Retry-After`, or an error message that does not contain an address."""

    status: int | None = None
    error: str | None = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try of a delivery."""

    at: float
    milliseconds: int
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One outcome for one URL. `scope` is whose URL it is: a job's id or a hook's name. `version` counts the writes,
    `tries` those since it was last asked for, `next_at` is when the next one is due (None: never), and `begun_at` when
    the one began that is being made. `body` is fixed: each try sends the same bytes."""

    id: str
    job: str
    attempt: int
    outcome: State
    url: str
    scope: str
    body: str
    created_at: float
    expires_at: int
    state: DeliveryState = "pending"
    version: int = 0
    tries: int = 0
    next_at: float | None = None
    begun_at: float | None = None
    by_hand: bool = False
    log: tuple[Try, ...] = ()


# -- deliveries of an outcome ------------------------------------------------------------------------------------------


def delivery_id(job: str, attempt: int, outcome: State, url: str) -> str:
    """Return the one `webhook-id` of an outcome for a URL."""
    said = {"job": job, "attempt": attempt, "outcome": outcome.value, "url": url}
    return f"msg_{content_id('callback', said)}"


def has_ended(job: Job, attempt: int) -> bool:
    """Tell whether an attempt of the job is over."""
    return attempt < job.attempt or (attempt == job.attempt and not job.is_live)


def outcome_of(job: Job, attempt: int) -> Attempt | None:
    """Return how an attempt ended; None if it runs, or is so long ago that the job does not remember it."""
    return next((each for each in job.history if each.attempt == attempt), None)


def new_deliveries(job: Job, recorded: Attempt, *, hook_url: str | None, now: float) -> tuple[Delivery, ...]:
    """Return the deliveries of an outcome: one for the hook's URL and each that the job's callers gave in time."""
    scopes = {each.url: job.id for each in job.subscribers if each.since <= recorded.attempt}
    if hook_url is not None:
        scopes[hook_url] = job.hook
    return tuple(
        Delivery(
            id=delivery_id(job.id, recorded.attempt, recorded.outcome, url),
            job=job.id,
            attempt=recorded.attempt,
            outcome=recorded.outcome,
            url=url,
            scope=scope,
            body=event(job, recorded),
            created_at=now,
            expires_at=int(now + KEEP_SECONDS),
            next_at=now,
        )
        for url, scope in scopes.items()
    )


def event(job: Job, recorded: Attempt) -> str:
    """Return the body of a callback as JSON: the job without its long lists."""
    is_last = job.attempt == recorded.attempt
    shown = job.published if is_last and recorded.outcome is State.DONE else None
    found = job.findings if is_last and recorded.outcome is State.DONE else None
    data = {
        "id": job.id,
        "hook": job.hook,
        "state": recorded.outcome.value,
        "attempt": recorded.attempt,
        "source": {
            "bucket": job.source.bucket,
            "key": job.source.key,
            "etag": job.source.etag,
            "size_bytes": job.source.size_bytes,
        },
        "destination": {"collection": job.destination.collection, "session": job.destination.session},
        "started_at": instant(recorded.started_at),
        "ended_at": instant(recorded.ended_at),
        "error": _problem(recorded.error),
        "tiles": {"total": job.tiles_total, "bad": job.tiles_bad}
        if recorded.outcome is State.DONE and is_last
        else None,
        "result": None
        if shown is None
        else {
            "image": shown.image,
            "view": shown.view,
            "image_store": shown.image_store,
            "database": shown.database,
            "thumbnail": job.thumbnail_url,
        },
        "verification": None
        if found is None or job.verifies is None
        else {
            "job": job.verifies.job,
            "intact": found.are_clean,
            "missing": found.missing,
            "altered": found.altered,
            "doubled": found.doubled,
            "unexpected": found.unexpected,
        },
        "links": {"self": f"/jobs/{job.id}", "deliveries": f"/jobs/{job.id}/deliveries"},
    }
    whole = {"type": f"job.{recorded.outcome.value}", "timestamp": instant(recorded.ended_at), "data": data}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False)


def _problem(problem: Problem | None) -> dict[str, str] | None:
    return None if problem is None else {"code": problem.code, "message": problem.message, "hint": problem.hint}


# -- signature ---------------------------------------------------------------------------------------------------------


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """Return the secrets of a list such as `whsec_...,whsec_...`. Raises ValueError, which repeats none of them."""
    try:
        return tuple(secret_bytes(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"a secret {error}") from None


def signatures(secrets: Sequence[bytes], *, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a message: one of each secret, so that a receiver may know the old or the
    new."""
    return " ".join(sign(secret, message_id, timestamp, body) for secret in secrets)


def headers_of(delivery: Delivery, secrets: Sequence[bytes], *, now: float) -> Mapping[str, str]:
    """Return the headers of a try that is made now."""
    timestamp = int(now)
    signed = signatures(secrets, message_id=delivery.id, timestamp=timestamp, body=delivery.body.encode())
    return {
        "content-type": "application/json",
        "user-agent": "Slidehook",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signed,
    }


# -- moves -------------------------------------------------------------------------------------------------------------


def is_due(delivery: Delivery, *, now: float) -> bool:
    """Tell whether the next try is to be made."""
    return delivery.state == "pending" and delivery.next_at is not None and delivery.next_at - EARLY_SECONDS <= now


def begun(delivery: Delivery, *, now: float) -> Delivery:
    """Return a due delivery whose next try is being made; failed if there is none left. A try before it whose worker
    died without a word goes into the log."""
    silent = None if delivery.begun_at is None else Try(at=delivery.begun_at, milliseconds=0, error=NO_RESULT)
    if delivery.tries >= MAX_TRIES:
        return _ended(delivery, "failed", silent, now=now)
    return replace(
        delivery,
        version=delivery.version + 1,
        tries=delivery.tries + 1,
        next_at=now + SILENT_TRY_SECONDS,
        begun_at=now,
        log=_logged(delivery, silent),
    )


NO_RESULT = "the worker of this try stopped before it recorded a result"


def answered(delivery: Delivery, answer: Answer, *, now: float, jitter: float) -> Delivery:
    """Return a begun delivery after its receiver's answer. `jitter` lies in [0, 1)."""
    began = now if delivery.begun_at is None else delivery.begun_at
    took = max(0, round(1000 * (now - began)))
    made = Try(at=began, milliseconds=took, status=answer.status, error=answer.error)
    if answer.status in SUCCESS:
        return _ended(delivery, "delivered", made, now=now)
    if answer.status == HTTPStatus.GONE:
        return _ended(delivery, "disabled", made, now=now)
    if delivery.tries >= MAX_TRIES:
        return _ended(delivery, "failed", made, now=now)
    wait = wait_seconds(delivery.tries, retry_after=retry_after_seconds(answer.retry_after, now=now), jitter=jitter)
    return replace(
        delivery,
        version=delivery.version + 1,
        next_at=now + wait,
        begun_at=None,
        by_hand=False,
        log=_logged(delivery, made),
        expires_at=int(now + KEEP_SECONDS),
    )


def disabled(delivery: Delivery, *, now: float) -> Delivery:
    """Return a delivery whose URL wants to hear nothing more."""
    return _ended(delivery, "disabled", None, now=now)


def replayed(delivery: Delivery, *, now: float) -> Delivery:
    """Return the delivery, to be sent again now, with the full retry schedule."""
    return replace(
        delivery,
        state="pending",
        version=delivery.version + 1,
        tries=0,
        next_at=now,
        begun_at=None,
        by_hand=True,
        expires_at=int(now + KEEP_SECONDS),
    )


def _ended(delivery: Delivery, state: DeliveryState, made: Try | None, *, now: float) -> Delivery:
    return replace(
        delivery,
        state=state,
        version=delivery.version + 1,
        next_at=None,
        begun_at=None,
        by_hand=False,
        log=_logged(delivery, made),
        expires_at=int(now + KEEP_SECONDS),
    )


def _logged(delivery: Delivery, made: Try | None) -> tuple[Try, ...]:
    return delivery.log if made is None else (*delivery.log, made)[-MAX_LOG:]


# -- schedule ----------------------------------------------------------------------------------------------------------


def wait_seconds(tries: int, *, retry_after: float = 0.0, jitter: float) -> float:
    """Return how long to wait after so many tries: as the schedule says, a tenth more or less so that not all come
    back together, or as long as the receiver asks for."""
    planned = SCHEDULE_SECONDS[min(tries, len(SCHEDULE_SECONDS)) - 1]
    return max(planned * (1 - JITTER + 2 * JITTER * jitter), min(retry_after, LONGEST_WAIT_SECONDS))


def retry_after_seconds(text: str | None, *, now: float) -> float:
    """Return the wait that a `Retry-After` asks for, in seconds or by a date; 0 for nothing, the past, or nonsense."""
    if text is None:
        return 0.0
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:MAX_DIGITS])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    aware = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now)


MAX_DIGITS = 12
