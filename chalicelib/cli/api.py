"""A client of the HTTP API for the command line."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from chalicelib.cli.failures import FaultError, ServiceError, SilentError, SlideFailure, UsageError, plain
from chalicelib.core.web.authority import split_authority

UNAUTHORIZED, FORBIDDEN, TOO_MANY, REDIRECT, SERVER_ERROR = 401, 403, 429, 300, 500
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# POST is retried as well: the same request is the same job. A longer `Retry-After` than a minute is shortened.
RETRIES = urllib3.Retry(
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
    """Return whether the host of a URL is this machine."""
    try:
        host, _ = split_authority(urlsplit(url).netloc)
    except ValueError:
        return False
    return host in LOOPBACK


@dataclass(frozen=True, slots=True)
class Api:
    """The API at `url`, with a bearer token."""

    url: str
    token: str = field(repr=False)
    pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=30), retries=RETRIES)
    )

    def get(self, path: str) -> dict[str, Any]:
        return self._call("GET", path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._call("POST", path, body or {})

    def client_settings(self) -> dict[str, Any]:
        """Return the settings of the service for uploads."""
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
                f"{self.url} does not respond ({_reason(error)})",
                hint="Check that the service runs and that --api is correct.",
            ) from error
        return _found(answer, self.url + path)


def connect(url: str, token: str) -> Api:
    """Return the API at `url`. Raises UsageError for an invalid URL or token, without repeating the token."""
    try:
        parts = urlsplit(url)
        host, port = split_authority(parts.netloc)
        valid = parts.scheme in ("http", "https") and host and port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise UsageError("the URL of the service must look like https://host or http://127.0.0.1:8000")
    token = token.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError("the token contains invalid characters")
    return Api(url.rstrip("/"), token)


def _reason(error: Exception) -> str:
    # The messages of urllib3 start with the repr of an object.
    return plain(getattr(error, "reason", None) or error).rsplit(": ", 1)[-1]


def _found(answer: urllib3.BaseHTTPResponse, url: str) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    is_slidehook = isinstance(body, dict) and (answer.status < REDIRECT or "code" in body)
    if answer.status == UNAUTHORIZED:
        raise ServiceError(
            "the service does not accept this token", hint="Use another one: --token or SLIDEHOOK_TOKEN."
        )
    if not is_slidehook:
        raise ServiceError(
            f"{url} responded with status {answer.status}", hint="Check that --api is the URL of a Slidehook service."
        )
    if answer.status < REDIRECT:
        return dict(body)
    if answer.status == TOO_MANY or answer.status >= SERVER_ERROR:
        raise FaultError(
            f"the service responded with status {answer.status}: {plain(body.get('detail', ''))}",
            hint=plain(body.get("hint", "")),
        )
    raise SlideFailure(_sentence(body), code=plain(body["code"]), hint=plain(body.get("hint", "")))


def _sentence(problem: dict[str, Any]) -> str:
    """Return the invalid fields with their problems, or the detail of the problem."""
    fields = [each for each in problem.get("errors") or [] if isinstance(each, dict)]
    sentences = [
        f"{str(each.get('pointer', '')).lstrip('/') or 'the request'}: {each.get('detail')}" for each in fields
    ]
    return plain("; ".join(sentences) or problem.get("detail") or problem["code"])
