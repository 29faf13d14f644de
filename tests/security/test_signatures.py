"""Signed webhooks: altered, expired and replayed ones are refused."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.standard_webhooks import secret_bytes, sign
from chalicelib.core.web.auth import Scope
from tests.security.conftest import NEW, OLD, UNKNOWN, UPLOAD, Call
from tests.world import SESSION, World

MINUTE = 60


def assert_refused(answer: Any, sentence: str) -> None:
    assert (answer.status_code, answer.json_body["code"]) == (401, "bad_signature"), answer.body
    assert sentence in answer.json_body["detail"]


def test_signed_webhook_is_accepted_without_token(world: World, deliver: Call) -> None:
    answer = deliver(UPLOAD)
    assert (answer.status_code, answer.json_body["state"]) == (202, "queued")


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["old", "new"])
def test_both_secrets_of_rotation_are_accepted(world: World, deliver: Call, secret: str) -> None:
    assert deliver(UPLOAD, secret=secret).status_code == 202


def test_signature_by_removed_secret_is_refused(world: World, deliver: Call) -> None:
    kept = tuple(each for each in world.settings.webhook_secrets if each.secret != secret_bytes(OLD))
    world.settings = replace(world.settings, webhook_secrets=kept)
    assert_refused(deliver(UPLOAD, secret=OLD), "none of the configured")
    assert deliver(UPLOAD, secret=NEW).status_code == 202


def test_one_valid_signature_of_two_is_accepted(world: World, deliver: Call) -> None:
    data, stamp = json.dumps(UPLOAD).encode(), int(world.clock.now())
    both = " ".join(sign(secret_bytes(each), "msg_1", stamp, data) for each in (UNKNOWN, OLD))
    assert deliver(data, webhook_signature=both).status_code == 202


@pytest.mark.parametrize("signed_as", ["text", "base64"])
def test_signature_covers_body_encoded_by_api_gateway(world: World, signed_as: str) -> None:
    """With */* as binary media type, API Gateway encodes every body as base64."""
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


def test_webhook_without_signature_is_refused(world: World, call: Call) -> None:
    assert call("POST", "/hooks/upload", UPLOAD, token=None).status_code == 401
    assert world.memory_queue.sent == []


def test_forged_signature_is_refused(world: World, deliver: Call) -> None:
    assert_refused(deliver(UPLOAD, secret=UNKNOWN), "none of the configured")
    assert_refused(deliver(UPLOAD, webhook_signature="v1," + "A" * 43 + "="), "none of the configured")
    assert world.memory_queue.sent == []


def test_signature_is_refused_if_no_secret_is_configured(world: World, deliver: Call) -> None:
    world.settings = replace(world.settings, webhook_secrets=())
    for secret in (OLD, NEW, f"whsec_{'A' * 32}"):
        assert_refused(deliver(UPLOAD, secret=secret), "none of the configured")


@pytest.mark.parametrize("left", [0, 3, 10, 40])
def test_truncated_signature_is_refused(world: World, deliver: Call, left: int) -> None:
    whole = sign(secret_bytes(NEW), "msg_1", int(world.clock.now()), json.dumps(UPLOAD).encode())
    assert deliver(UPLOAD, webhook_signature=whole[:left]).status_code == 401


def test_changed_body_id_or_timestamp_is_refused(world: World, deliver: Call) -> None:
    now = int(world.clock.now())
    signed = sign(secret_bytes(NEW), "msg_1", now, json.dumps(UPLOAD).encode())
    assert_refused(deliver(UPLOAD | {"force": True}, webhook_signature=signed), "none of the configured")
    assert_refused(deliver(UPLOAD, delivery="msg_2", webhook_signature=signed), "none of the configured")
    assert_refused(deliver(UPLOAD, at=now + 1, webhook_signature=signed), "none of the configured")
    assert deliver(UPLOAD, webhook_signature=signed).status_code == 202


@pytest.mark.parametrize(("minutes", "when"), [(-6, "ago"), (6, "ahead")])
def test_signature_six_minutes_off_is_refused(world: World, deliver: Call, minutes: int, when: str) -> None:
    assert_refused(deliver(UPLOAD, at=world.clock.now() + minutes * MINUTE), when)
    assert world.memory_queue.sent == []


@pytest.mark.parametrize("minutes", [-4.9, 4.9])
def test_small_clock_difference_is_accepted(world: World, deliver: Call, minutes: float) -> None:
    assert deliver(UPLOAD, at=world.clock.now() + minutes * MINUTE).status_code == 202


def test_replayed_delivery_is_refused(world: World, deliver: Call) -> None:
    at = world.clock.now()
    assert deliver(UPLOAD | {"force": True}, at=at).status_code == 202
    world.run()
    for later in (0, MINUTE, 4 * MINUTE):
        world.clock.instant = at + later
        answer = deliver(UPLOAD | {"force": True}, at=at)
        assert (answer.status_code, answer.json_body["code"]) == (409, "replayed")
    assert world.memory_queue.sent == []


def test_replayed_removal_does_not_remove_newer_slides(world: World, deliver: Call, call: Call) -> None:
    world.settings = replace(
        world.settings,
        webhook_secrets=tuple(
            replace(each, caller=replace(each.caller, scopes=frozenset({Scope.ADMIN})))
            for each in world.settings.webhook_secrets
        ),
    )
    removal, at = {"session": SESSION, "whole_session": True}, world.clock.now()
    assert deliver(removal, hook="remove", at=at).status_code == 200
    call("POST", "/hooks/upload", UPLOAD)
    world.run()
    assert deliver(removal, hook="remove", at=at).status_code == 409
    assert len(world.views()) == 1
    again = deliver(removal, hook="remove", at=at + 1)  # the sender did not receive the response
    assert (again.status_code, again.json_body) == (200, {"status": "done before"})
    assert len(world.views()) == 1


def test_resigned_retry_returns_same_job(world: World, deliver: Call, call: Call) -> None:
    first = deliver(UPLOAD)
    world.run()
    world.clock.advance(3600)
    again = deliver(UPLOAD)
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    assert again.json_body["state"] == "done"
    assert world.memory_queue.sent == []
    # The second attempt is recorded as well, so its replay is refused.
    assert deliver(UPLOAD).status_code == 409


def test_resigned_retry_returns_same_sync(world: World, deliver: Call) -> None:
    body = {"prefix": "s3://incoming/"}
    first = deliver(body, hook="sync")
    world.clock.advance(10)
    again = deliver(body, hook="sync")
    assert (again.status_code, again.headers["Location"]) == (202, first.headers["Location"])
    assert again.json_body["id"] == first.json_body["id"]


def test_failed_call_can_be_retried_under_same_id(world: World, deliver: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    send = world.memory_queue.send

    def unavailable(_: object) -> None:
        raise AwsUnavailableError("SQS did not answer")

    monkeypatch.setattr(world.memory_queue, "send", unavailable)
    assert deliver(UPLOAD).status_code == 503
    monkeypatch.setattr(world.memory_queue, "send", send)
    assert deliver(UPLOAD).status_code == 202  # the identical attempt is accepted


def test_refused_call_can_be_retried_after_correction(world: World, deliver: Call) -> None:
    body = UPLOAD | {"source": UPLOAD["source"] + ".late"}
    assert deliver(body).status_code == 422
    world.put(b"II*\0 whatever", body["source"].removeprefix("s3://incoming/"))
    assert deliver(body).status_code == 202


def test_webhook_fails_if_receipt_cannot_be_stored(
    world: World, deliver: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object, **__: object) -> None:
        raise AwsUnavailableError("DynamoDB did not answer")

    keep = world.memory_access_records.keep
    monkeypatch.setattr(world.memory_access_records, "keep", unavailable)
    assert deliver(UPLOAD).status_code == 503
    monkeypatch.setattr(world.memory_access_records, "keep", keep)
    assert deliver(UPLOAD).status_code == 202


def test_other_call_under_used_id_is_refused(world: World, deliver: Call) -> None:
    assert deliver(UPLOAD).status_code == 202
    world.clock.advance(1)
    for answer in (deliver(UPLOAD | {"force": True}), deliver({"source": UPLOAD["source"]}, hook="inspect")):
        assert (answer.status_code, answer.json_body["detail"]) == (
            409,
            "another webhook with the id msg_1 was accepted before",
        )


def test_senders_have_separate_ids(world: World, deliver: Call) -> None:
    assert deliver(UPLOAD, secret=f"whsec_{'M' * 32}").status_code == 202
    assert deliver(UPLOAD, secret=NEW).status_code == 202
    # The old and the new secret belong to the same sender.
    assert deliver(UPLOAD, secret=OLD).status_code == 409


def test_signature_is_valid_for_hooks_within_scope_only(world: World, call: Call, deliver: Call) -> None:
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


def test_wrong_token_is_refused_despite_signature(world: World, deliver: Call) -> None:
    assert deliver(UPLOAD, Authorization="Bearer wrong").status_code == 401


@pytest.mark.parametrize("name", ["webhook_id", "webhook_timestamp", "webhook_signature"])
@pytest.mark.parametrize(
    "value",
    ["", " ", "\0", "é", "\ud800", "-", "v1,", ",", "9" * 5000, "x" * 100_000, "1e3", "{}", "a\r\nSet-Cookie: x=y"],
)
def test_malformed_signature_headers_return_401(world: World, deliver: Call, name: str, value: str) -> None:
    answer = deliver(UPLOAD, **{name: value})
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"\xff", b"{", b"[]", b"null", b"7"])
def test_signed_invalid_body_is_refused(world: World, deliver: Call, body: bytes) -> None:
    assert deliver(body).status_code == 422


def test_large_body_is_refused_before_signature_check(world: World, deliver: Call) -> None:
    assert deliver(b" " * 70_000).status_code == 413
    assert deliver(b" " * 70_000, webhook_signature="v1,x").status_code == 413
