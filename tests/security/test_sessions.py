"""Sessions of the page: forged, used by other pages, guessed, and expired."""

import re
from dataclasses import replace
from typing import Any

import pytest
from chalice.local import LambdaEventConverter

from chalicelib.core.web.auth import SESSION_SECONDS, token_hash
from tests.security.conftest import UPLOAD, Call, publish
from tests.world import World

PAGE = {"X_Slidehook": "page"}


def sign_in(call: Call, token: str = "admin", **headers: str) -> Any:
    return call("POST", "/sign-in", {"token": token}, token=None, **PAGE | headers)


def cookie_of(answer: Any) -> str:
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


@pytest.fixture
def cookie(world: World, call: Call) -> str:
    return cookie_of(sign_in(call))


def test_sign_in_sets_a_protected_session_cookie(world: World, call: Call) -> None:
    answer = sign_in(call)
    assert answer.json_body == {"name": "admin", "scopes": ["admin"], "collections": None}
    first, *attributes = str(answer.headers["Set-Cookie"]).split("; ")
    assert first.startswith("slidehook=1.")
    assert attributes == ["Path=/", f"Max-Age={SESSION_SECONDS}", "HttpOnly", "SameSite=Strict"]
    assert "admin" not in first
    assert token_hash("admin") not in first


def test_remote_session_requires_https(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", "203.0.113.7")
    answer = sign_in(call)
    assert str(answer.headers["Set-Cookie"]).startswith("__Host-slidehook=1.")
    assert str(answer.headers["Set-Cookie"]).endswith("; Secure")
    sealed = cookie_of(answer)
    assert call("GET", "/jobs", token=None, Cookie=sealed).status_code == 200
    # The name without prefix can be set without https, and is not accepted here.
    assert call("GET", "/jobs", token=None, Cookie=sealed.removeprefix("__Host-")).status_code == 401


def test_session_has_the_rights_of_its_token(world: World, call: Call) -> None:
    for name, status in (("mine-read", 404), ("read", 200), ("submit", 403)):
        sealed = cookie_of(sign_in(call, name))
        job = publish(
            world, call, UPLOAD | {"collection": "0000000000000000000c0002", "session": "0000000000000000000e0002"}
        )
        assert call("GET", f"/jobs/{job['id']}", token=None, Cookie=sealed).status_code == status
    recorded = call("GET", "/sign-in", token=None, Cookie=cookie_of(sign_in(call, "mine-read"))).json_body
    assert recorded == {"name": "mine-read", "scopes": ["read"], "collections": ["0000000000000000000c0001"]}


@pytest.mark.parametrize("token", ["", "wrong", "Admin", None, 7, ["admin"], {"$ne": ""}, "\ud800"])
def test_invalid_token_does_not_sign_in(world: World, call: Call, token: Any) -> None:
    answer = sign_in(call, token)
    assert answer.status_code in (401, 422)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed[:-1] + ("0" if sealed[-1] != "0" else "1"),
        lambda sealed: re.sub(r"\.(\d+)\.", lambda until: f".{int(until[1]) + 1}.", sealed),
        lambda sealed: sealed.replace("=1.", "=2."),
        lambda sealed: sealed.rpartition(".")[0],
        lambda sealed: sealed + "0",
        lambda sealed: sealed.replace("=1.", "=1.0"),
        lambda sealed: sealed.upper().replace("SLIDEHOOK", "slidehook"),
        lambda sealed: f"{sealed}; {sealed}",
        lambda sealed: f"slidehook=x; {sealed}",
        lambda _: "slidehook=",
        lambda _: "slidehook",
        lambda _: f"slidehook={token_hash('admin')}",
        lambda _: "slidehook=admin",
        lambda _: "slidehook=1." + "9" * 16 + ".999999999999." + "0" * 64,
        lambda _: ";=;;" * 1000,
    ],
)
def test_tampered_session_is_refused(world: World, call: Call, cookie: str, change: Any) -> None:
    assert call("GET", "/jobs", token=None, Cookie=cookie).status_code == 200
    assert call("GET", "/jobs", token=None, Cookie=change(cookie)).status_code == 401


