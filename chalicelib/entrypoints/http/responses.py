"""What requests and answers look like. Errors become problem details (RFC 9457) by one table."""

import json
import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from chalice.app import CaseInsensitiveMapping, Request, Response

from chalicelib.adapters.request_context import errand
from chalicelib.core.errors import (
    AnswerTooLargeError,
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
    SlidehookError,
    TooManyTriesError,
    TransientError,
    UnauthorizedError,
    UnsupportedMediaError,
)
from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.source import OBJECT_ID
from chalicelib.entrypoints.http.auth import TRY_AGAIN_SECONDS
from chalicelib.entrypoints.http.caching import has_already
from chalicelib.entrypoints.http.idempotency import once
from chalicelib.services import Services
from chalicelib.steps.report import POLL_SECONDS, report

logger = logging.getLogger("slidehook")

MAX_BODY_BYTES = 64 * 1024
MAX_DIGITS = 7
RETRY_SECONDS = 5
PROBLEM_TYPE = "application/problem+json"

# The nearest class of an error's ancestry counts. Whatever else a slide or a destination is refused for is 422.
STATUS: dict[type[SlidehookError], int] = {
    AnswerTooLargeError: 413,
    BadAddressError: 400,
    BodyTooLargeError: 413,
    BucketNotAllowedError: 403,
    ConflictError: 409,
    ForbiddenError: 403,
    MethodNotAllowedError: 405,
    NotFoundError: 404,
    SlidehookError: 422,
    TooManyTriesError: 429,
    TransientError: 503,
    UnauthorizedError: 401,
    UnsupportedMediaError: 415,
}

Handler = Callable[..., Response]
Headers = dict[str, str | list[str]]


def handler(name: str) -> Handler:
    """Return the handler `module.function` of this package. The module is imported."""
    module, _, function = name.partition(".")
    found: Handler = getattr(import_module(f"chalicelib.entrypoints.http.{module}"), function)
    return found


def answer(request: Request | None, system: Services, handle: Handler, *arguments: str) -> Response:
    """Return what `handle(request, system, *arguments)` answers, or the problem that it raises."""
    if request is not None:
        # Every door has one kind of answer. Chalice would refuse to send an image to who does not ask for that very
        # type, also to who leaves the choice to us.
        request.headers = CaseInsensitiveMapping({**request.headers, "accept": "*/*"})
    request_id = _request_id(request)
    with errand(request_id, handle.__name__):
        response = _answer(request, system, handle, *arguments)
    if request_id:
        response.headers["X-Request-Id"] = request_id
    if request is not None and request.method == "HEAD":
        response.body = "" if isinstance(response.body, str) else b""
    return response


def _answer(request: Request | None, system: Services, handle: Handler, *arguments: str) -> Response:
    try:
        return once(request, system, lambda: _answered(request, system, handle, *arguments))
    except SlidehookError as error:
        return problem(error)


def _answered(request: Request | None, system: Services, handle: Handler, *arguments: str) -> Response:
    try:
        return handle(request, system, *arguments)
    except SlidehookError as error:
        return problem(error)
    except Exception:
        logger.exception("%s failed", handle.__name__)
        return problem(SlidehookError("the service failed to answer"), status=500)


def _request_id(request: Request | None) -> str | None:
    """Return API Gateway's id of a request, or that of the invocation. Never one that a client made up."""
    if request is None:
        return None
    given = (request.context or {}).get("requestId") or getattr(request.lambda_context, "aws_request_id", None)
    return str(given) if given else None


def problem(error: SlidehookError, *, status: int | None = None) -> Response:
    """Return an error as problem details, with our `code`, `hint` and the fields that are wrong."""
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
    if status == STATUS[TooManyTriesError]:
        headers["Retry-After"] = str(TRY_AGAIN_SECONDS)
    if status == STATUS[TransientError]:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if isinstance(error, KeyInUseError):
        headers["Retry-After"] = str(POLL_SECONDS)
    return Response(body=json.dumps(body), status_code=status, headers=headers)


def answered(body: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        body=json.dumps(body), status_code=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def conditional_json(
    request: Request, body: Mapping[str, object], tag: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a body with its tag, or 304 to who has it already. Nobody keeps it in between."""
    told: Headers = {"ETag": tag, "Cache-Control": "no-store", **(headers or {})}
    if has_already(request, tag):
        return Response(body="", status_code=304, headers=told)
    return Response(body=json.dumps(body), status_code=200, headers={"Content-Type": "application/json", **told})


def raw_body_of(request: Request) -> bytes:
    """Return a request's body as it came: what is signed is these bytes. Raises BodyTooLargeError."""
    raw = request.raw_body or b""
    raw = raw.encode() if isinstance(raw, str) else raw
    if len(raw) > MAX_BODY_BYTES:
        raise BodyTooLargeError(f"the body has {len(raw)} bytes; at most {MAX_BODY_BYTES} are taken")
    return raw


def body_of(request: Request) -> object:
    raw = raw_body_of(request)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidRequestError("the body is no JSON", hint="Send a JSON object, encoded in UTF-8.") from None


def found_or_404(look: Callable[[], Any]) -> Any:
    """Return what `look` finds; what an address names and does not exist is 404, not a wrong field."""
    try:
        return look()
    except (NoSuchCollectionError, NoSuchSessionError) as error:
        raise NotFoundError(str(error), hint=error.advice) from error


def object_id_in(text: str, what: str) -> str:
    if not OBJECT_ID.fullmatch(text.lower()):
        raise NotFoundError(f"{text!r} is no id of a {what}", hint="Ids are ObjectIds: 24 hexadecimal digits.")
    return text.lower()


def status_of(job: Job, system: Services) -> dict[str, object]:
    """Return the status document of a job as it stands now."""
    return report(job, now=system.clock.now(), is_told=job.hook in system.settings.callback_urls)


def accepted(job: Job, system: Services) -> Response:
    headers = {"Location": f"/jobs/{job.id}", "Retry-After": str(POLL_SECONDS)}
    return answered(status_of(job, system), status=202, headers=headers)
