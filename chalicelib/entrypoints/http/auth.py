"""Authentication of requests, and the checks of their scope.

A caller is identified by a bearer token, by the session of the page (in a cookie that scripts cannot read), or, for
hooks, by the signature of a webhook. `core/web/auth.py` has the rules; the dispatcher calls `authorize` or
`caller_of_hook` for every route that is not public.
"""

import hashlib
from ipaddress import IPv6Address, IPv6Network

from chalice.app import Request

from chalicelib.core.errors import (
    ForbiddenError,
    RateLimitedError,
    SignatureError,
    UnauthorizedError,
)
from chalicelib.core.standard_webhooks import HEADERS, Signed, signed_in, signer
from chalicelib.core.web.auth import EVERYONE, Caller, Scope, Token, bearer_of, session_bearer
from chalicelib.core.web.authority import split_authority
from chalicelib.core.web.public_addresses import parse_address
from chalicelib.services import Services

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# Browsers accept this prefix only for a cookie of this host that is sent over https.
COOKIE, COOKIE_ON_LOOPBACK = "__Host-slidehook", "slidehook"
PAGE_HEADER, PAGE = "x-slidehook", "page"
SAFE_METHODS = frozenset({"GET", "HEAD"})
TOKEN_NAMES = frozenset({"token", "access_token", "api_key", "authorization"})
TRIES_A_MINUTE, TRY_AGAIN_SECONDS = 10, 60


def caller_of(request: Request, services: Services) -> Caller:
    """Return the caller by token or session, whatever its scopes. Raises UnauthorizedError."""
    return _require_caller(_bearer(request, services))


def token_of(request: Request, services: Services) -> Token:
    """Return the bearer token of a request. A session is not sufficient. Raises UnauthorizedError."""
    if "authorization" not in request.headers:
        raise UnauthorizedError("this request requires a token")
    return _bearer_token(request, services)


def is_signed_in(request: Request, services: Services) -> bool:
    """Return whether a request has a valid session."""
    return _session(request, services) is not None


def authorize(request: Request, services: Services, scope: Scope, *, by_collection: bool) -> Caller:
    """Return the caller of a request if it has the scope.

    A caller whose token is limited to collections is refused unless the route filters by them (`by_collection`).
    Requests to read from this machine need no token if the settings say so. Raises UnauthorizedError, ForbiddenError.
    """
    caller = _bearer(request, services)
    if (
        caller is None
        and scope is Scope.READ
        and services.settings.allow_anonymous_local_reads
        and is_loopback(request)
    ):
        return EVERYONE
    caller = _require_caller(caller)
    require_scope(caller, scope)
    if caller.is_limited and not by_collection:
        raise ForbiddenError(
            f"{caller.name!r} is limited to some collections, and this request concerns all of them",
            hint="Use a token that is not limited to collections, or a route of one collection.",
        )
    return caller


def caller_of_hook(request: Request, services: Services, body: bytes) -> tuple[Caller, Signed | None]:
    """Return the caller of a hook, by token, session or webhook signature, and the verified signature.

    The scope of the hook is not checked here. Raises UnauthorizedError, SignatureError.
    """
    if "authorization" in request.headers or not any(name in request.headers for name in HEADERS):
        return caller_of(request, services), None
    signed = signed_in(request.headers, now=services.clock.now())
    secrets = services.settings.webhook_secrets
    number = signer(signed, body, [each.secret for each in secrets])
    if number is None:
        raise SignatureError("the signature matches none of the configured webhook secrets")
    return secrets[number].caller, signed


def require_scope(caller: Caller, scope: Scope) -> None:
    """Raise ForbiddenError unless the caller has the scope."""
    if not caller.may(scope):
        raise ForbiddenError(f"this request requires the scope {scope.value!r}, which {caller.name!r} does not have")


def _require_caller(caller: Caller | None) -> Caller:
    if caller is None:
        raise UnauthorizedError("this request requires a token")
    return caller


def _bearer(request: Request, services: Services) -> Caller | None:
    """Return the caller by token or session; None if the request has neither, or an expired or unknown session.

    Raises UnauthorizedError for an unknown token and for a token in the URL.
    """
    if TOKEN_NAMES & {name.lower() for name in request.query_params or {}}:
        raise UnauthorizedError("a token in the URL is not accepted: URLs are logged")
    if "authorization" in request.headers:
        return _bearer_token(request, services).caller
    token = _session(request, services)
    if token is None:
        return None
    if request.method not in SAFE_METHODS:
        refuse_other_pages(request)
    return token.caller


def _bearer_token(request: Request, services: Services) -> Token:
    scheme, _, given = str(request.headers["authorization"]).partition(" ")
    token = bearer_of(given.strip(), services.settings.known_tokens) if scheme.lower() == "bearer" else None
    if token is None:
        raise UnauthorizedError("this request requires a token")
    return token


def _session(request: Request, services: Services) -> Token | None:
    sealed, settings = _cookie(request), services.settings
    if not sealed:
        return None
    return session_bearer(sealed, settings.known_tokens, settings.sealing_key, now=services.clock.now())


def _cookie(request: Request) -> str:
    """Return the value of the session cookie; empty if there is none, or more than one.

    A second cookie of the name may come from another site of the same domain, so that neither is trusted.
    """
    name = cookie_name(request)
    pairs = [part.strip().partition("=") for part in str(request.headers.get("cookie", "")).split(";")]
    found = [value for each, _, value in pairs if each == name]
    return found[0] if len(found) == 1 else ""


def cookie_name(request: Request) -> str:
    return COOKIE_ON_LOOPBACK if is_loopback(request) else COOKIE


def refuse_other_pages(request: Request) -> None:
    """Raise ForbiddenError unless a request comes from the service's own page.

    Another origin cannot send this header without a preflight request, which is refused.
    """
    sites = str(request.headers.get("sec-fetch-site", "same-origin"))
    if request.headers.get(PAGE_HEADER) != PAGE or sites != "same-origin":
        raise ForbiddenError(
            "a session can change something only from the service's own page",
            hint=f"Send the header 'X-Slidehook: {PAGE}' from the page, or use a token.",
        )


def is_loopback(request: Request) -> bool:
    """Return whether a request comes from this machine and names it as its host.

    On AWS, API Gateway provides the source address and accepts its own host names only.
    """
    source = (request.context.get("identity") or {}).get("sourceIp")
    try:
        name, _ = split_authority(request.headers.get("host", "127.0.0.1"))
    except ValueError:
        return False
    return source in LOOPBACK_NAMES and name in LOOPBACK_NAMES


def count_try(request: Request, services: Services) -> None:
    """Count an attempt to sign in, successful or not. Raises RateLimitedError for too many in a minute."""
    source = str((request.context.get("identity") or {}).get("sourceIp") or "unknown")
    who = hashlib.sha256(_network(source).encode()).hexdigest()[:32]
    if services.access_records.count_try(who, now=services.clock.now()) > TRIES_A_MINUTE:
        raise RateLimitedError(f"more than {TRIES_A_MINUTE} attempts to sign in within a minute")


def _network(source: str) -> str:
    """Return the network that one subscriber usually has: the address itself for IPv4, its /64 for IPv6."""
    address = parse_address(source)
    if not isinstance(address, IPv6Address):
        return source
    return str(IPv6Network((int(address), 64), strict=False))
