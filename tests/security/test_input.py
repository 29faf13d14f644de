"""Input of callers is returned as text in JSON, and never becomes HTML, a header, a path or a logged secret."""

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.config import MissingSettingError, WrongSettingError, read_settings
from chalicelib.core.web.auth import token_hash
from tests.security.conftest import NEW, UPLOAD, Call, publish
from tests.world import BUCKET, COLLECTION, SESSION, STORE, World

SCRIPT = '<script>alert(1)</script><img src=x onerror="alert(1)">'
NEEDED = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")


def assert_inert(answer: Any) -> None:
    assert answer.headers["Content-Type"] in ("application/json", "application/problem+json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    json.loads(answer.body)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/hooks/upload", UPLOAD | {"source": SCRIPT}),
        ("POST", "/hooks/upload", UPLOAD | {"source": f"s3://{BUCKET}/{SCRIPT}"}),
        ("POST", "/hooks/upload", UPLOAD | {"session": SCRIPT}),
        ("POST", "/hooks/upload", UPLOAD | {"on_bad_tile": SCRIPT}),
        ("POST", "/hooks/upload", UPLOAD | {SCRIPT: 1}),
        ("POST", "/hooks/inspect", {"source": f"s3://{BUCKET}/{SCRIPT}"}),
        ("POST", "/hooks/sync", {"prefix": f"s3://{BUCKET}/{SCRIPT}"}),
        ("POST", "/hooks/verify", {"job": SCRIPT}),
        ("POST", "/hooks/%3Cscript%3E", UPLOAD),
        ("POST", "/redrive", {"codes": [SCRIPT], "cursor": SCRIPT}),
        ("POST", "/sign-in", {"token": SCRIPT}),
        ("POST", f"/collections/{COLLECTION}/sessions", {"label": SCRIPT}),
        ("GET", "/jobs/%3Cscript%3E", None),
        ("GET", "/jobs?state=%3Cscript%3E", None),
        ("GET", "/jobs?cursor=%3Cscript%3E", None),
        ("GET", "/syncs/%3Cscript%3E", None),
        ("GET", "/sessions/%3Cscript%3E", None),
        ("GET", "/collections/%3Cscript%3E", None),
        ("GET", f"/tile/{STORE}/{'a' * 24}/%3Cscript%3E", None),
        ("GET", f"/tile?img={'a' * 24}&db={STORE}&name=%3Cscript%3E", None),
        ("GET", f"/associated/{STORE}/{'a' * 24}/%3Cscript%3E", None),
    ],
)
def test_script_in_any_field_is_returned_as_json_text(
    world: World, call: Call, method: str, path: str, body: Any
) -> None:
    answer = call(method, path, body, X_Slidehook="page")
    assert answer.status_code < 500
    assert_inert(answer)


def test_script_in_names_and_labels_is_returned_as_json_text(world: World, call: Call) -> None:
    key = f"{COLLECTION}/{SESSION}/{SCRIPT}.svs".replace("</", "<\\")
    world.put(world.memory_slides._objects[BUCKET, "slide.svs"][1], key)
    job = publish(world, call, UPLOAD | {"source": f"s3://{BUCKET}/{key}"})
    made = call("POST", f"/collections/{COLLECTION}/sessions", {"label": SCRIPT})
    for path in (f"/jobs/{job['id']}", "/jobs", f"/sessions/{made.json_body['id']}", f"/collections/{COLLECTION}"):
        answer = call("GET", path)
        assert_inert(answer)
    assert call("GET", f"/jobs/{job['id']}").json_body["source"]["key"] == key
    assert made.json_body["label"] == SCRIPT


def test_page_policy_and_scripts_forbid_injected_code(world: World, call: Call) -> None:
    page = call("GET", "/", token=None)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    html = page.body.decode()
    assert html.count("<script") == html.count('<script type="module" src="./static/pages/')
    assert not any(word in html for word in ("onclick", "onerror", "onload", "style=", "javascript:"))
    for name in ("jobs.js", "sign-in.js"):
        script = call("GET", f"/static/pages/{name}", token=None).body.decode()
        assert not any(
            way in script for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
        )
        assert not any(store in script for store in ("localStorage", "sessionStorage", "document.cookie"))


