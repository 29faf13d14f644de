"""Signing in and out of the page. The cookie holds a sealed session, never the token.

A browser signs in with a token that somebody types, or by a sign-in link: an address with a one-time code, which a
bearer of a token asks for. On loopback the link itself signs in. Elsewhere it shows a page with a button, for whatever
looks at links before people do (mail filters, chat previews, browsers that load ahead) would use the code up.
"""

import secrets

from chalice.app import Request, Response

from chalicelib.core.errors import TooManyTriesError, UnauthorizedError
from chalicelib.core.timestamps import instant
from chalicelib.core.web.auth import (
    LINK_SECONDS,
    SESSION_SECONDS,
    Token,
    bearer_of,
    sealed_session,
    token_hash,
    token_with_id,
)
from chalicelib.entrypoints import pages
from chalicelib.entrypoints.http.auth import (
    TRY_AGAIN_SECONDS,
    cookie_name,
    count_try,
    is_loopback,
    is_signed_in,
    may_read,
    refuse_other_pages,
    token_of,
    told,
)
from chalicelib.entrypoints.http.responses import Headers, answered, body_of
from chalicelib.entrypoints.http.service_url import service_url, stage_of
from chalicelib.hooks import validated
from chalicelib.hooks.session import SignInParameters
from chalicelib.services import Services

ASK_PAGE, REFUSED_PAGE = "sign-in.html", "sign-in-refused.html"


def who(request: Request, system: Services) -> Response:
    """Who is signed in, and what they may."""
    return answered(told(may_read(request, system, limited=True)))


def sign_in(request: Request, system: Services) -> Response:
    """A session for a token, or for the code of a link. Another page cannot sign somebody in: it may not send the
    page's header."""
    refuse_other_pages(request)
    count_try(request, system)
    given = validated(SignInParameters, body_of(request))
    if given.code is not None:
        token = _redeemed(given.code, system)
        if token is None:
            raise UnauthorizedError(
                "this code is unknown, was used, or has expired", hint="Ask for a new sign-in link, or give a token."
            )
    else:
        token = bearer_of((given.token or "").strip(), system.settings.known_tokens)
        if token is None:
            raise UnauthorizedError("this token is not known", hint="Ask whoever runs the service for one.")
    return answered(told(token.caller), headers={"Set-Cookie": _session_cookie(request, token, system)})


def sign_out(request: Request, _system: Services) -> Response:
    refuse_other_pages(request)
    return answered({"status": "signed out"}, headers={"Set-Cookie": _cookie(request, "", 0)})


def make_link(request: Request, system: Services) -> Response:
    """Return a link that signs one browser in with the caller's token.

    The service keeps the SHA-256 of the code only. A session cannot make links: it could make itself endless.
    """
    token = token_of(request, system)
    code = secrets.token_urlsafe(32)
    expires_at = system.clock.now() + LINK_SECONDS
    system.doorbook.keep_code(token_hash(code), token.id, expires_at=expires_at)
    link = {"url": f"{service_url(request, system)}/sign-in/links/{code}", "expires_at": instant(expires_at)}
    return answered(link, status=201, headers={"Cache-Control": "no-store"})


def open_link(request: Request, system: Services, code: str) -> Response:
    """Sign the browser in and lead it to the page, or show a page that says how to go on."""
    if request.method == "HEAD" or not _signs_in_by_itself(request):
        return _page(request, system, ASK_PAGE)
    try:
        count_try(request, system)
    except TooManyTriesError:
        refused = _page(request, system, REFUSED_PAGE, status=429)
        refused.headers["Retry-After"] = str(TRY_AGAIN_SECONDS)
        return refused
    token = _redeemed(code, system)
    if token is None and not is_signed_in(request, system):
        return _page(request, system, REFUSED_PAGE, status=410)
    headers: Headers = {
        "Location": f"{stage_of(request)}/",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    if token is not None:
        headers["Set-Cookie"] = _session_cookie(request, token, system)
    return Response(body="", status_code=303, headers=headers)


def _signs_in_by_itself(request: Request) -> bool:
    """Whether following a link is enough: on loopback, by a person's own doing.

    A page elsewhere could send a browser to a link of its own making, and so have somebody work under another's name;
    the browser says where a request comes from. It also says when it only loads ahead.
    """
    fetch_site = str(request.headers.get("sec-fetch-site", "none"))
    is_ahead = "sec-purpose" in request.headers or "purpose" in request.headers
    return is_loopback(request) and fetch_site in ("none", "same-origin") and not is_ahead


def _redeemed(code: str, system: Services) -> Token | None:
    """Return the token that a code is for, once."""
    token_id = system.doorbook.redeem_code(token_hash(code), now=system.clock.now())
    return None if token_id is None else token_with_id(token_id, system.settings.known_tokens)


def _page(request: Request, system: Services, name: str, *, status: int = 200) -> Response:
    """Return a page at the address of a link: other links show the same, so nobody keeps it."""
    page = pages.page_at(request, system, name, status=status)
    page.headers["Cache-Control"] = "no-store"
    return page


def _session_cookie(request: Request, token: Token, system: Services) -> str:
    sealed = sealed_session(token, system.settings.sealing_key, now=system.clock.now())
    return _cookie(request, sealed, SESSION_SECONDS)


def _cookie(request: Request, value: str, seconds: int) -> str:
    secure = "" if is_loopback(request) else "; Secure"
    return f"{cookie_name(request)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
