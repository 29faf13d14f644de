"""Webhooks that are not what their signature says, not signed now, or not for the first time."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.standard_webhooks import secret_bytes, sign
from tests.security.conftest import NEW, OLD, UNKNOWN, UPLOAD, Call
from tests.world import SESSION, World

MINUTE = 60


def refused(answer: Any, sentence: str) -> None:
    assert (answer.status_code, answer.json_body["code"]) == (401, "bad_signature"), answer.body
    assert sentence in answer.json_body["detail"]


def test_a_signed_webhook_is_taken_without_a_token(world: World, deliver: Call) -> None:
    answer = deliver(UPLOAD)
    assert (answer.status_code, answer.json_body["state"]) == (202, "queued")


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["old", "new"])
def test_both_secrets_of_a_rotation_are_taken(world: World, deliver: Call, secret: str) -> None:
    assert deliver(UPLOAD, secret=secret).status_code == 202


def test_a_signature_by_a_secret_that_was_taken_out_is_refused(world: World, deliver: Call) -> None:
    kept = tuple(each for each in world.settings.webhook_secrets if each.secret != secret_bytes(OLD))
    world.settings = replace(world.settings, webhook_secrets=kept)
    refused(deliver(UPLOAD, secret=OLD), "none of the configured")
    assert deliver(UPLOAD, secret=NEW).status_code == 202


def test_a_signature_beside_that_of_another_secret_is_taken(world: World, deliver: Call) -> None:
    data, stamp = json.dumps(UPLOAD).encode(), int(world.clock.now())
    both = " ".join(sign(secret_bytes(each), "msg_1", stamp, data) for each in (UNKNOWN, OLD))
    assert deliver(data, webhook_signature=both).status_code == 202


@pytest.mark.parametrize("signed_as", ["text", "base64"])
def test_a_signature_covers_the_body_that_api_gateway_encoded(world: World, signed_as: str) -> None:
    """With */* as binary media type every body reaches the function as base64."""
    import app

    data, stamp = json.dumps(UPLOAD).encode(), int(world.clock.now())
    body = base64.b64encode(data)
    event = {
        "requestContext": {"httpMethod": "POST", "resourcePath": "/hooks/{name}", "path": "/api/hooks/upload"},
        "headers": {
            "Content-Type": "application/json", "webhook-id": "msg_1", "webhook-timestamp": str(stamp),
            "webhook-signature": sign(secret_bytes(NEW), "msg_1", stamp, data if signed_as == "text" else body),
        },
        "pathParameters": {"name": "upload"}, "stageVariables": {}, "body": body.decode(), "isBase64Encoded": True,
        "multiValueQueryStringParameters": None,
    }  # fmt: skip
    assert app.app(event, None)["statusCode"] == (202 if signed_as == "text" else 401)


def test_a_webhook_without_signature_is_refused(world: World, call: Call) -> None:
    assert call("POST", "/hooks/upload", UPLOAD, token=None).status_code == 401
    assert world.memory_queue.sent == []


def test_a_forged_signature_is_refused(world: World, deliver: Call) -> None:
    refused(deliver(UPLOAD, secret=UNKNOWN), "none of the configured")
    refused(deliver(UPLOAD, webhook_signature="v1," + "A" * 43 + "="), "none of the configured")
    assert world.memory_queue.sent == []


def test_without_secrets_no_signature_is_right(world: World, deliver: Call) -> None:
    world.settings = replace(world.settings, webhook_secrets=())
    for secret in (OLD, NEW, f"whsec_{'A' * 32}"):
        refused(deliver(UPLOAD, secret=secret), "none of the configured")


@pytest.mark.parametrize("left", [0, 3, 10, 40])
def test_a_truncated_signature_is_refused(world: World, deliver: Call, left: int) -> None:
    whole = sign(secret_bytes(NEW), "msg_1", int(world.clock.now()), json.dumps(UPLOAD).encode())
    assert deliver(UPLOAD, webhook_signature=whole[:left]).status_code == 401


def test_a_body_id_or_time_that_was_not_signed_is_refused(world: World, deliver: Call) -> None:
    now = int(world.clock.now())
    signed = sign(secret_bytes(NEW), "msg_1", now, json.dumps(UPLOAD).encode())
    refused(deliver(UPLOAD | {"force": True}, webhook_signature=signed), "none of the configured")
    refused(deliver(UPLOAD, delivery="msg_2", webhook_signature=signed), "none of the configured")
    refused(deliver(UPLOAD, at=now + 1, webhook_signature=signed), "none of the configured")
    assert deliver(UPLOAD, webhook_signature=signed).status_code == 202


@pytest.mark.parametrize(("minutes", "when"), [(-6, "ago"), (6, "ahead")])
def test_what_was_signed_six_minutes_away_is_refused(world: World, deliver: Call, minutes: int, when: str) -> None:
    refused(deliver(UPLOAD, at=world.clock.now() + minutes * MINUTE), when)
    assert world.memory_queue.sent == []


@pytest.mark.parametrize("minutes", [-4.9, 4.9])
def test_clocks_that_differ_a_little_are_no_reason(world: World, deliver: Call, minutes: float) -> None:
    assert deliver(UPLOAD, at=world.clock.now() + minutes * MINUTE).status_code == 202


def test_a_delivery_that_is_sent_again_as_it_was_is_refused(world: World, deliver: Call) -> None:
    at = world.clock.now()
    assert deliver(UPLOAD | {"force": True}, at=at).status_code == 202
    world.run()
    for later in (0, MINUTE, 4 * MINUTE):
        world.clock.instant = at + later
        answer = deliver(UPLOAD | {"force": True}, at=at)
        assert (answer.status_code, answer.json_body["code"]) == (409, "replayed")
    assert world.memory_queue.sent == []


def test_a_recorded_removal_cannot_take_away_what_was_published_since(world: World, deliver: Call, call: Call) -> None:
    world.settings = replace(
        world.settings,
        webhook_secrets=tuple(
            replace(each, caller=replace(each.caller, scopes=frozenset({"admin"})))  # type: ignore[arg-type]
            for each in world.settings.webhook_secrets
        ),
    )
    removal, at = {"session": SESSION, "whole_session": True}, world.clock.now()
    assert deliver(removal, hook="remove", at=at).status_code == 200
    call("POST", "/hooks/upload", UPLOAD)
    world.run()
    assert deliver(removal, hook="remove", at=at).status_code == 409
    assert len(world.views()) == 1
    again = deliver(removal, hook="remove", at=at + 1)  # its sender has lost the answer
    assert (again.status_code, again.json_body) == (200, {"status": "done before"})
    assert len(world.views()) == 1


def test_a_sender_that_lost_the_answer_signs_anew_and_is_told_the_same_job(
    world: World, deliver: Call, call: Call
) -> None:
    first = deliver(UPLOAD)
    world.run()
    world.clock.advance(3600)
    again = deliver(UPLOAD)
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    assert again.json_body["state"] == "done"
    assert world.memory_queue.sent == []
    # That attempt counts as well: whoever recorded it comes too late.
    assert deliver(UPLOAD).status_code == 409


def test_a_sync_is_told_again_as_a_job_is(world: World, deliver: Call) -> None:
    body = {"prefix": "s3://incoming/"}
    first = deliver(body, hook="sync")
    world.clock.advance(10)
    again = deliver(body, hook="sync")
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    assert again.json_body["id"] == first.json_body["id"]


def test_a_sender_whose_call_failed_tries_again_under_the_same_id(
    world: World, deliver: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = world.memory_queue.send

    def away(_: object) -> None:
        raise AwsUnavailableError("SQS did not answer")

    monkeypatch.setattr(world.memory_queue, "send", away)
    assert deliver(UPLOAD).status_code == 503
    monkeypatch.setattr(world.memory_queue, "send", send)
    assert deliver(UPLOAD).status_code == 202  # even if it is the very same attempt


def test_a_sender_that_was_refused_may_mend_what_was_wrong_outside(world: World, deliver: Call) -> None:
    body = UPLOAD | {"source": UPLOAD["source"] + ".late"}
    assert deliver(body).status_code == 422
    world.put(b"II*\0 whatever", body["source"].removeprefix("s3://incoming/"))
    assert deliver(body).status_code == 202


def test_a_receipt_that_cannot_be_kept_is_no_answer(
    world: World, deliver: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise AwsUnavailableError("DynamoDB did not answer")

    keep = world.memory_access_records.keep
    monkeypatch.setattr(world.memory_access_records, "keep", away)
    assert deliver(UPLOAD).status_code == 503
    monkeypatch.setattr(world.memory_access_records, "keep", keep)
    assert deliver(UPLOAD).status_code == 202


def test_another_call_under_an_id_that_was_used_is_refused(world: World, deliver: Call) -> None:
    assert deliver(UPLOAD).status_code == 202
    world.clock.advance(1)
    for answer in (deliver(UPLOAD | {"force": True}), deliver({"source": UPLOAD["source"]}, hook="inspect")):
        assert (answer.status_code, answer.json_body["detail"]) == (
            409,
            "another webhook with the id msg_1 was accepted before",
        )


def test_senders_do_not_use_up_each_others_ids(world: World, deliver: Call) -> None:
    assert deliver(UPLOAD, secret=f"whsec_{'M' * 32}").status_code == 202
    assert deliver(UPLOAD, secret=NEW).status_code == 202
    # Old and new secret are the same sender's.
    assert deliver(UPLOAD, secret=OLD).status_code == 409


def test_a_signature_opens_no_door_but_a_hook_and_no_hook_beyond_its_scopes(
    world: World, call: Call, deliver: Call
) -> None:
    now = int(world.clock.now())
    headers = {
        "webhook_id": "msg_1",
        "webhook_timestamp": str(now),
        "webhook_signature": sign(secret_bytes(NEW), "msg_1", now, b""),
    }
    for path in ("/jobs", "/client", "/sign-in"):
        assert call("GET", path, token=None, **headers).status_code == 401
    assert call("POST", "/redrive", token=None, **headers).status_code == 401
    assert deliver({"session": SESSION, "whole_session": True}, hook="remove").status_code == 403
    assert deliver(UPLOAD, hook="nothing").status_code == 404


def test_a_wrong_token_is_not_made_right_by_a_signature(world: World, deliver: Call) -> None:
    assert deliver(UPLOAD, Authorization="Bearer wrong").status_code == 401


@pytest.mark.parametrize("name", ["webhook_id", "webhook_timestamp", "webhook_signature"])
@pytest.mark.parametrize(
    "value",
    ["", " ", "\0", "é", "\ud800", "-", "v1,", ",", "9" * 5000, "x" * 100_000, "1e3", "{}", "a\r\nSet-Cookie: x=y"],
)
def test_headers_that_make_no_sense_are_refused_and_never_a_fault(
    world: World, deliver: Call, name: str, value: str
) -> None:
    answer = deliver(UPLOAD, **{name: value})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[]", b"null", b"7"])
def test_a_signed_body_that_is_no_call_is_refused(world: World, deliver: Call, body: bytes) -> None:
    assert deliver(body).status_code == 422


def test_a_body_that_is_too_large_is_refused_before_its_signature_is_looked_at(world: World, deliver: Call) -> None:
    assert deliver(b" " * 70_000).status_code == 413
    assert deliver(b" " * 70_000, webhook_signature="v1,x").status_code == 413
