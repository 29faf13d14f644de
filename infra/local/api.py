"""Chalice's own local HTTP server for app.py, on loopback.

    python -m infra.local.api --port 8000

Set right for use by more than one browser tab: the listen backlog, Nagle's algorithm (an answer in
two segments otherwise waits 40 ms for an acknowledgement), and what API Gateway does and Chalice's
server does not: its limit on bodies, its patience, no body in the answer to HEAD. The answer for an unknown address
does not repeat the caller's token.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import logging
import re
import sys
from http import HTTPStatus
from typing import Any

from chalice.config import Config
from chalice.local import (
    ChaliceRequestHandler,
    ForbiddenError,
    HeaderType,
    LocalDevServer,
    LocalGatewayException,
    create_local_server,
)

from chalicelib.core.web.authority import split_authority
from chalicelib.entrypoints import pages
from infra.deploy import template as templates

HOST = "127.0.0.1"
BODY_LIMIT_BYTES = 10 * 1024 * 1024
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
_BACKLOG = 128
_CODE = re.compile(r"(/sign-in/links/)[^\s/?#]+")
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def is_local(host: str) -> bool:
    """Whether a Host header names this machine.

    A web page elsewhere can have its own name resolve to loopback and then read what is served here; its requests
    carry that name.
    """
    try:
        return split_authority(host)[0] in LOCAL_NAMES
    except ValueError:
        return False


class Handler(ChaliceRequestHandler):
    """Chalice's handler with API Gateway's limit on bodies, for callers on this machine only."""

    disable_nagle_algorithm = True
    # Who sends nothing for so long is hung up on, as API Gateway does it.
    timeout = 30

    def parse_request(self) -> bool:
        """Refuse a request whose body API Gateway would not pass on, or that means another host."""
        if not super().parse_request():
            return False
        if not is_local(self.headers.get("host", HOST)):
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST, b'{"message": "Misdirected Request"}')
        if not self.headers.get("authorization", "").isascii():
            return self._refuse(HTTPStatus.BAD_REQUEST, b'{"message": "Bad Request"}')
        length = self.headers.get("content-length", "0")
        if not length.isdecimal():
            return self._refuse(HTTPStatus.BAD_REQUEST, b'{"message": "Bad Request"}')
        if int(length) > BODY_LIMIT_BYTES:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b'{"message": "Request Too Long"}')
        return True

    def _send_error_response(self, error: LocalGatewayException) -> None:
        """Answer an unknown address with the page for it, or as infra/deploy/resources.yaml has API Gateway answer."""
        if not isinstance(error, ForbiddenError):
            self._send_http_response(error.CODE, {**error.headers, **NOSNIFF}, error.body)
            return
        path = self.path.partition("?")[0].partition("#")[0]
        found = pages.not_found(path, self.headers.get("accept", ""))
        self._send_http_response(found.status_code, {**found.headers, **NOSNIFF}, str(found.body).encode())

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log a request without the code of a sign-in link, which may not have been used yet."""
        self.log_message('"%s" %s %s', _CODE.sub(r"\1...", self.requestline), code, size)

    def __getattr__(self, name: str) -> Any:
        # http.server looks for a method of its own for each method of HTTP, and answers 501 where there is none.
        if name.startswith("do_"):
            return self._generic_handle
        raise AttributeError(name)

    def _send_http_response_with_body(self, code: int, headers: HeaderType, body: str | bytes) -> None:
        """Send a response. The response to HEAD has no body and no Content-Length."""
        if self.command != "HEAD":
            super()._send_http_response_with_body(code, headers, body)
            return
        self.send_response(code)
        self._send_headers(headers)

    def _refuse(self, status: HTTPStatus, body: bytes) -> bool:
        self.close_connection = True
        self._send_http_response(status, {"Connection": "close"}, body)
        return False


def create_server(port: int) -> LocalDevServer:
    """Return Chalice's server for app.py, bound to `port` on loopback."""
    app = importlib.import_module("app").app
    properties = templates.load().resources["APIHandler"]["Properties"]
    config = Config.create(
        chalice_app=app,
        app_name="slidehook",
        function_name="api_handler",
        lambda_timeout=properties["Timeout"],
        lambda_memory_size=properties["MemorySize"],
    )
    server = create_local_server(app, config, HOST, port)
    server.server.RequestHandlerClass = functools.partial(Handler, app_object=app, config=config)
    server.server.socket.listen(_BACKLOG)
    return server


def main(arguments: list[str] | None = None) -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.api")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    create_server(options.port).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
