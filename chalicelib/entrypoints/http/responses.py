"""Responses, and problem details (RFC 9457) for errors by one table of statuses."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from chalice.app import Request, Response

from chalicelib.core.errors import (
    BadAddressError,
    BodyTooLargeError,
    BucketNotAllowedError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    KeyInUseError,
    MethodNotAllowedError,
    NoSuchCollectionError,
    NoSuchSessionError,
    NotFoundError,
    RateLimitedError,
    ResponseTooLargeError,
    SlidehookError,
    TransientError,
    UnauthorizedError,
    UnsupportedMediaError,
)
from chalicelib.core.jobs.source import OBJECT_ID
from chalicelib.entrypoints.http.auth import TRY_AGAIN_SECONDS
from chalicelib.entrypoints.http.caching import has_already

MAX_BODY_BYTES = 64 * 1024
RETRY_SECONDS = 5
# How soon a client should poll a running job or sync again.
POLL_SECONDS = 1
PROBLEM_TYPE = "application/problem+json"

# The nearest base class of an error decides. Every other error of a slide or a destination is 422.
STATUS: dict[type[SlidehookError], int] = {
    ResponseTooLargeError: 413,
    BadAddressError: 400,
    BodyTooLargeError: 413,
    BucketNotAllowedError: 403,
    ConflictError: 409,
    ForbiddenError: 403,
    MethodNotAllowedError: 405,
    NotFoundError: 404,
    SlidehookError: 422,
    RateLimitedError: 429,
    TransientError: 503,
    UnauthorizedError: 401,
    UnsupportedMediaError: 415,
}

Headers = dict[str, str | list[str]]


def problem(error: SlidehookError, *, status: int | None = None) -> Response:
    """Return an error as problem details with `code`, `hint` and the invalid fields."""
    status = status or next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    body: dict[str, Any] = {
        "type": f"urn:slidehook:problem:{error.code}",
        "title": error.code.replace("_", " "),
        "status": status,
        "detail": str(error),
        "code": error.code,
        "hint": error.advice,
    }
    fields = [{"pointer": each.pointer, "detail": each.detail} for each in getattr(error, "problems", ())]
    if error.pointer is not None:
        fields.append({"pointer": error.pointer, "detail": str(error)})
    if fields:
        body["errors"] = fields
    headers: Headers = {"Content-Type": PROBLEM_TYPE}
    if status == STATUS[UnauthorizedError]:
        headers["WWW-Authenticate"] = "Bearer"
    if status == STATUS[RateLimitedError]:
        headers["Retry-After"] = str(TRY_AGAIN_SECONDS)
    if status == STATUS[TransientError]:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if isinstance(error, KeyInUseError):
        headers["Retry-After"] = str(POLL_SECONDS)
    return Response(body=json.dumps(body), status_code=status, headers=headers)


def json_response(
    body: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON response."""
    return Response(
        body=json.dumps(body), status_code=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def conditional_json(
    request: Request, body: Mapping[str, object], tag: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON response with its ETag, or 304 if the client has it. By default, caches must not store it."""
    sent: Headers = {"ETag": tag, "Cache-Control": "no-store", **(headers or {})}
    if has_already(request, tag):
        return Response(body="", status_code=304, headers=sent)
    return Response(body=json.dumps(body), status_code=200, headers={"Content-Type": "application/json", **sent})


def raw_body_of(request: Request) -> bytes:
    """Return the bytes of a request's body: these are what a webhook signs. Raises BodyTooLargeError."""
    raw = request.raw_body or b""
    raw = raw.encode() if isinstance(raw, str) else raw
    if len(raw) > MAX_BODY_BYTES:
        raise BodyTooLargeError(f"the body has {len(raw)} bytes; at most {MAX_BODY_BYTES} are accepted")
    return raw


def body_of(request: Request) -> object:
    """Return the JSON value of a request's body. Raises BodyTooLargeError, InvalidRequestError."""
    raw = raw_body_of(request)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidRequestError("the body is not JSON", hint="Send a JSON object, encoded in UTF-8.") from None


def found_or_404(look: Callable[[], Any]) -> Any:
    """Return the result of `look`. A collection or session in the path that does not exist is 404, not 422."""
    try:
        return look()
    except (NoSuchCollectionError, NoSuchSessionError) as error:
        raise NotFoundError(str(error), hint=error.advice) from error


def object_id_in(text: str, what: str) -> str:
    """Return an ObjectId of the path in lower case. Raises NotFoundError."""
    if not OBJECT_ID.fullmatch(text.lower()):
        raise NotFoundError(f"{text!r} is not the id of a {what}", hint="Ids are ObjectIds: 24 hexadecimal digits.")
    return text.lower()
