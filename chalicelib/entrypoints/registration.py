"""Registers the table of routes with Chalice, with HEAD for each route that answers GET and OPTIONS for each path."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response

from chalicelib.entrypoints.http.routes import ROUTES, Route

Respond = Callable[[Route, dict[str, str]], Response]


def register(app: Chalice, respond: Respond) -> None:
    """Register every route; `respond` is called with the route and the path parameters of a request."""
    methods = defaultdict(list)
    for route in ROUTES:
        for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
            methods[route.path].append(method)
            app.route(route.path, methods=[method])(_view(route, respond))
    for path, allowed in methods.items():
        app.route(path, methods=["OPTIONS"])(_options(", ".join(sorted([*allowed, "OPTIONS"]))))


def _view(route: Route, respond: Respond) -> Callable[..., Response]:
    def view(**arguments: str) -> Response:
        return respond(route, arguments)

    return view


def _options(allowed: str) -> Callable[..., Response]:
    def options(**_: Any) -> Response:
        from chalicelib.entrypoints.http.security_headers import preflight

        return preflight(allowed)

    return options
