"""Slidehook's API as the command line needs it."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from chalicelib.cli.failures import FaultError, ServiceError, SilentError, SlideFailure, UsageError, plain
from chalicelib.core.web.authority import split_authority

UNAUTHORIZED, FORBIDDEN, TOO_MANY, REDIRECT, SERVER_ERROR = 401, 403, 429, 300, 500
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# POST is repeated too: the same call is the same job. A service may ask for a minute of patience, not for an hour.
PATIENCE = urllib3.Retry(
    total=5,
    connect=2,
    read=2,
    backoff_factor=0.5,
    status_forcelist=(TOO_MANY, 500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
    retry_after_max=60,
)


def is_loopback(url: str) -> bool:
    """Tell whether a URL leads to this machine."""
    try:
        host, _ = split_authority(urlsplit(url).netloc)
    except ValueError:
        return False
    return host in LOOPBACK


@dataclass(frozen=True, slots=True)
class Api:
    """A service at `url`, and the token it knows us by."""

    url: str
    token: str = field(repr=False)
    pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=30), retries=PATIENCE)
    )

    def get(self, path: str) -> dict[str, Any]:
        return self._call("GET", path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._call("POST", path, body or {})

    def client_settings(self) -> dict[str, Any]:
        """Return where slides are uploaded to."""
        return self.get("/client")

    def collection(self, collection: str) -> dict[str, Any]:
        return self.get(f"/collections/{quote(collection)}")

    def session(self, session: str) -> dict[str, Any]:
        return self.get(f"/sessions/{quote(session)}")

    def job(self, job: str) -> dict[str, Any]:
        return self.get(f"/jobs/{quote(job)}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(method, self.url + path, body=data, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise SilentError(
                f"{self.url} does not answer ({_reason(error)})", hint="Is the service running, and is --api right?"
            ) from error
        return _found(answer, self.url + path)


def connect(url: str, token: str) -> Api:
    """Return the API at `url`. Raises UsageError for what is no address, or no token; the token is not repeated."""
    try:
        parts = urlsplit(url)
        host, port = split_authority(parts.netloc)
        valid = parts.scheme in ("http", "https") and host and port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise UsageError("the address of the service must look like https://host or http://127.0.0.1:8000")
    token = token.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError("the token holds characters that no token has")
    return Api(url.rstrip("/"), token)


def _reason(error: Exception) -> str:
    # urllib3 puts addresses of objects before the reason.
    return plain(getattr(error, "reason", None) or error).rsplit(": ", 1)[-1]


def _found(answer: urllib3.BaseHTTPResponse, url: str) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    ours = isinstance(body, dict) and (answer.status < REDIRECT or "code" in body)
    if answer.status == UNAUTHORIZED:
        raise ServiceError("the service does not know this token", hint="Give another: --token or SLIDEHOOK_TOKEN.")
    if not ours:
        raise ServiceError(f"{url} answered {answer.status}", hint="Is it a Slidehook service, and is --api right?")
    if answer.status < REDIRECT:
        return dict(body)
    if answer.status == TOO_MANY or answer.status >= SERVER_ERROR:
        raise FaultError(
            f"the service answered {answer.status}: {plain(body.get('detail', ''))}", hint=plain(body.get("hint", ""))
        )
    raise SlideFailure(_sentence(body), code=plain(body["code"]), hint=plain(body.get("hint", "")))


def _sentence(problem: dict[str, Any]) -> str:
    """Return the fields that are wrong, each with what is wrong, else what the problem says of itself."""
    fields = [each for each in problem.get("errors") or [] if isinstance(each, dict)]
    sentences = [
        f"{str(each.get('pointer', '')).lstrip('/') or 'the request'}: {each.get('detail')}" for each in fields
    ]
    return plain("; ".join(sentences) or problem.get("detail") or problem["code"])
