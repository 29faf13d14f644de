"""The pages: static files, served by the same app. A page holds nothing; what it shows it asks the API for."""

import hashlib
from functools import cache
from pathlib import Path

from chalice.app import Request, Response

from chalicelib.config import Settings
from chalicelib.core.errors import NotFoundError
from chalicelib.services import Services

STATIC = Path(__file__).parent / "static"
# Scripts and styles come from here only, and nothing frames a page. Slides go to their bucket by themselves.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {uploads};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# In a folder of its own, so that no address shows it with another status than 404.
NOT_FOUND = "errors/not-found.html"
WHAT_EXISTS = "Check the address; /openapi.json lists them."
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def page(request: Request | None, system: Services, name: str) -> Response:
    """Return a static file by its name, 304 if the browser has it. For an unknown name: 404, as a page or as problem
    details."""
    file = _files().get(name)
    if file is None:
        path, accept = (request.path, str(request.headers.get("accept", ""))) if request is not None else ("/", "")
        return not_found(path, accept)
    text, etag = file
    headers = _headers(name, upload_origin(system.settings)) | {"ETag": etag}
    if request is not None and etag in str(request.headers.get("if-none-match", "")):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=text, status_code=200, headers=headers)


def page_at(request: Request, system: Services, name: str, *, status: int) -> Response:
    """Return a page of `/pages/` at the address of a request, whose links then lead from there."""
    headers = _headers(name, upload_origin(system.settings))
    return Response(body=_seen_from(request.path, _files()[name][0]), status_code=status, headers=headers)


def not_found(path: str, accept: str) -> Response:
    """Return the answer for an address that does not exist: a page for a browser, problem details (RFC 9457) for other
    clients. Below `/pages/` it is a page unless JSON is asked for."""
    wants_page = "text/html" in accept or (path.startswith("/pages/") and "json" not in accept)
    if not wants_page:
        from chalicelib.entrypoints.http.responses import problem

        return problem(NotFoundError("there is nothing at this address", hint=WHAT_EXISTS))
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
    """Return a page of `/pages/` with the relative links that it has at `path`: a stage may come before all paths, so
    links are never absolute."""
    up = "../" * max(0, path.count("/") - 1)
    return text.replace('"../', f'"{up or "./"}')


def upload_origin(settings: Settings) -> str:
    """Return the origin at which the incoming bucket takes what a page sends to it (adapters.s3.S3Uploads signs
    addresses there)."""
    if settings.aws_endpoint:
        return settings.aws_endpoint.rstrip("/")
    return f"https://{settings.incoming_bucket}.s3.{settings.region}.amazonaws.com"


@cache
def _files() -> dict[str, tuple[str, str]]:
    """Return what is served, by its path below `static`: the text, and its ETag. Files do not change while the service
    runs."""
    files = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.suffix in KINDS}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    return {name: (text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"') for name, text in texts.items()}