CLIMBS = [
    "../app.py", "..%2Fapp.py", "%2e%2e/app.py", "%2e%2e%2fapp.py", "..%5Capp.py", "....//app.py", "%252e%252e%252fapp.py",
    "..%00.js", "jobs.js%00", "/etc/passwd", "%2Fetc%2Fpasswd", "jobs.js/..", ".", "..", "", "__init__.py", "pages.py",
]  # fmt: skip


@pytest.mark.parametrize("name", CLIMBS)
def test_static_route_serves_page_files_only(world: World, call: Call, name: str) -> None:
    for path in (f"/static/{name}", f"/static/pages/{name}", f"/static/{name}/jobs.js", f"/static/{name}/{name}"):
        answer = call("GET", path, token=None)
        assert answer.status_code in (401, 403, 404)
        assert b"import" not in answer.body
        assert b"root:" not in answer.body


@pytest.mark.parametrize(
    "part", [*CLIMBS, "$where", "system.users", "admin", "a" * 23, "A" * 24, "a" * 24 + "%0A", "[$ne]"]
)
def test_tile_routes_accept_ids_only(world: World, call: Call, part: str) -> None:
    for path in (
        f"/tile/{part}/{'a' * 24}/t.jpg", f"/tile/{STORE}/{part}/t.jpg", f"/tile/{STORE}/{'a' * 24}/{part}",
        f"/tile?db={part}&img={part}&name={part}", f"/thumb?db={STORE}&img={part}", f"/associated/{STORE}/{part}/label",
        f"/associated/{STORE}/{'a' * 24}/{part}", f"/tile?db[$ne]=&img[$ne]=&name[$ne]={part}",
    ):  # fmt: skip
        answer = call("GET", path)
        assert answer.status_code in (403, 404), path
        # The gateway itself refuses an unknown path.
        assert answer.status_code == 403 or answer.headers["Content-Type"].startswith("application/")


@pytest.mark.parametrize(
    "path", ["/hooks/upload", "/hooks/remove", "/redrive", "/sign-in", f"/collections/{COLLECTION}/sessions"]
)
def test_large_body_is_refused_by_each_route(world: World, call: Call, path: str) -> None:
    answer = call("POST", path, b'{"token": "' + b"x" * 70_000 + b'"}', X_Slidehook="page")
    assert (answer.status_code, answer.json_body["code"]) == (413, "body_too_large")


INJECTED = ["a\r\nSet-Cookie: slidehook=x", "a\nX-Injected: y", "a\rX-Injected: y", "\r\n\r\n<html>", "a\u2028b"]


@pytest.mark.parametrize("text", INJECTED)
def test_request_text_never_becomes_a_header(world: World, call: Call, text: str) -> None:
    from urllib.parse import quote

    answers = [
        call("POST", "/hooks/upload", UPLOAD | {"source": f"s3://{BUCKET}/{text}"}),
        call("POST", f"/hooks/{quote(text)}", UPLOAD),
        call("GET", f"/jobs/{quote(text)}"),
        call("GET", f"/jobs?cursor={quote(text)}"),
        call("GET", "/jobs", Origin=text, Cookie=text, If_None_Match=text),
        call("GET", "/jobs", token=None, Authorization=f"Bearer {text}"),
        call("POST", "/sign-in", {"token": text}, X_Slidehook="page"),
        call("POST", f"/collections/{COLLECTION}/sessions", {"label": text}),
    ]
    for answer in answers:
        assert answer.status_code < 500
        assert "Set-Cookie" not in answer.headers
        assert "X-Injected" not in answer.headers
        assert not any("\n" in str(value) or "\r" in str(value) for value in answer.headers.values())


# -- other origins -----------------------------------------------------------------------------------------------------

VIEWER = "https://viewer.example.org"