def test_session_expires(world: World, call: Call, cookie: str) -> None:
    world.clock.advance(SESSION_SECONDS - 1)
    assert call("GET", "/jobs", token=None, Cookie=cookie).status_code == 200
    world.clock.advance(2)
    assert call("GET", "/jobs", token=None, Cookie=cookie).status_code == 401


def test_session_ends_with_its_token_or_key(world: World, call: Call, cookie: str) -> None:
    settings = world.settings
    world.settings = replace(settings, session_key="another")
    assert call("GET", "/jobs", token=None, Cookie=cookie).status_code == 401
    world.settings = replace(settings, tokens=tuple(each for each in settings.tokens if each.caller.name != "admin"))
    assert call("GET", "/jobs", token=None, Cookie=cookie).status_code == 401


def test_session_of_another_service_is_refused(world: World, call: Call, cookie: str) -> None:
    world.settings = replace(world.settings, mongo_uri="mongodb://another")
    assert call("GET", "/jobs", token=None, Cookie=cookie).status_code == 401


UNSAFE = [
    ("POST", "/hooks/upload", UPLOAD),
    ("POST", "/redrive", {}),
    ("POST", f"/jobs/{'0' * 32}/cancel", {}),
    ("POST", "/sessions/0000000000000000000e0001/recreate", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), UNSAFE)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Slidehook": ""},
        {"X_Slidehook": "other"},
        {"X_Slidehook": "page", "Sec_Fetch_Site": "cross-site"},
        {"X_Slidehook": "page", "Sec_Fetch_Site": "same-site"},
        {"Origin": "http://127.0.0.1:8000"},
    ],
)
def test_other_page_cannot_use_a_session(
    world: World, call: Call, cookie: str, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    answer = call(method, path, body, token=None, Cookie=cookie, **headers)
    assert (answer.status_code, answer.json_body["code"]) == (403, "forbidden")
    assert world.memory_queue.sent == []


@pytest.mark.parametrize("site", [{}, {"Sec_Fetch_Site": "same-origin"}])
def test_own_page_can_use_its_session(world: World, call: Call, cookie: str, site: dict[str, str]) -> None:
    assert call("POST", "/hooks/upload", UPLOAD, token=None, Cookie=cookie, **PAGE | site).status_code == 202


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/hooks/upload", "/redrive"])
def test_form_content_types_are_refused(world: World, call: Call, cookie: str, path: str, kind: str) -> None:
    answer = call("POST", path, b'{"token": "admin"}', token=None, Cookie=cookie, Content_Type=kind, **PAGE)
    assert answer.status_code == 415
    assert "Set-Cookie" not in answer.headers


def test_other_page_cannot_sign_in_or_out(world: World, call: Call) -> None:
    for path in ("/sign-in", "/sign-out"):
        for headers in ({}, PAGE | {"Sec_Fetch_Site": "cross-site"}):
            answer = call("POST", path, {"token": "admin"}, token=None, **headers)
            assert answer.status_code == 403
            assert "Set-Cookie" not in answer.headers


def test_sign_out_clears_the_cookie(world: World, call: Call, cookie: str) -> None:
    answer = call("POST", "/sign-out", {}, token=None, Cookie=cookie, **PAGE)
    assert str(answer.headers["Set-Cookie"]).startswith("slidehook=; Path=/; Max-Age=0;")


def test_sign_in_attempts_are_rate_limited(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", "203.0.113.7")
    assert [sign_in(call, f"guess {number}").status_code for number in range(10)] == [401] * 10
    refused = sign_in(call)  # a valid token is refused as well
    assert (refused.status_code, refused.json_body["code"], refused.headers["Retry-After"]) == (
        429,
        "rate_limited",
        "60",
    )
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", "203.0.113.8")
    assert sign_in(call).status_code == 200
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", "203.0.113.7")
    world.clock.advance(60)
    assert sign_in(call).status_code == 200


def test_addresses_of_one_network_share_a_rate_limit(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for number in range(12):
        monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", f"2001:db8::{number:x}")
        answers.append(sign_in(call, "wrong").status_code)
    assert answers == [401] * 10 + [429] * 2


def test_source_without_address_is_rate_limited(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", "test-invoke-source-ip")
    assert [sign_in(call, "wrong").status_code for _ in range(11)] == [401] * 10 + [429]
