"""Who may do what, door by door: `core/web/auth.py` says what a caller may, here is found out who calls.

Three ways in: a bearer token; the page's session, in a cookie that scripts cannot read; for hooks the signature of a
webhook. Every door but those that are open begins with one of the `may_...` functions. A caller that is limited to
some collections is refused by a door that does not say that it asks `caller.sees` of each thing (`limited=True`).
"""

import hashlib
from collections.abc import Mapping
from ipaddress import IPv6Address, IPv6Network

from chalice.app import Request

from chalicelib.core.errors import (
    ForbiddenError,
    NoSuchCollectionError,
    NoSuchImageError,
    NoSuchSessionError,
    NotFoundError,
    SignatureError,
    TooManyTriesError,
    UnauthorizedError,
)
from chalicelib.core.jobs.model import Job
from chalicelib.core.standard_webhooks import HEADERS, Signed, signed_in, signer
from chalicelib.core.web.auth import EVERYONE, Caller, Scope, Token, bearer_of, session_bearer
from chalicelib.core.web.authority import split_authority
from chalicelib.core.web.public_addresses import parse_address
from chalicelib.ports.archive import SessionFacts
from chalicelib.services import Services

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# The prefix binds the cookie to this very host and to https; browsers refuse it elsewhere.
COOKIE, COOKIE_ON_LOOPBACK = "__Host-slidehook", "slidehook"
PAGE_HEADER, PAGE = "x-slidehook", "page"
SAFE_METHODS = frozenset({"GET", "HEAD"})
TOKEN_NAMES = frozenset({"token", "access_token", "api_key", "authorization"})
TRIES_A_MINUTE, TRY_AGAIN_SECONDS = 10, 60
BELIEVE_SECONDS = 60.0
MAX_BELIEVED = 10_000


def caller_of(request: Request, system: Services) -> Caller:
    """Return who asks by token or session, whatever they may. Raises UnauthorizedError."""
    return _known(_bearer(request, system))


def token_of(request: Request, system: Services) -> Token:
    """Return the bearer token of a request. A session is not enough. Raises UnauthorizedError."""
    if "authorization" not in request.headers:
        raise UnauthorizedError("this needs a token")
    return _bearer_token(request, system)


def is_signed_in(request: Request, system: Services) -> bool:
    """Tell whether a request carries a session that is good."""
    return _session(request, system) is not None


def may_read(request: Request, system: Services, *, limited: bool = False) -> Caller:
    """Return who asks, if they may read. Raises UnauthorizedError, ForbiddenError."""
    caller = _bearer(request, system)
    if caller is None and system.settings.open_reads and is_loopback(request):
        return EVERYONE
    return _allowed(caller, Scope.READ, limited=limited)


def may_submit(request: Request, system: Services, *, limited: bool = False) -> Caller:
    """Return who asks, if they may submit. Raises UnauthorizedError, ForbiddenError."""
    return _allowed(_bearer(request, system), Scope.SUBMIT, limited=limited)


def may_administer(request: Request, system: Services, *, limited: bool = False) -> Caller:
    """Return who asks, if they may take away and act in bulk. Raises UnauthorizedError, ForbiddenError."""
    return _allowed(_bearer(request, system), Scope.ADMIN, limited=limited)


def may_call_hook(request: Request, system: Services, body: bytes) -> tuple[Caller, Signed | None]:
    """Return who calls a hook, by token, by session, or by the signature of a webhook, which then is returned as well.
    The hook's scope is yet to be asked for. Raises UnauthorizedError, SignatureError."""
    if "authorization" in request.headers or not any(name in request.headers for name in HEADERS):
        return _known(_bearer(request, system)), None
    signed = signed_in(request.headers, now=system.clock.now())
    secrets = system.settings.webhook_secrets
    number = signer(signed, body, [each.secret for each in secrets])
    if number is None:
        raise SignatureError("the signature is none of a secret that this service knows")
    return secrets[number].caller, signed


def need(caller: Caller, scope: Scope) -> None:
    """Raise ForbiddenError unless the caller may."""
    if not caller.may(scope):
        raise ForbiddenError(f"this needs the scope {scope.value!r}, which {caller.name!r} does not have")


def _allowed(caller: Caller | None, scope: Scope, *, limited: bool) -> Caller:
    found = _known(caller)
    need(found, scope)
    if found.is_limited and not limited:
        raise ForbiddenError(
            f"{found.name!r} is limited to some collections, and this is for all of them",
            hint="Use a token that is not limited to collections, or a door that names one.",
        )
    return found


def _known(caller: Caller | None) -> Caller:
    if caller is None:
        raise UnauthorizedError("this needs a token")
    return caller


def _bearer(request: Request, system: Services) -> Caller | None:
    """Return who bears the token or the session of a request; None if it has neither. A token that is not known is
    refused; a session that is not, or not any more, is none."""
    if TOKEN_NAMES & {name.lower() for name in request.query_params or {}}:
        raise UnauthorizedError("a token in an address would be kept by whoever keeps addresses")
    if "authorization" in request.headers:
        return _bearer_token(request, system).caller
    token = _session(request, system)
    if token is None:
        return None
    if request.method not in SAFE_METHODS:
        refuse_other_pages(request)
    return token.caller


def _bearer_token(request: Request, system: Services) -> Token:
    scheme, _, given = str(request.headers["authorization"]).partition(" ")
    token = bearer_of(given.strip(), system.settings.known_tokens) if scheme.lower() == "bearer" else None
    if token is None:
        raise UnauthorizedError("this needs a token")
    return token


