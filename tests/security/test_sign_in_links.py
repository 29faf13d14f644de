"""Sign-in links: guessed, used twice, expired, sent by another page, opened by link previews."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from chalice.local import LambdaEventConverter

from chalicelib.core.web.auth import LINK_SECONDS, SESSION_SECONDS, token_hash
from tests.security.conftest import Call
from tests.security.test_sessions import PAGE, cookie_of, sign_in
from tests.world import World

ELSEWHERE = "203.0.113.7"


def make_link(call: Call, token: str = "admin", **headers: str) -> str:
    """Return the path of a new link."""
    answer = call("POST", "/sign-in/links", token=token, **headers)
    assert answer.status_code == 201
    url: str = answer.json_body["url"]
    return urlsplit(url).path


def open_link(call: Call, link: str, method: str = "GET", **headers: str) -> Any:
    return call(method, link, token=None, **headers)


def code_of(link: str) -> str:
    return link.rpartition("/")[2]


def send_code(call: Call, link: str, **headers: str) -> Any:
    return call("POST", "/sign-in", {"code": code_of(link)}, token=None, **headers)


def test_link_gives_the_same_session_as_its_token(world: World, call: Call) -> None:
    answer = open_link(call, make_link(call))
    assert (answer.status_code, answer.headers["Location"], answer.body) == (303, "/", b"")
    first, *attributes = str(answer.headers["Set-Cookie"]).split("; ")
    assert first == cookie_of(sign_in(call))
    assert attributes == ["Path=/", f"Max-Age={SESSION_SECONDS}", "HttpOnly", "SameSite=Strict"]
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    recorded = call("GET", "/sign-in", token=None, Cookie=cookie_of(answer)).json_body
    assert recorded == {"name": "admin", "scopes": ["admin"], "collections": None}


def test_link_response_contains_url_and_expiry(world: World, call: Call) -> None:
    answer = call("POST", "/sign-in/links", token="admin", Host="localhost:8000")
    assert answer.json_body["url"].startswith("http://localhost:8000/sign-in/links/")
    assert answer.json_body["expires_at"] == "1970-01-12T14:01:43.000Z"
    assert answer.headers["Cache-Control"] == "no-store"
    world.settings = replace(world.settings, public_url="https://slides.example.org/s")
    assert call("POST", "/sign-in/links").json_body["url"].startswith("https://slides.example.org/s/sign-in/links/")


def test_link_works_once(world: World, call: Call) -> None:
    link = make_link(call)
    assert [open_link(call, link).status_code for _ in range(3)] == [303, 410, 410]


def test_used_link_shows_a_page_with_instructions(world: World, call: Call) -> None:
    answer = open_link(call, "/sign-in/links/guessed")
    assert (answer.status_code, answer.headers["Content-Type"]) == (410, "text/html; charset=utf-8")
    assert b"make run" in answer.body
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


def test_link_expires(world: World, call: Call) -> None:
    first, second = make_link(call), make_link(call)
    world.clock.advance(LINK_SECONDS - 1)
    assert open_link(call, first).status_code == 303
    world.clock.advance(1)
    assert open_link(call, second).status_code == 410


@pytest.mark.parametrize("token", ["read", "submit", "mine-read"])
def test_link_gives_the_rights_of_the_token_that_made_it(world: World, call: Call, token: str) -> None:
    cookie = cookie_of(open_link(call, make_link(call, token)))
    statuses = {
        given: [
            call("GET", "/jobs", token=bearer, **headers).status_code,
            call("POST", "/redrive", {}, token=bearer, **headers).status_code,
        ]
        for given, bearer, headers in (("link", None, {"Cookie": cookie, **PAGE}), ("token", token, {}))
    }
    assert statuses["link"] == statuses["token"]
    assert statuses["link"][1] == 403


def test_link_ends_with_its_token(world: World, call: Call) -> None:
    link, settings = make_link(call), world.settings
    world.settings = replace(settings, tokens=tuple(each for each in settings.tokens if each.caller.name != "admin"))
    assert open_link(call, link).status_code == 410


def test_session_cannot_make_a_link(world: World, call: Call) -> None:
    cookie = cookie_of(sign_in(call))
    answer = call("POST", "/sign-in/links", token=None, Cookie=cookie, **PAGE)
    assert (answer.status_code, answer.json_body["code"]) == (401, "unauthorized")


def test_service_stores_only_the_hash_of_a_code(world: World, call: Call) -> None:
    code = code_of(make_link(call, Idempotency_Key="one"))
    assert list(world.memory_access_records._codes) == [token_hash(code)]
    assert code not in repr(vars(world.memory_access_records)) + repr(vars(world.memory_idempotency))
    assert make_link(call, Idempotency_Key="one") != f"/sign-in/links/{code}"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"Sec_Purpose": "prefetch"}),
        ("GET", {"Sec_Purpose": "prefetch;prerender"}),
        ("GET", {"Purpose": "prefetch"}),
        ("GET", {"Sec_Fetch_Site": "cross-site"}),
        ("GET", {"Sec_Fetch_Site": "same-site"}),
        ("GET", {"Host": "slides.example.org"}),
    ],
)
def test_preview_of_link_does_not_use_it(world: World, call: Call, method: str, headers: dict[str, str]) -> None:
    link = make_link(call)
    seen = open_link(call, link, method, **headers)
    assert seen.status_code == 200
    assert "Set-Cookie" not in seen.headers
    assert open_link(call, link, Sec_Fetch_Site="none").status_code == 303


def test_link_from_another_page_does_not_sign_in(world: World, call: Call) -> None:
    theirs = make_link(call, "mine-submit")
    cookie = cookie_of(sign_in(call))
    answer = open_link(call, theirs, Sec_Fetch_Site="cross-site", Cookie=cookie)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "Set-Cookie" not in answer.headers
    assert b"mine-submit" not in answer.body


def test_remote_link_requires_confirmation(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    link = make_link(call)
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", ELSEWHERE)
    shown = open_link(call, link, Sec_Fetch_Site="none")
    assert shown.status_code == 200
    assert "Set-Cookie" not in shown.headers
    assert b'src="../../static/pages/sign-in.js"' in shown.body
    answers = [send_code(call, link, **PAGE) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[0].json_body["name"] == "admin"
    assert str(answers[0].headers["Set-Cookie"]).startswith("__Host-slidehook=1.")
    assert str(answers[0].headers["Set-Cookie"]).endswith("; Secure")


@pytest.mark.parametrize("headers", [{}, {"X_Slidehook": "page", "Sec_Fetch_Site": "cross-site"}])
def test_another_page_cannot_send_a_code(world: World, call: Call, headers: dict[str, str]) -> None:
    link = make_link(call)
    assert send_code(call, link, **headers).status_code == 403
    assert send_code(call, link, **PAGE).status_code == 200


@pytest.mark.parametrize("body", [{}, {"token": "admin", "code": "x"}, {"code": None}, {"code": 7}, {"code": ["x"]}])
def test_sign_in_requires_a_token_or_a_code(world: World, call: Call, body: dict[str, Any]) -> None:
    assert call("POST", "/sign-in", body, token=None, **PAGE).status_code == 422


@pytest.mark.parametrize("code", ["", "x", token_hash("x"), "\ud800", "x" * 5000])
def test_unknown_code_does_not_sign_in(world: World, call: Call, code: str) -> None:
    make_link(call)
    answer = call("POST", "/sign-in", {"code": code}, token=None, **PAGE)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_hash_of_a_code_is_not_a_code(world: World, call: Call) -> None:
    link = make_link(call)
    (kept,) = world.memory_access_records._codes
    assert open_link(call, f"/sign-in/links/{kept}").status_code == 410
    assert open_link(call, link).status_code == 303


def test_codes_count_as_sign_in_attempts(world: World, call: Call) -> None:
    link = make_link(call)
    assert [open_link(call, f"/sign-in/links/{number}").status_code for number in range(5)] == [410] * 5
    assert [sign_in(call, "wrong").status_code for _ in range(5)] == [401] * 5
    refused = open_link(call, link)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert refused.headers["Content-Type"] == "text/html; charset=utf-8"
    assert send_code(call, link, **PAGE).status_code == 429
    world.clock.advance(60)
    assert open_link(call, link).status_code == 303


def test_used_link_redirects_signed_in_user(world: World, call: Call) -> None:
    link = make_link(call)
    cookie = cookie_of(open_link(call, link))
    again = open_link(call, link, Cookie=cookie)
    assert (again.status_code, again.headers["Location"]) == (303, "/")
    assert "Set-Cookie" not in again.headers
    assert open_link(call, link, Cookie="slidehook=1.forged").status_code == 410
