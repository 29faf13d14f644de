"""The real local server over a socket: requests that client libraries do not send."""

import json
import socket

import pytest

from infra.local.api import HOST, Handler
from tests.security.conftest import UPLOAD, Call, publish
from tests.timeouts import TIMEOUT_SECONDS
from tests.world import STORE, World


def send(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes unchanged. Returns status, headers and body of the response."""
    with socket.create_connection((HOST, port), timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def get(port: int, path: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    return send(port, "\r\n".join(lines).encode("latin-1"))


def test_local_server_enforces_access_of_the_app(port: int) -> None:
    assert get(port, "/health")[0] == 200
    assert get(port, "/jobs")[0] == 401
    assert get(port, "/jobs", "Authorization: Bearer read")[0] == 200
    assert get(port, "/client", "Authorization: Bearer read")[0] == 403


def test_unknown_path_does_not_repeat_the_token(port: int) -> None:
    for path in ("/nowhere", "/jobs/a/b/c/d", "/static/../../app.py"):
        status, headers, body = get(port, path, "Authorization: Bearer a-secret-token")
        assert (status, json.loads(body)["code"]) == (404, "not_found")
        assert "a-secret-token" not in f"{headers}{body!r}"


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e%2fpages.py",
        "/static/....//app.py",
        "/static/%00",
        "/./app.py",
        "/..",
        "*",
    ],
)
def test_path_traversal_serves_no_file(port: int, path: str) -> None:
    status, _, body = get(port, path)
    assert status in (403, 404)
    assert b"import" not in body


def test_invalid_bytes_in_headers_are_refused(port: int) -> None:
    for path in ("/jobs", "/nowhere"):
        assert get(port, path, "Authorization: Bearer \xff\xfe")[0] == 400
    assert get(port, "/jobs", "Cookie: slidehook=\xff")[0] == 401


@pytest.mark.parametrize(
    "host", [b"evil.example.org", b"a[::1]b", b"[::1].evil.example.org", b"[127.0.0.1]", b"a@[::1]"]
)
def test_other_host_is_refused(port: int, host: bytes) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host
    assert send(port, request)[0] == 421


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999"])
def test_invalid_content_length_is_refused_unread(port: int, length: str) -> None:
    assert get(port, "/hooks/upload", f"Content-Length: {length}", method="POST")[0] in (400, 413)


def test_slow_body_times_out_without_blocking_others(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Handler.timeout == 30
    monkeypatch.setattr(Handler, "timeout", 0.3)
    with socket.create_connection((HOST, port), timeout=TIMEOUT_SECONDS) as slow:
        slow.sendall(b"POST /hooks/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
        assert get(port, "/health")[0] == 200
        assert slow.recv(1000) == b""


def test_header_injection_is_impossible(port: int) -> None:
    for path in (
        "/jobs/x%0d%0aSet-Cookie:%20a=b",
        "/static/x%0d%0aX-Injected:%20y",
        "/tile?name=%0d%0aX-Injected:%20y",
    ):
        _, headers, _ = get(port, path, "Authorization: Bearer admin")
        assert not {"Set-Cookie", "X-Injected"} & set(headers)


def test_head_has_headers_of_get_and_no_body(world: World, call: Call, port: int) -> None:
    job = publish(world, call, UPLOAD)
    for path in ("/", "/health", f"/jobs/{job['id']}", f"/tile/{STORE}/{job['result']['image']}/t.jpg"):
        answers = [get(port, path, "Authorization: Bearer read", method=method) for method in ("GET", "HEAD")]
        (status, headers, body), (same_status, same_headers, nothing) = answers
        assert (same_status, nothing) == (status, b"")
        assert status == 200
        varying = {"Date", "x-amzn-RequestId", "X-Request-Id", "Content-Length"}
        assert {k: v for k, v in same_headers.items() if k not in varying} == {
            k: v for k, v in headers.items() if k not in varying
        }
        assert int(headers["Content-Length"]) == len(body)


def test_code_of_a_link_is_not_written_to_the_log(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for path in ("/sign-in/links/a-secret-code", "/x/sign-in/links/a-secret-code?q=1"):
        get(port, path)
        get(port, path, method="HEAD")
    written = "".join(capfd.readouterr())
    assert '"GET /sign-in/links/... HTTP/1.1" 410' in written
    assert "a-secret-code" not in written


def test_unknown_path_is_a_page_in_browsers(port: int) -> None:
    for path in ("/nope", "/a/b/nope", "/pages/nope", "/static/nope"):
        status, headers, body = get(port, path, "Accept: text/html,*/*;q=0.8", "Authorization: Bearer a-secret-token")
        assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert b"<h1>Page not found</h1>" in body
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert b"a-secret-token" not in body


def test_unknown_path_is_not_repeated_on_its_page(port: int) -> None:
    body = get(port, "/%3Cscript%3Ealert(1)%3C/script%3E?q=%22%3E%3Cb%3E", "Accept: text/html")[2]
    assert b"alert(1)" not in body
    assert b"%22" not in body
