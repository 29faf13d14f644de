"""Security headers of every response, and CORS."""

from collections.abc import Callable, Mapping

from chalice.app import Request, Response

from chalicelib.entrypoints.http.auth import is_loopback
from chalicelib.services import Services

SECURITY: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# A configured origin uses a token. The session cookie is not sent with its requests.
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer"
EXPOSED_HEADERS = "ETag, Link, Location, Retry-After"
PREFLIGHT_SECONDS = 600


def with_security_headers(
    request: Request, services: Services, get_response: Callable[[Request], Response]
) -> Response:
    """Return the response of a route with the security headers."""
    response = get_response(request)
    headers = response.headers
    given = {name.lower() for name in headers}
    wanted = {**SECURITY, **_for_origins(request, services, str(headers.get("Allow", "")))}
    if not is_loopback(request):
        wanted["Strict-Transport-Security"] = "max-age=31536000"
    headers.update({name: value for name, value in wanted.items() if name.lower() not in given})
    return response


def preflight(methods: str) -> Response:
    """Return the response to OPTIONS: the methods of a path."""
    return Response(body="", status_code=204, headers={"Allow": methods})


def _for_origins(request: Request, services: Services, methods: str) -> Mapping[str, str]:
    """Return the CORS headers: none unless the settings list the origin."""
    known, origin = services.settings.cors_origins, str(request.headers.get("origin", ""))
    if not known:
        return {"Cross-Origin-Resource-Policy": "same-origin"}
    if origin not in known:
        return {"Vary": "Origin"}
    found = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
        "Vary": "Origin",
    }
    if request.method == "OPTIONS":
        found |= {
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
    return found
