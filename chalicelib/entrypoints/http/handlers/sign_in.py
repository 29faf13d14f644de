"""Signing in to the page. The cookie contains a sealed session, never the token.

A browser signs in with a token or by a sign-in link, which contains a one-time code and is made with a token. On
loopback, opening the link signs in. Elsewhere it shows a page with a button: mail filters, chat previews and
prefetching browsers open links before people do, and would use the code.
"""

import secrets

from chalice.app import Request, Response

from chalicelib.core.errors import RateLimitedError, UnauthorizedError
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
    refuse_other_pages,
    token_of,
)
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.responses import Headers, body_of, json_response
from chalicelib.entrypoints.http.schemas.service import SignInParameters, signed_in
from chalicelib.entrypoints.http.service_url import service_url, stage_of
from chalicelib.hooks.base import validated
from chalicelib.services import Services

ASK_PAGE, REFUSED_PAGE = "sign-in.html", "sign-in-refused.html"


def show_caller(call: Call) -> Response:
    return json_response(signed_in(call.caller))


def sign_in(call: Call) -> Response:
    """Start a session for a token or the code of a link. Other origins cannot send the header of the page.

    Every attempt is counted, so the body is validated after that.
    """
    request, services = call.request, call.services
    refuse_other_pages(request)
    count_try(request, services)
    given = validated(SignInParameters, body_of(request))
    if given.code is not None:
        token = _redeemed(given.code, services)
        if token is None:
            raise UnauthorizedError(
                "this code is unknown, used or expired", hint="Ask for a new sign-in link, or use a token."
            )
    else:
        token = bearer_of((given.token or "").strip(), services.settings.known_tokens)
        if token is None:
            raise UnauthorizedError("this token is unknown", hint="Ask the operator of the service for a token.")
    return json_response(signed_in(token.caller), headers={"Set-Cookie": _session_cookie(request, token, services)})


def sign_out(call: Call) -> Response:
    refuse_other_pages(call.request)
    return json_response({"status": "signed out"}, headers={"Set-Cookie": _cookie(call.request, "", 0)})


def create_link(call: Call) -> Response:
    """Return a link that signs one browser in with the caller's token.

    Only the SHA-256 of the code is stored. A session cannot create links: it could renew itself without limit.
    """
    request, services = call.request, call.services
    token = token_of(request, services)
    code = secrets.token_urlsafe(32)
    expires_at = services.clock.now() + LINK_SECONDS
    services.access_records.keep_code(token_hash(code), token.id, expires_at=expires_at)
    link = {"url": f"{service_url(request, services)}/sign-in/links/{code}", "expires_at": instant(expires_at)}
    return json_response(link, status=201, headers={"Cache-Control": "no-store"})


def open_link(call: Call, code: str) -> Response:
    """Sign the browser in and redirect to the jobs page, or return a page with instructions."""
    request, services = call.request, call.services
    if request.method == "HEAD" or not _signs_in_directly(request):
        return _page(request, services, ASK_PAGE)
    try:
        count_try(request, services)
    except RateLimitedError:
        refused = _page(request, services, REFUSED_PAGE, status=429)
        refused.headers["Retry-After"] = str(TRY_AGAIN_SECONDS)
        return refused
    token = _redeemed(code, services)
    if token is None and not is_signed_in(request, services):
        return _page(request, services, REFUSED_PAGE, status=410)
    headers: Headers = {
        "Location": f"{stage_of(request)}/",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    if token is not None:
        headers["Set-Cookie"] = _session_cookie(request, token, services)
    return Response(body="", status_code=303, headers=headers)


def _signs_in_directly(request: Request) -> bool:
    """Return whether opening the link is sufficient: on loopback, by an action of the user.

    Another site could send the browser to a link of its own, so that a user works under another name. The browser
    reports the origin of the navigation, and whether it only prefetches.
    """
    fetch_site = str(request.headers.get("sec-fetch-site", "none"))
    is_prefetch = "sec-purpose" in request.headers or "purpose" in request.headers
    return is_loopback(request) and fetch_site in ("none", "same-origin") and not is_prefetch


def _redeemed(code: str, services: Services) -> Token | None:
    """Return the token of a code, once; None afterwards."""
    token_id = services.access_records.redeem_code(token_hash(code), now=services.clock.now())
    return None if token_id is None else token_with_id(token_id, services.settings.known_tokens)


def _page(request: Request, services: Services, name: str, *, status: int = 200) -> Response:
    """Return a page at the URL of a link. It must not be cached."""
    page = pages.page_at(request, services, name, status=status)
    page.headers["Cache-Control"] = "no-store"
    return page


def _session_cookie(request: Request, token: Token, services: Services) -> str:
    sealed = sealed_session(token, services.settings.sealing_key, now=services.clock.now())
    return _cookie(request, sealed, SESSION_SECONDS)


def _cookie(request: Request, value: str, seconds: int) -> str:
    secure = "" if is_loopback(request) else "; Secure"
    return f"{cookie_name(request)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
