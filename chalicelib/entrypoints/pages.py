"""The pages: static files, served by the same app. A page holds nothing; what it shows it asks the API for."""

import hashlib
from functools import cache
from pathlib import Path

from chalice.app import Request, Response

from chalicelib.config import Settings
from chalicelib.wiring import System

STATIC = Path(__file__).parent / "static"
# Scripts and styles come from here only, and nothing frames a page. Slides go to their bucket by themselves.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {uploads};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def page(request: Request | None, system: System, name: str) -> Response:
    """Return a static file by its name, 404 for others, 304 for one that the browser has."""
    file = _files().get(name)
    if file is None:
        return Response(body="not found", status_code=404, headers={"Content-Type": "text/plain"})
    text, etag = file
    headers: dict[str, str | list[str]] = {
        "Content-Type": KINDS[Path(name).suffix],
        "Content-Security-Policy": POLICY.format(uploads=upload_origin(system.settings)),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "ETag": etag,
    }
    if request is not None and etag in str(request.headers.get("if-none-match", "")):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=text, status_code=200, headers=headers)


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
