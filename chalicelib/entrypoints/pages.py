"""The page: static files, served by the same app."""

from pathlib import Path

from chalice.app import Response

STATIC = Path(__file__).parent / "static"
# Scripts and styles come from here only, and nothing frames the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}


def page(name: str = "index.html") -> Response:
    """Return a static file by its name, 404 for others."""
    known = {path.name: path for path in STATIC.iterdir()}
    path = known.get(name)
    if path is None or path.suffix not in KINDS:
        return Response(body="not found", status_code=404, headers={"Content-Type": "text/plain"})
    headers: dict[str, str | list[str]] = {
        "Content-Type": KINDS[path.suffix],
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Response(body=path.read_text(encoding="utf-8"), status_code=200, headers=headers)
