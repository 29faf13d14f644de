"""Idempotency keys: a repeated request with the same `Idempotency-Key` receives the first response again."""

import hashlib
import json
import re
from collections.abc import Callable

from chalice.app import Request, Response

from chalicelib.core.errors import FieldProblem, InvalidRequestError, KeyInUseError, KeyReusedError
from chalicelib.core.ids import content_id
from chalicelib.entrypoints.http.auth import caller_of
from chalicelib.ports.idempotency import MAX_RESPONSE_BYTES, StoredResponse
from chalicelib.services import Services

HEADER = "Idempotency-Key"
KEY = re.compile(r'"?[\x21\x23-\x7e](?:[\x20\x21\x23-\x7e]{0,253}[\x21\x23-\x7e])?"?')
# Responses of requests that were not run, which a client repeats.
NEVER_STORED = frozenset({401, 429})
SERVER_ERROR = 500


def run_once(request: Request, services: Services, act: Callable[[], Response]) -> Response:
    """Return the response of `act`, or the stored response of the same request.

    A key belongs to a token. Responses that say that the service failed are not stored. Raises InvalidRequestError for
    an invalid key, KeyReusedError, KeyInUseError, UnauthorizedError.
    """
    given = request.headers.get(HEADER) if request.method == "POST" else None
    if given is None or not {"authorization", "cookie"} & {each.lower() for each in request.headers}:
        return act()
    key, call = _key(request, services, str(given)), _call(request)
    record = services.idempotency.begin(key, call, now=services.clock.now())
    if record is None:
        return _first(key, call, services, act)
    if record.request != call:
        raise KeyReusedError(f"this {HEADER} was used for another request")
    if record.response is None:
        raise KeyInUseError(f"the request with this {HEADER} is still running")
    headers: dict[str, str | list[str]] = {"Idempotency-Replayed": "true", **dict(record.response.headers)}
    return Response(body=record.response.body, status_code=record.response.status, headers=headers)


def _first(key: str, call: str, services: Services, act: Callable[[], Response]) -> Response:
    response = act()
    body = response.body
    # Credentials are not stored: a session cookie, and a sign-in link.
    named = {name.lower(): value for name, value in response.headers.items()}
    is_secret = "set-cookie" in named or named.get("cache-control") == "no-store"
    is_stored = not is_secret and response.status_code < SERVER_ERROR and response.status_code not in NEVER_STORED
    if is_stored and isinstance(body, str) and len(body.encode()) <= MAX_RESPONSE_BYTES:
        headers = tuple(sorted((name, str(value)) for name, value in response.headers.items()))
        answer = StoredResponse(status=response.status_code, body=body, headers=headers)
        services.idempotency.keep(key, call, answer, now=services.clock.now())
    else:
        services.idempotency.forget(key, call)
    return response


def _key(request: Request, services: Services, given: str) -> str:
    caller = caller_of(request, services)
    if not KEY.fullmatch(given):
        detail = "must be 1 to 255 printable ASCII characters, in quotes or not"
        raise InvalidRequestError(f"the {HEADER} {detail}", [FieldProblem(f"/{HEADER}", detail)])
    token = str(request.headers.get("authorization", ""))
    who = {"name": caller.name, "token": hashlib.sha256(token.encode(errors="replace")).hexdigest()}
    return content_id("idempotency key", {"who": who, "key": given.strip('"')})


def _call(request: Request) -> str:
    raw = request.raw_body or b""
    body = raw.encode() if isinstance(raw, str) else raw
    names = json.dumps([request.uri_params or {}, dict(request.query_params or {})], sort_keys=True)
    digest = hashlib.sha256(body).hexdigest()
    return content_id("call", {"to": f"{request.method} {request.path}", "names": names, "body": digest})