def _session(request: Request, system: Services) -> Token | None:
    sealed, settings = _cookie(request), system.settings
    if not sealed:
        return None
    return session_bearer(sealed, settings.known_tokens, settings.sealing_key, now=system.clock.now())


def _cookie(request: Request) -> str:
    """Return what the page's cookie holds; empty if there is none, or more than one: who sets a second one may not
    decide which of them counts."""
    name = cookie_name(request)
    pairs = [part.strip().partition("=") for part in str(request.headers.get("cookie", "")).split(";")]
    found = [value for each, _, value in pairs if each == name]
    return found[0] if len(found) == 1 else ""


def cookie_name(request: Request) -> str:
    return COOKIE_ON_LOOPBACK if is_loopback(request) else COOKIE


def refuse_other_pages(request: Request) -> None:
    """Raise ForbiddenError unless a request that changes something comes from the service's own page: other pages
    cannot send this header without being asked first, and are told no then."""
    sites = str(request.headers.get("sec-fetch-site", "same-origin"))
    if request.headers.get(PAGE_HEADER) != PAGE or sites != "same-origin":
        raise ForbiddenError(
            "a session may change something from the service's own page only",
            hint=f"Send the header 'X-Slidehook: {PAGE}' from there, or a token.",
        )


def is_loopback(request: Request) -> bool:
    """Tell whether a request came from this machine, by this machine's name. API Gateway says where from, and takes
    requests for its own name only."""
    source = (request.context.get("identity") or {}).get("sourceIp")
    try:
        name, _ = split_authority(request.headers.get("host", "127.0.0.1"))
    except ValueError:
        return False
    return source in LOOPBACK_NAMES and name in LOOPBACK_NAMES


def count_try(request: Request, system: Services) -> None:
    """Count a try to sign in. Raises TooManyTriesError if this address had enough of them in this minute, whether they
    were right or not."""
    source = str((request.context.get("identity") or {}).get("sourceIp") or "unknown")
    who = hashlib.sha256(_network(source).encode()).hexdigest()[:32]
    if system.doorbook.count_try(who, now=system.clock.now()) > TRIES_A_MINUTE:
        raise TooManyTriesError(f"more than {TRIES_A_MINUTE} tries to sign in within a minute")


def _network(source: str) -> str:
    """Return the part of an address that one household has: a whole /64 of IPv6."""
    address = parse_address(source)
    if not isinstance(address, IPv6Address):
        return source
    return str(IPv6Network((int(address), 64), strict=False))


# -- things of collections ---------------------------------------------------------------------------------------------


def seen_job(caller: Caller, job: Job | None) -> Job | None:
    """Return the job if it is there for the caller, else None, as if there was none."""
    return job if job is not None and caller.sees(job.destination.collection) else None


def seen_session(caller: Caller, system: Services, session: str) -> SessionFacts:
    """Return a session that is there for the caller. Raises NoSuchSessionError."""
    facts = system.archive.session(session)
    if not caller.sees(facts.collection):
        raise NoSuchSessionError(f"there is no session {session}")
    return facts


def see_collection(caller: Caller, collection: str) -> None:
    """Raise NoSuchCollectionError for one that is not there for the caller, in the archive's own words."""
    if not caller.sees(collection):
        raise NoSuchCollectionError(f"there is no collection {collection}", pointer="/collection")


def see_place(caller: Caller, system: Services, collection: str, session: str | None) -> None:
    """Raise NoSuchCollectionError or NoSuchSessionError for what is not there for the caller, in the archive's own
    words: that a session exists somewhere else is not for who is limited to some collections."""
    see_collection(caller, collection)
    if caller.is_limited and session is not None:
        try:
            seen_session(caller, system, session)
        except NoSuchSessionError as error:
            raise NoSuchSessionError(str(error), pointer="/session") from None


def may_read_image(request: Request, system: Services, image_store: str, image: str) -> Caller:
    """Return who asks for a part of an image, if they may. `image_store` and `image` are ObjectIds.

    Raises UnauthorizedError, ForbiddenError; NotFoundError if no session of the caller's collections shows it.
    """
    caller = may_read(request, system, limited=True)
    if not sees_image(caller, system, image_store, image):
        raise NotFoundError(f"there is no image {image}")
    return caller


def sees_image(caller: Caller, system: Services, image_store: str, image: str) -> bool:
    """Tell whether an image is there for the caller: whether one of their collections shows it, if they are limited to
    some. A yes is believed for a minute, a no is asked again."""
    if not caller.is_limited:
        return True
    now, believed = system.clock.now(), system.image_collections
    until, collections = believed.get((image_store, image), (0.0, frozenset()))
    if until > now and any(map(caller.sees, collections)):
        return True
    collections = system.archive.collections_of(image_store, image)
    if len(believed) >= MAX_BELIEVED:
        believed.clear()
    believed[image_store, image] = (now + BELIEVE_SECONDS, collections)
    return any(map(caller.sees, collections))


def see_named_image(caller: Caller, system: Services, image_store: str, image: str | None) -> None:
    """Raise NoSuchImageError unless a limited caller may have this image replaced: their collections show it, and no
    other."""
    if image is None or not caller.is_limited:
        return
    collections = system.archive.collections_of(image_store, image)
    if not collections or not all(map(caller.sees, collections)):
        raise NoSuchImageError(f"there is no image {image}", pointer="/mongo_collection")


def told(caller: Caller) -> Mapping[str, object]:
    """Return what a page may know of who is signed in."""
    return {
        "name": caller.name,
        "scopes": sorted(caller.scopes),
        "collections": None if caller.collections is None else sorted(caller.collections),
    }
