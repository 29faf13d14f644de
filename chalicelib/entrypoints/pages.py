"""The pages: static files of the app. A page contains no data; it calls the API."""

import hashlib
from functools import cache
from pathlib import Path

from chalice.app import Request, Response

from chalicelib.config import Settings
from chalicelib.core.errors import NotFoundError
from chalicelib.entrypoints.http.call import Call
from chalicelib.services import Services

STATIC = Path(__file__).parent / "static"
# Scripts and styles are served from this origin only, and a page cannot be framed. Uploads go to the bucket.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {uploads};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Outside `pages/`, so that a request for it has the status 404 as well.
NOT_FOUND = "errors/not-found.html"
NOT_FOUND_HINT = "Check the path; /openapi.json lists all routes."
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def show_index(call: Call) -> Response:
    return _file(call, "pages/jobs.html")


def show_page(call: Call, name: str) -> Response:
    return _file(call, f"pages/{name}.html")


def show_file(call: Call, folder: str, name: str) -> Response:
    # HTML is served by the routes of the pages only, with their status and links.
    return not_found(call.request.path, call.accept) if name.endswith(".html") else _file(call, f"{folder}/{name}")


def _file(call: Call, name: str) -> Response:
    """Return a static file by its path below `static`, 304 if the browser has it, 404 for an unknown path."""
    file = _files().get(name)
    if file is None:
        return not_found(call.request.path, call.accept)
    text, etag = file
    if name.endswith(".html"):
        text = _seen_from(call.request.path, text)
    headers = _headers(name, upload_origin(call.services.settings)) | {"ETag": etag}
    if etag in str(call.request.headers.get("if-none-match", "")):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=text, status_code=200, headers=headers)


def page_at(request: Request, services: Services, name: str, *, status: int) -> Response:
    """Return a file of `static/pages/` for another path. Its relative links are adapted to that path."""
    file = f"pages/{name}"
    headers = _headers(file, upload_origin(services.settings))
    return Response(body=_seen_from(request.path, _files()[file][0]), status_code=status, headers=headers)


def not_found(path: str, accept: str) -> Response:
    """Return the response for an unknown path: a page for a browser, problem details (RFC 9457) for other clients.

    Below `/pages/` it is a page unless the client accepts JSON.
    """
    wants_page = "text/html" in accept or (path.startswith("/pages/") and "json" not in accept)
    if not wants_page:
        from chalicelib.entrypoints.http.responses import problem

        return problem(NotFoundError("this path does not exist", hint=NOT_FOUND_HINT))
    headers = _headers(NOT_FOUND, "") | {"Cache-Control": "no-store"}
    return Response(body=_seen_from(path, _files()[NOT_FOUND][0]), status_code=404, headers=headers)


def _headers(name: str, uploads: str) -> dict[str, str | list[str]]:
    return {
        "Content-Type": KINDS[Path(name).suffix],
        "Content-Security-Policy": POLICY.format(uploads=uploads),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


def _seen_from(path: str, text: str) -> str:
    """Return a page of `/pages/` with its relative links adapted to `path`.

    Links are never absolute, because API Gateway's stage may precede all paths.
    """
    up = "../" * max(0, path.count("/") - 1)
    return text.replace('"../', f'"{up or "./"}')


def upload_origin(settings: Settings) -> str:
    """Return the origin of the presigned URLs of the incoming bucket (adapters.s3.S3Uploads)."""
    if settings.aws_endpoint:
        return settings.aws_endpoint.rstrip("/")
    return f"https://{settings.incoming_bucket}.s3.{settings.region}.amazonaws.com"


@cache
def _files() -> dict[str, tuple[str, str]]:
    """Return the text and ETag of each file by its path below `static`. Files do not change at run time."""
    files = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.suffix in KINDS}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    return {name: (text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"') for name, text in texts.items()}
