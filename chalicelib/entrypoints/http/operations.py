"""The operations of the API document: each route with its schemas, and each hook as an operation of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from chalicelib.core.errors import (
    CallbacksDisabledError,
    ForbiddenError,
    InvalidRequestError,
    KeyInUseError,
    KeyReusedError,
    MethodNotAllowedError,
    ReplayedError,
    SlidehookError,
    TooManySubscribersError,
    TransientError,
    UnauthorizedError,
    UnsupportedMediaError,
)
from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.sync import Sync
from chalicelib.entrypoints.http.dispatch import contract
from chalicelib.entrypoints.http.routes import BODY, POLLED, ROUTES, Access, Route, Spec
from chalicelib.entrypoints.http.schemas.jobs import JobDocument
from chalicelib.entrypoints.http.schemas.service import DoneBefore
from chalicelib.entrypoints.http.schemas.syncs import SyncDocument
from chalicelib.hooks.base import Hook
from chalicelib.hooks.registry import hooks

# Errors of every hook.
HOOK_ERRORS = (*BODY, ReplayedError, CallbacksDisabledError, TooManySubscribersError)
RESULTS: dict[object, type[BaseModel]] = {Job: JobDocument, Sync: SyncDocument}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method of a path, as the API document describes it.

    `path` is the path of the route, or that of one hook. `scope` is a scope, `none` or `any token`.
    """

    route: Route
    path: str
    spec: Spec
    scope: str
    query: type[BaseModel] | None
    body: type[BaseModel] | None

    @property
    def method(self) -> str:
        return self.route.method

    @property
    def errors(self) -> tuple[type[SlidehookError], ...]:
        """All errors of the operation. A static file requires no token and no request id."""
        if self.route.is_file:
            return (*self.spec.errors, MethodNotAllowedError, UnsupportedMediaError)
        keys = (KeyReusedError, KeyInUseError, InvalidRequestError) if self.method == "POST" else ()
        tokens = () if self.route.access is Access.PUBLIC else (UnauthorizedError, ForbiddenError)
        queries = (InvalidRequestError,) if self.query is not None and self.spec.query is None else ()
        # The last three are raised by Chalice or by any service that a handler calls.
        return (
            *self.spec.errors, *queries, *keys, *tokens, TransientError, MethodNotAllowedError, UnsupportedMediaError,
        )  # fmt: skip


def operations(routes: Iterable[Route] = ROUTES) -> tuple[Operation, ...]:
    """Return the operations of these routes, in their order."""
    return tuple(each for route in routes for each in _operations(route))


def _operations(route: Route) -> Iterator[Operation]:
    if route.access is Access.HOOK:
        for hook in hooks().values():
            yield Operation(
                route=route, path=route.path.replace("{name}", hook.name), spec=_hook_spec(hook),
                scope=hook.scope.value, query=None, body=hook.parameters,
            )  # fmt: skip
    spec = route.spec()
    query, body = contract(route.handler())
    yield Operation(
        route=route, path=route.path, spec=spec, scope=_scope(route), query=query or spec.query, body=body or spec.body
    )


def _scope(route: Route) -> str:
    names = {Access.PUBLIC: "none", Access.TOKEN: "any token", Access.HOOK: "submit"}
    return names.get(route.access, route.access.value)


def _hook_spec(hook: Hook) -> Spec:
    if isinstance(hook.result, tuple):
        return Spec(
            summary=hook.summary, responses={200: (*hook.result, DoneBefore)}, errors=(*HOOK_ERRORS, *hook.errors)
        )
    return Spec(
        summary=hook.summary, responses={202: RESULTS[hook.result]}, errors=(*HOOK_ERRORS, *hook.errors),
        response_headers=POLLED,
    )  # fmt: skip
