"""Slidehook's API as the command line needs it."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import urllib3

from chalicelib.cli.failures import ServiceError, SlideFailure, plain

UNAUTHORIZED, FORBIDDEN, SERVER_ERROR = 401, 403, 500
# POST is repeated too: the same call is the same job.
PATIENCE = urllib3.Retry(
    total=5, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None, raise_on_status=False
)


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

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(method, self.url + path, body=data, headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ServiceError(
                f"{self.url} does not answer ({plain(error)}). Is the service running, and is --api right?"
            ) from error
        return _found(answer, self.url + path)


def _found(answer: urllib3.BaseHTTPResponse, url: str) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if answer.status == UNAUTHORIZED:
        raise ServiceError("the service does not know this token: give another with --token or SLIDEHOOK_TOKEN")
    if not isinstance(found, dict) or answer.status >= SERVER_ERROR:
        raise ServiceError(f"{url} answered {answer.status}: is it a Slidehook service?")
    if answer.status >= 300:
        fields = [f"{each.get('pointer', '').lstrip('/')}: {each.get('detail')}" for each in found.get("errors", [])]
        sentence = "; ".join(plain(part) for part in fields) or plain(found.get("detail", answer.status))
        raise SlideFailure(sentence, code=plain(found.get("code", "refused")), hint=plain(found.get("hint", "")))
    return found
