"""Runs a route: authorizes the caller, validates query and body, calls the handler, turns errors into problem details.

It fails closed: a route whose access is not one of `Access` is refused.
"""

import logging
from collections.abc import Callable
from functools import cache
from inspect import get_annotations
from typing import Any

from chalice.app import CaseInsensitiveMapping, Request, Response

from chalicelib.adapters.request_context import request_context
from chalicelib.core.errors import ForbiddenError, SlidehookError
from chalicelib.core.standard_webhooks import Signed
from chalicelib.core.web.auth import Caller, Scope
from chalicelib.entrypoints.http import auth
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.idempotency import run_once
from chalicelib.entrypoints.http.responses import body_of, problem, raw_body_of
from chalicelib.entrypoints.http.routes import Access, Handler, Route
from chalicelib.services import Services

logger = logging.getLogger("slidehook")

SCOPES = {Access.READ: Scope.READ, Access.SUBMIT: Scope.SUBMIT, Access.ADMIN: Scope.ADMIN}
ANONYMOUS = Caller(name="anonymous", scopes=frozenset())


def dispatch(route: Route, request: Request, services: Services, arguments: dict[str, str]) -> Response:
    """Return the response of a route to a request with these path parameters."""
    accept = str(request.headers.get("accept", ""))
    # Chalice refuses to send a binary body to a client that does not accept exactly its type, also for `*/*`.
    request.headers = CaseInsensitiveMapping({**request.headers, "accept": "*/*"})
    handler = route.handler()
    request_id = None if route.is_file else _request_id(request)

    def run() -> Response:
        try:
            caller, signed = authorize(route, request, services)
            call = Call(request, services, caller, accept, signed)
            return handler(call, **arguments, **_validated(handler, request))
        except SlidehookError as error:
            return problem(error)
        except Exception:
            logger.exception("%s failed", handler.__name__)
            return problem(SlidehookError("the service failed to respond"), status=500)

    with request_context(request_id, handler.__name__):
        try:
            response = run_once(request, services, run)
        except SlidehookError as error:
            response = problem(error)
    if request_id:
        response.headers["X-Request-Id"] = request_id
    if request.method == "HEAD":
        response.body = "" if isinstance(response.body, str) else b""
    return response


def authorize(route: Route, request: Request, services: Services) -> tuple[Caller, Signed | None]:
    """Return the caller of a route, and the signature if a webhook called it.

    Raises UnauthorizedError, ForbiddenError, SignatureError, BodyTooLargeError.
    """
    if route.access is Access.PUBLIC:
        return ANONYMOUS, None
    if route.access is Access.TOKEN:
        return auth.token_of(request, services).caller, None
    if route.access is Access.HOOK:
        return auth.caller_of_hook(request, services, raw_body_of(request))
    if route.access not in SCOPES:
        raise ForbiddenError(f"{route.method} {route.path} has no access rule")
    scope = SCOPES[route.access]
    return auth.authorize(request, services, scope, by_collection=route.by_collection), None


def _validated(handler: Handler, request: Request) -> dict[str, Any]:
    """Return the arguments `query` and `body` of a handler that declares them. Raises InvalidRequestError."""
    query, body = contract(handler)
    found: dict[str, Any] = {}
    if query is not None:
        from chalicelib.entrypoints.http.queries import parse_query

        found["query"] = parse_query(query, request)
    if body is not None:
        from chalicelib.hooks.base import validated

        found["body"] = validated(body, body_of(request))
    return found


@cache
def contract(handler: Callable[..., object]) -> tuple[Any, Any]:
    """Return the classes of a handler's arguments `query` and `body`; None for an argument that it does not have."""
    annotations = get_annotations(handler, eval_str=True)
    return annotations.get("query"), annotations.get("body")


def _request_id(request: Request) -> str | None:
    """Return API Gateway's id of a request, or the id of the invocation. An id that the client sends is ignored."""
    given = (request.context or {}).get("requestId") or getattr(request.lambda_context, "aws_request_id", None)
    return str(given) if given else None
