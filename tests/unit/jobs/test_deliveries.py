"""Deliveries of outcomes: contents, signature, and schedule of attempts."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.jobs.deliveries import (
    KEEP_SECONDS,
    LONGEST_WAIT_SECONDS,
    MAX_LOG,
    MAX_TRIES,
    NO_RESULT,
    SCHEDULE_SECONDS,
    SILENT_TRY_SECONDS,
    Answer,
    Delivery,
    Try,
    answered,
    begun,
    delivery_id,
    disabled,
    event,
    headers_of,
    is_due,
    new_deliveries,
    outcome_of,
    parse_secrets,
    replayed,
    retry_after_seconds,
    signatures,
    wait_seconds,
)
from chalicelib.core.jobs.model import Job, LevelSummary, Problem, Published, State, Subscriber
from chalicelib.core.jobs.transitions import cancelled, done, failed, finishing, next_attempt, verified
from chalicelib.core.jobs.verification import Findings, Target
from tests.contracts.samples import a_job, a_tiling_job

# The example of the libraries of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
URL = "https://example.org/hook"


def a_delivery(**changes: Any) -> Delivery:
    job = cancelled_job()
    recorded = outcome_of(job, 1)
    assert recorded is not None
    (made,) = new_deliveries(job, recorded, hook_url=None, now=1000.0)
    return replace(made, **changes)


def cancelled_job(**changes: Any) -> Job:
    job = a_tiling_job(subscribers=(Subscriber(URL, 1),), started_at=900.0, **changes)
    return cancelled(job, now=999.5, cleanup_at=999.5)


# -- signature ---------------------------------------------------------------------------------------------------------


def test_message_signature_matches_standard_webhooks_example() -> None:
    (secret,) = parse_secrets(SECRET)
    assert signatures([secret], message_id=MESSAGE, timestamp=TIMESTAMP, body=BODY) == SIGNATURE
    by_hand = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), digestmod=hashlib.sha256)
    by_hand.update(b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + BODY)
    assert f"v1,{base64.b64encode(by_hand.digest()).decode()}" == SIGNATURE


def test_two_secrets_give_two_signatures_during_rotation() -> None:
    both = signatures(parse_secrets(f"{OTHER_SECRET}, {SECRET}"), message_id=MESSAGE, timestamp=TIMESTAMP, body=BODY)
    one, other = both.split(" ")
    assert other == SIGNATURE
    assert one == signatures(parse_secrets(OTHER_SECRET), message_id=MESSAGE, timestamp=TIMESTAMP, body=BODY)


def test_documented_receiver_code_accepts_signed_deliveries_only() -> None:
    document = (Path(__file__).parents[3] / "docs" / "callbacks.md").read_text(encoding="utf-8")
    code = document.split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(code, found)
    is_ours, now = found["is_ours"], time.time()
    delivery = a_delivery()
    headers = headers_of(delivery, parse_secrets(f"{OTHER_SECRET},{SECRET}"), now=now)
    body = delivery.body.encode()
    assert is_ours(SECRET, headers, body)
    assert is_ours(OTHER_SECRET, headers, body)
    assert not is_ours(SECRET, headers, body + b" ")
    assert not is_ours("whsec_" + "A" * 32, headers, body)
    assert not is_ours(SECRET, headers_of(delivery, parse_secrets(SECRET), now=now - 400), body)


def test_parse_secrets_of_empty_text_returns_nothing() -> None:
    assert parse_secrets("") == parse_secrets(" , ") == ()


@pytest.mark.parametrize(
    "text",
    [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_short",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        f"{SECRET},whsec_nonsense!!",
        "whsec_ümläut",
    ],
)
def test_parse_secrets_rejects_invalid_secret_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"must begin with whsec_|must be base64|24 to 64 bytes") as refused:
        parse_secrets(text)
    assert text.rsplit("_", 1)[-1] not in str(refused.value)


def test_each_attempt_has_own_timestamp_and_same_id_and_body() -> None:
    delivery = a_delivery()
    secrets = parse_secrets(SECRET)
    first, second = (headers_of(delivery, secrets, now=now) for now in (1000.9, 5000.0))
    assert first["webhook-id"] == second["webhook-id"] == delivery.id
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "5000")
    expected = signatures(secrets, message_id=delivery.id, timestamp=5000, body=delivery.body.encode())
    assert second["webhook-signature"] == expected
    assert first["content-type"] == "application/json"


# -- contents ----------------------------------------------------------------------------------------------------------


def test_delivery_id_depends_on_job_attempt_outcome_and_url() -> None:
    one = delivery_id("a" * 32, 1, State.DONE, URL)
    others = {
        delivery_id("b" * 32, 1, State.DONE, URL),
        delivery_id("a" * 32, 2, State.DONE, URL),
        delivery_id("a" * 32, 1, State.FAILED, URL),
        delivery_id("a" * 32, 1, State.DONE, URL + "/"),
    }
    assert one == delivery_id("a" * 32, 1, State.DONE, URL) == "msg_" + one[4:]
    assert len(one) == 36
    assert one not in others
    assert len(others) == 4


def test_new_deliveries_include_subscribers_in_time_and_hook_url() -> None:
    early, late = Subscriber(URL, 1), Subscriber("https://late.example/", 2)
    job = replace(cancelled_job(), subscribers=(early, late))
    recorded = outcome_of(job, 1)
    assert recorded is not None
    made = new_deliveries(job, recorded, hook_url="https://hook.example/", now=5.0)
    assert [(each.url, each.scope) for each in made] == [(URL, job.id), ("https://hook.example/", "upload")]
    assert {(each.state, each.next_at, each.expires_at) for each in made} == {("pending", 5.0, int(5 + KEEP_SECONDS))}
    (once,) = new_deliveries(job, recorded, hook_url=URL, now=5.0)
    assert once.scope == "upload"
    assert outcome_of(job, 2) is None


def test_callback_of_done_job_contains_published_result() -> None:
    job = finishing(a_tiling_job(started_at=900.0, tiles_bad=1), bad_tiles=(), now=950.0)
    shown = Published(image="1" * 24, view="2" * 24, image_store="3" * 24, database="tiles")
    job = done(job, shown, now=999.5)
    recorded = json.loads(event(job, job.history[0]))
    assert (recorded["type"], recorded["timestamp"]) == ("job.done", "1970-01-01T00:16:39.500Z")
    data = recorded["data"]
    assert (data["id"], data["hook"], data["state"], data["attempt"]) == (job.id, "upload", "done", 1)
    assert data["source"] == {"bucket": "slides", "key": "slide.svs", "etag": '"one"', "size_bytes": 4096}
    assert data["tiles"] == {"total": 30, "bad": 1}
    assert data["result"]["image"] == "1" * 24
    assert data["result"]["thumbnail"] == f"/thumb?img={'1' * 24}&db={'3' * 24}"
    assert (data["error"], data["verification"]) == (None, None)
    assert data["links"] == {"self": f"/jobs/{job.id}", "deliveries": f"/jobs/{job.id}/deliveries"}


def test_callback_of_slide_without_thumbnail_has_null_thumbnail() -> None:
    job = a_tiling_job(started_at=900.0)
    coarsest = LevelSummary(
        level=0, width_px=300, height_px=200, columns=2, rows=1, tiles=2, sparse=0, method="passthrough"
    )
    job = finishing(replace(job, levels=(coarsest,)), bad_tiles=(), now=950.0)
    job = done(job, Published(image="1" * 24, view="2" * 24, image_store="3" * 24, database="tiles"), now=999.5)
    assert json.loads(event(job, job.history[0]))["data"]["result"]["thumbnail"] is None


def test_callback_of_failed_attempt_keeps_its_error_during_next_attempt() -> None:
    job = failed(
        a_tiling_job(), Problem(code="truncated", message="it ends", hint="Again."), now=999.5, cleanup_at=None
    )
    again = next_attempt(job, job.source, now=1001.0)
    for stands in (job, again):
        data = json.loads(event(stands, job.history[0]))["data"]
        assert (data["state"], data["attempt"]) == ("failed", 1)
        assert data["error"] == {"code": "truncated", "message": "it ends", "hint": "Again."}
        assert (data["result"], data["tiles"]) == (None, None)


def test_callback_of_verification_contains_counts() -> None:
    target = Target(job="c" * 32, attempt=1, image="1" * 24)
    job = finishing(a_tiling_job(verifies=target, hook="verify"), bad_tiles=(), now=950.0)
    job = verified(job, Findings(missing=2), now=999.5)
    found = json.loads(event(job, job.history[0]))["data"]["verification"]
    assert found == {"job": "c" * 32, "intact": False, "missing": 2, "altered": 0, "doubled": 0, "unexpected": 0}


# -- transitions -------------------------------------------------------------------------------------------------------


def test_response_of_2xx_ends_delivery() -> None:
    trying = begun(a_delivery(), now=1000.0)
    assert (trying.state, trying.tries, trying.next_at) == ("pending", 1, 1000.0 + SILENT_TRY_SECONDS)
    for status in (200, 204, 299):
        after = answered(trying, Answer(status=status), now=1000.25, jitter=0.5)
        assert (after.state, after.next_at) == ("delivered", None)
        assert after.log == (Try(at=1000.0, milliseconds=250, status=status),)
        assert not is_due(after, now=1e9)


@pytest.mark.parametrize("status", [101, 199, 301, 302, 307, 308, 304, 400, 401, 404, 429, 500, 503, None])
def test_other_response_schedules_another_attempt(status: int | None) -> None:
    error = "no connection" if status is None else None
    after = answered(begun(a_delivery(), now=1000.0), Answer(status=status, error=error), now=1001.0, jitter=0.5)
    assert (after.state, after.next_at, after.begun_at) == ("pending", 1006.0, None)
    assert after.log == (Try(at=1000.0, milliseconds=1000, status=status, error=error),)
    assert is_due(after, now=1006.0)
    assert not is_due(after, now=1004.0)


def test_response_410_disables_delivery() -> None:
    after = answered(begun(a_delivery(), now=1000.0), Answer(status=410), now=1001.0, jitter=0.5)
    assert (after.state, after.next_at) == ("disabled", None)
    assert disabled(a_delivery(), now=1.0).state == "disabled"


def test_delivery_fails_after_ten_attempts_in_three_days() -> None:
    delivery, now = a_delivery(), 1000.0
    waits = []
    for _ in range(MAX_TRIES):
        trying = begun(delivery, now=now)
        delivery = answered(trying, Answer(status=500), now=now, jitter=0.5)
        if delivery.next_at is not None:
            waits.append(delivery.next_at - now)
            now = delivery.next_at
    assert waits == list(SCHEDULE_SECONDS)
    assert 75 * 3600 < sum(waits) < 76 * 3600
    assert (delivery.state, delivery.tries, delivery.next_at, len(delivery.log)) == ("failed", 10, None, 10)


def test_interrupted_attempt_is_counted_and_logged() -> None:
    first = begun(a_delivery(), now=1000.0)
    assert not is_due(first, now=1030.0)
    assert is_due(first, now=1060.0)
    second = begun(first, now=1061.0)
    assert (second.tries, second.log) == (2, (Try(at=1000.0, milliseconds=0, error=NO_RESULT),))
    last = replace(second, tries=MAX_TRIES)
    given_up = begun(last, now=2000.0)
    assert (given_up.state, given_up.next_at, len(given_up.log)) == ("failed", None, 2)


def test_replay_restarts_schedule_under_same_id() -> None:
    for state in ("delivered", "failed", "disabled", "pending"):
        old = a_delivery(state=state, tries=10, next_at=None, version=20)
        again = replayed(old, now=9000.0)
        assert (again.id, again.body) == (old.id, old.body)
        assert (again.state, again.tries, again.next_at, again.by_hand, again.version) == (
            "pending",
            0,
            9000.0,
            True,
            21,
        )
        assert not answered(begun(again, now=9000.0), Answer(status=500), now=9000.0, jitter=0.0).by_hand


def test_log_keeps_last_attempts() -> None:
    tries = tuple(Try(at=float(number), milliseconds=1, status=500) for number in range(MAX_LOG))
    after = answered(begun(a_delivery(log=tries), now=1000.0), Answer(status=204), now=1000.0, jitter=0.0)
    assert after.log == (*tries[1:], Try(at=1000.0, milliseconds=0, status=204))


# -- schedule ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 270.0), (0.5, 300.0), (1.0, 330.0)])
def test_wait_varies_with_jitter(jitter: float, seconds: float) -> None:
    assert wait_seconds(2, jitter=jitter) == pytest.approx(seconds)


def test_retry_after_extends_wait_up_to_one_day() -> None:
    assert wait_seconds(1, retry_after=120.0, jitter=0.5) == 120.0
    assert wait_seconds(2, retry_after=1.0, jitter=0.5) == pytest.approx(300.0)
    assert wait_seconds(1, retry_after=1e9, jitter=0.5) == LONGEST_WAIT_SECONDS
    trying = begun(a_delivery(), now=1000.0)
    assert answered(trying, Answer(status=503, retry_after="60"), now=1001.0, jitter=0.5).next_at == 1061.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, 0.0), ("120", 120.0), (" 7 ", 7.0), ("9" * 400, 999999999999.0), ("-5", 0.0), ("1.5", 0.0), ("soon", 0.0),
        ("", 0.0), ("Thu, 01 Jan 1970 00:20:00 GMT", 200.0), ("Thu, 01 Jan 1970 00:20:00 -0000", 200.0),
        ("Thu, 01 Jan 1970 00:10:00 GMT", 0.0), ("Thu, 99 Foo 1970 99:99:99 GMT", 0.0), ("Ⅷ", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_parsed_as_seconds_or_date(text: str | None, seconds: float) -> None:
    assert retry_after_seconds(text, now=1000.0) == seconds


def test_subscribers_do_not_change_job_id() -> None:
    assert a_job().id == replace(a_job(), subscribers=(Subscriber(URL, 1),)).id