@pytest.mark.parametrize(
    "origin", [VIEWER, "null", "*", "https://viewer.example.org.evil.org", "http://viewer.example.org"]
)
def test_no_other_origin_is_allowed_by_default(world: World, call: Call, origin: str) -> None:
    for answer in (call("GET", "/jobs", Origin=origin), call("OPTIONS", "/jobs", token=None, Origin=origin)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_configured_origin_is_allowed_with_token_and_not_session(world: World, call: Call) -> None:
    world.settings = replace(world.settings, cors_origins=frozenset({VIEWER}))
    asked = call(
        "OPTIONS", "/hooks/upload", token=None, Origin=VIEWER, Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization",
    )  # fmt: skip
    assert (asked.status_code, asked.body) == (204, b"")
    assert asked.headers["Access-Control-Allow-Origin"] == VIEWER
    assert asked.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "slidehook" not in asked.headers["Access-Control-Allow-Headers"].lower()
    answer = call("GET", "/jobs", Origin=VIEWER)
    assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Vary"]) == (VIEWER, "Origin")
    for each in (asked, answer):
        assert "Access-Control-Allow-Credentials" not in each.headers
    for other in ("https://viewer.example.org.evil.org", "http://viewer.example.org", "null", VIEWER + "/"):
        refused = call("GET", "/jobs", Origin=other)
        assert "Access-Control-Allow-Origin" not in refused.headers
        assert refused.headers["Vary"] == "Origin"


def test_options_returns_the_methods_of_a_path(world: World, call: Call) -> None:
    assert call("OPTIONS", "/sign-in", token=None).headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert call("OPTIONS", "/jobs/x", token=None).headers["Allow"] == "GET, HEAD, OPTIONS"


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_no_secret_is_logged_or_returned(
    world: World, call: Call, deliver: Call, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    secrets = ["admin-token-of-somebody", NEW, NEW.removeprefix("whsec_")]
    with caplog.at_level(logging.DEBUG):
        answers = [
            call("GET", "/jobs", token=secrets[0]),
            call("GET", f"/jobs?token={secrets[0]}"),
            call("POST", "/sign-in", {"token": secrets[0]}, X_Slidehook="page"),
            deliver(UPLOAD),
            deliver(UPLOAD | {"force": 7}, delivery="msg_2"),
        ]
        monkeypatch.setattr(world.memory_archive, "locate", broken)
        answers.append(deliver(UPLOAD, delivery="msg_3"))
    assert answers[-1].status_code == 500
    written = caplog.text + repr(world.settings) + "".join(f"{each.headers} {each.body!r}" for each in answers)
    assert [secret for secret in secrets if secret in written] == []
    assert token_hash("admin") not in repr(world.settings)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SLIDEHOOK_TOKENS", "hunter2", "SLIDEHOOK_TOKENS: it is no JSON"),
        (
            "SLIDEHOOK_TOKENS",
            '[{"name": "x", "sha256": "hunter2", "scopes": ["read"]}]',
            "SLIDEHOOK_TOKENS: sha256 of entry 1",
        ),
        ("SLIDEHOOK_TOKENS_SHA256", "hunter2", "SLIDEHOOK_TOKENS_SHA256: sha256 of entry 1"),
        (
            "SLIDEHOOK_WEBHOOK_SECRETS",
            "hunter2",
            "SLIDEHOOK_WEBHOOK_SECRETS: the secret of entry 1 must begin with whsec_",
        ),
        ("SLIDEHOOK_CORS_ORIGINS", "*", "SLIDEHOOK_CORS_ORIGINS: '\\*' is not an origin"),
        ("SLIDEHOOK_CORS_ORIGINS", "https://a.org/x", "SLIDEHOOK_CORS_ORIGINS: 'https://a.org/x' is not an origin"),
    ],
)
def test_invalid_setting_prevents_start_and_is_named(name: str, value: str, sentence: str) -> None:
    values = {f"SLIDEHOOK_{needed}": "x" for needed in NEEDED}
    with pytest.raises(WrongSettingError, match=sentence) as refused:
        read_settings(values | {name: value})
    assert "hunter2" not in str(refused.value)
    assert not isinstance(refused.value, MissingSettingError)
