"""What every answer carries, whoever made it, and how other origins are answered."""

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
# An origin that is configured calls with a token of its own: never with the page's cookie.
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Prefer"
EXPOSED_HEADERS = "ETag, Link, Location, Retry-After"
PREFLIGHT_SECONDS = 600


def guarded(request: Request, system: Services, get_response: Callable[[Request], Response]) -> Response:
    """Return the door's answer with the headers that protect whoever gets it."""
    response = get_response(request)
    headers = response.headers
    given = {name.lower() for name in headers}
    wanted = {**SECURITY, **_for_origins(request, system, str(headers.get("Allow", "")))}
    if not is_loopback(request):
        wanted["Strict-Transport-Security"] = "max-age=31536000"
    headers.update({name: value for name, value in wanted.items() if name.lower() not in given})
    return response


def preflight(methods: str) -> Response:
    """Return the answer to OPTIONS: the methods of an address."""
    return Response(body="", status_code=204, headers={"Allow": methods})


def _for_origins(request: Request, system: Services, methods: str) -> Mapping[str, str]:
    """Return what other origins are told: nothing, unless the settings list this very one."""
    known, origin = system.settings.cors_origins, str(request.headers.get("origin", ""))
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
