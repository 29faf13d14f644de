"""Callbacks over HTTP and from the queues: requested, refused, listed, replayed."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.jobs.deliveries import Answer
from chalicelib.core.jobs.model import State
from chalicelib.core.plan.messages import Message
from chalicelib.entrypoints import consumers
from tests.http.client import Call
from tests.world import BUCKET, World, sqs_event

URL = "https://hooks.example.org/key/hush?token=hush"


def body(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


@pytest.fixture
def world(world: World) -> World:
    world.settings = replace(world.settings, callback_secrets=(bytes(24),))
    return world


@pytest.fixture
def ask(world: World, call: Call) -> Call:
    """Return a function that submits the slide with a callback URL."""

    def submit(url: Any = URL, **more: Any) -> Any:
        place = {"source": f"s3://{BUCKET}/slide.svs", "collection": COLLECTION, "session": SESSION}
        return call("POST", "/hooks/upload", place | {"callback_url": url} | more)

    return submit


COLLECTION, SESSION = "0000000000000000000c0001", "0000000000000000000e0001"


def test_deliveries_are_listed_and_replayed_by_links(world: World, call: Call, ask: Call) -> None:
    answer = ask()
    assert answer.status_code == 202
    links = body(answer)["links"]
    assert body(call("GET", links["deliveries"])) == {"deliveries": []}
    world.memory_callbacks.answer = lambda _: Answer(status=503)
    job = world.memory_jobs.get(body(answer)["id"])
    assert job is not None
    world.finish(job)
    (listed,) = body(call("GET", links["deliveries"]))["deliveries"]
    assert (listed["type"], listed["state"], listed["attempt"]) == ("job.done", "pending", 1)
    assert [(made["status"], made["error"]) for made in listed["tries"]] == [(503, None)]
    assert listed["next_at"] > listed["created_at"]
    assert listed["receiver"] == "https://hooks.example.org"
    world.memory_queue.sent.clear()
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    again = call("POST", listed["links"]["replay"])
    assert (again.status_code, body(again)["state"], body(again)["id"]) == (202, "pending", listed["id"])
    world.run()
    (listed,) = body(call("GET", links["deliveries"]))["deliveries"]
    assert (listed["state"], listed["next_at"]) == ("delivered", None)
    assert [made["status"] for made in listed["tries"]] == [503, 204]
    ids = [headers["webhook-id"] for _, headers, _ in world.memory_callbacks.received]
    assert ids == [listed["id"]] * 2


def test_callback_url_is_never_shown(world: World, call: Call, ask: Call, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    answer = ask()
    job = world.memory_jobs.get(body(answer)["id"])
    assert job is not None
    world.memory_callbacks.answer = lambda _: Answer(error="no connection")
    world.finish(job)
    world.run()
    seen = [call("GET", path).body.decode() for path in (f"/jobs/{job.id}", f"/jobs/{job.id}/deliveries", "/jobs")]
    assert "hush" not in "".join([*seen, answer.body.decode(), caplog.text, repr(world.settings)])


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/", "must begin with https://"),
        ("http://127.0.0.1:8000/", "must begin with https://"),
        ("https://127.0.0.1/", "must not lead to an address that is not public"),
        ("https://169.254.169.254/latest", "must not lead to an address that is not public"),
        ("https://[::ffff:10.0.0.1]/", "must not lead to an address that is not public"),
        ("https://user:secret@example.org/", "must not hold a user or a password"),
        ("https://example.org:22/", "must have port 443"),
        ("https://intranet/", "must name a host by its full name"),
        ("nonsense", "must begin with https://"),
    ],
)
@pytest.mark.parametrize("hook", ["upload", "verify"])
def test_forbidden_callback_url_is_refused(world: World, call: Call, hook: str, url: str, why: str) -> None:
    asked = {"source": f"s3://{BUCKET}/slide.svs", "collection": COLLECTION, "session": SESSION}
    if hook == "verify":
        asked = {"job": world.finish(world.submit()).id}
    before = len(world.memory_jobs._jobs)
    answer = call("POST", f"/hooks/{hook}", asked | {"callback_url": url})
    assert (answer.status_code, body(answer)["code"]) == (422, "invalid_request")
    (field,) = body(answer)["errors"]
    assert field["pointer"] == "/callback_url"
    assert field["detail"].startswith(why)
    assert "secret" not in answer.body.decode()
    assert len(world.memory_jobs._jobs) == before


def test_malformed_callback_url_is_refused(ask: Call) -> None:
    for wrong in (5, ["https://example.org"], "https://example.org/" + "x" * 1000):
        answer = ask(wrong)
        assert (answer.status_code, body(answer)["errors"][0]["pointer"]) == (422, "/callback_url")


def test_loopback_callback_url_is_accepted_if_allowed(world: World, ask: Call) -> None:
    world.settings = replace(world.settings, callback_loopback=True)
    assert ask("http://127.0.0.1:9000/hook").status_code == 202
    assert ask("http://10.0.0.1:9000/hook").status_code == 422


def test_callback_without_secret_is_refused_with_hint(world: World, call: Call, ask: Call) -> None:
    world.settings = replace(world.settings, callback_secrets=())
    answer = ask()
    assert (answer.status_code, body(answer)["code"]) == (422, "callbacks_disabled")
    assert "SLIDEHOOK_CALLBACK_SECRETS" in body(answer)["hint"]
    assert body(answer)["errors"][0]["pointer"] == "/callback_url"
    job = world.submit()
    assert call("POST", f"/jobs/{job.id}/deliveries/msg_0/replay").status_code == 422
    assert "deliveries" not in body(call("GET", f"/jobs/{job.id}"))["links"]


def test_sixth_callback_url_is_a_conflict(ask: Call) -> None:
    for number in range(5):
        assert ask(f"https://example.org/{number}").status_code == 202
    answer = ask()
    assert (answer.status_code, body(answer)["code"]) == (409, "too_many_subscribers")


def test_subscriber_of_done_job_is_notified_at_once(world: World, ask: Call) -> None:
    world.finish(world.submit())
    assert body(ask())["state"] == "done"
    world.run()
    assert [url for url, *_ in world.memory_callbacks.received] == [URL]


def test_subscriber_of_cancelled_job_is_notified_at_once(world: World, call: Call, ask: Call) -> None:
    job = body(ask())["id"]
    call("POST", f"/jobs/{job}/cancel")
    world.run()
    recorded = json.loads(world.memory_callbacks.received[0][2])
    assert (recorded["type"], recorded["data"]["id"]) == ("job.cancelled", job)


def test_refused_s3_event_notifies_hook_callback_url(world: World, call: Call) -> None:
    world.settings = replace(world.settings, callback_urls={"upload": URL})
    key = f"{COLLECTION}/{SESSION}/a.svs"
    world.put(b"no slide", key=key)
    thing = {"key": key, "eTag": "x", "size": 8, "sequencer": "1"}
    s3 = {"bucket": {"name": BUCKET}, "object": thing}
    record = {"eventName": "ObjectCreated:Put", "eventTime": "2020-01-01T00:00:00Z", "s3": s3}
    answer = consumers.on_arrivals(sqs_event([json.dumps({"Records": [record]})]), world.services)
    assert answer == {"batchItemFailures": []}
    world.run()
    recorded = json.loads(world.memory_callbacks.received[0][2])
    assert (recorded["type"], recorded["data"]["error"]["code"]) == ("job.failed", "not_a_tiff")
    assert body(call("GET", f"/jobs/{recorded['data']['id']}"))["links"]["deliveries"]


def test_dead_letter_notifies_subscribers(world: World, ask: Call) -> None:
    job = body(ask())["id"]
    message = json.dumps({"step": "plan", "job": job, "attempt": 1})
    assert consumers.on_dead_letters(sqs_event([message]), world.services) == {"batchItemFailures": []}
    ended = world.memory_jobs.get(job)
    assert ended is not None
    assert ended.state is State.FAILED
    world.memory_queue.sent = [message for message in world.memory_queue.sent if message.step == "deliver"]
    world.run()
    assert json.loads(world.memory_callbacks.received[0][2])["type"] == "job.failed"
    # A dead letter of a delivery is dropped; the timer sends a new message.
    given_up = json.dumps({"step": "deliver", "job": job, "attempt": 1, "delivery": "msg_0"})
    assert consumers.on_dead_letters(sqs_event([given_up]), world.services) == {"batchItemFailures": []}


def test_deliveries_require_token_and_job(world: World, call: Call, ask: Call) -> None:
    job = body(ask())["id"]
    world.settings = replace(world.settings, allow_anonymous_local_reads=False)
    assert call("GET", f"/jobs/{job}/deliveries", token=None).status_code == 401
    assert call("POST", f"/jobs/{job}/deliveries/msg_0/replay", token=None).status_code == 401
    assert call("POST", f"/jobs/{job}/deliveries/msg_0/replay").status_code == 404
    for unknown in ("f" * 32, "nonsense"):
        assert call("GET", f"/jobs/{unknown}/deliveries").status_code == 404
        assert call("POST", f"/jobs/{unknown}/deliveries/msg_0/replay").status_code == 404


@pytest.mark.parametrize("error", [AwsUnavailableError("the table is busy"), RuntimeError("a fault")])
def test_outcome_is_kept_if_announce_fails(
    world: World, call: Call, ask: Call, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = body(ask())["id"]

    def refuse(*_: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(world.memory_deliveries, "create", refuse)
        assert body(call("POST", f"/jobs/{job}/cancel"))["state"] == "cancelled"
    world.clock.advance(61)
    world.minute()
    world.run()
    assert len(world.memory_callbacks.received) == 1


def test_delivery_without_time_is_retried(world: World, call: Call, ask: Call) -> None:
    job = body(ask())["id"]
    call("POST", f"/jobs/{job}/cancel")
    message = next(each for each in world.memory_queue.sent if each.step == "deliver")
    assert isinstance(message, Message)
    assert world.deliver(message, seconds=20.0) == ["message-0"]  # not enough time for a call
    assert world.memory_queue.delayed
    assert world.deliver(message, seconds=60.0) == []
    assert len(world.memory_callbacks.received) == 1
