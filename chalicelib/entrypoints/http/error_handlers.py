"""Errors of Chalice itself as problem details."""

from collections.abc import Mapping

from chalice.app import Response

from chalicelib.core.errors import MethodNotAllowedError, SlidehookError, UnsupportedMediaError
from chalicelib.entrypoints.http.responses import problem

KINDS: Mapping[int, type[SlidehookError]] = {405: MethodNotAllowedError, 415: UnsupportedMediaError}


def as_problem(response: Response) -> Response:
    """Return a response, as problem details if it is an error that Chalice made."""
    if not isinstance(response.body, dict) or "Code" not in response.body:
        return response
    kind = KINDS.get(response.status_code)
    if kind is None:
        return problem(SlidehookError("the service failed to respond"), status=500)
    found = problem(kind(str(response.body.get("Message", kind.code))[:200]))
    if "Allow" in response.headers:
        found.headers["Allow"] = response.headers["Allow"]
    return found
