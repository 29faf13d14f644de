"""HEAD and OPTIONS, which every address has that is read, without a line of its own in app.py."""

from typing import Any

from chalice.app import Chalice, Response, RouteEntry


def complete(app: Chalice) -> None:
    """Let every route that answers GET answer HEAD, and every address tell its methods.

    HEAD is answered as GET is, without its body.
    """
    for path, routes in app.routes.items():
        reads = routes.get("GET")
        if reads is not None and "HEAD" not in routes:
            routes["HEAD"] = RouteEntry(reads.view_function, reads.view_name, path, "HEAD", None, reads.content_types)
        if "OPTIONS" not in routes:
            methods = ", ".join(sorted({*routes, "OPTIONS"}))
            routes["OPTIONS"] = RouteEntry(_telling(methods), "options", path, "OPTIONS")


def _telling(methods: str) -> Any:
    def options(**_: str) -> Response:
        from chalicelib.entrypoints.http.security_headers import preflight

        return preflight(methods)

    return options
