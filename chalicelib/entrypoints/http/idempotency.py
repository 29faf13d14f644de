"""A call with an `Idempotency-Key` is made once: who repeats it is given the first answer again."""

import hashlib
import json
import re
from collections.abc import Callable

from chalice.app import Request, Response

from chalicelib.core.errors import FieldProblem, InvalidRequestError, KeyInUseError, KeyReusedError
from chalicelib.core.ids import content_id
from chalicelib.entrypoints.http.auth import caller_of
from chalicelib.ports.idempotency import MAX_ANSWER_BYTES, StoredResponse
from chalicelib.services import Services

HEADER = "Idempotency-Key"
KEY = re.compile(r'"?[\x21\x23-\x7e](?:[\x20\x21\x23-\x7e]{0,253}[\x21\x23-\x7e])?"?')
# What is answered before a call is looked at, or says that it should be made again.
NEVER_KEPT = frozenset({401, 429})
SERVER_ERROR = 500


def once(request: Request | None, system: Services, act: Callable[[], Response]) -> Response:
    """Return what `act` answers, or what it answered to the same call before.

    A key belongs to the token that bears it. IdempotencyStore that say that the service failed are not kept. Raises
    InvalidRequestError for what is no key, KeyReusedError, KeyInUseError, UnauthorizedError.
    """
    given = None if request is None or request.method != "POST" else request.headers.get(HEADER)
    if request is None or given is None or not {"authorization", "cookie"} & {each.lower() for each in request.headers}:
        return act()
    key, call = _key(request, system, str(given)), _call(request)
    promise = system.answers.begin(key, call, now=system.clock.now())
    if promise is None:
        return _first(key, call, system, act)
    if promise.call != call:
        raise KeyReusedError(f"this {HEADER} was given to another call")
    if promise.answer is None:
        raise KeyInUseError(f"the call with this {HEADER} is at work")
    headers: dict[str, str | list[str]] = {"Idempotency-Replayed": "true", **dict(promise.answer.headers)}
    return Response(body=promise.answer.body, status_code=promise.answer.status, headers=headers)


def _first(key: str, call: str, system: Services, act: Callable[[], Response]) -> Response:
    response = act()
    body = response.body
    # What signs somebody in is nobody else's to read: a session, and a link that makes one.
    named = {name.lower(): value for name, value in response.headers.items()}
    is_secret = "set-cookie" in named or named.get("cache-control") == "no-store"
    is_kept = not is_secret and response.status_code < SERVER_ERROR and response.status_code not in NEVER_KEPT
    if is_kept and isinstance(body, str) and len(body.encode()) <= MAX_ANSWER_BYTES:
        headers = tuple(sorted((name, str(value)) for name, value in response.headers.items()))
        answer = StoredResponse(status=response.status_code, body=body, headers=headers)
        system.answers.keep(key, call, answer, now=system.clock.now())
    else:
        system.answers.forget(key, call)
    return response


def _key(request: Request, system: Services, given: str) -> str:
    caller = caller_of(request, system)
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
