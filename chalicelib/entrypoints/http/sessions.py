"""Signing in and out of the page. The cookie holds a sealed session, never the token."""

from chalice.app import Request, Response

from chalicelib.core.access import SESSION_SECONDS, bearer_of, sealed_session
from chalicelib.core.errors import UnauthorizedError
from chalicelib.entrypoints.http.access import (
    cookie_name,
    count_try,
    is_loopback,
    may_read,
    refuse_other_pages,
    told,
)
from chalicelib.entrypoints.http.answers import answered, body_of
from chalicelib.hooks import validated
from chalicelib.hooks.session import SignInParameters
from chalicelib.wiring import System


def who(request: Request, system: System) -> Response:
    """Who is signed in, and what they may."""
    return answered(told(may_read(request, system, limited=True)))


def sign_in(request: Request, system: System) -> Response:
    """A token for a session. Another page cannot sign somebody in: it may not send this header."""
    refuse_other_pages(request)
    count_try(request, system)
    given = validated(SignInParameters, body_of(request)).token
    settings = system.settings
    token = bearer_of(given.strip(), settings.known_tokens)
    if token is None:
        raise UnauthorizedError("this token is not known", hint="Ask whoever runs the service for one.")
    sealed = sealed_session(token, settings.sealing_key, now=system.clock.now())
    return answered(told(token.caller), headers={"Set-Cookie": _cookie(request, sealed, SESSION_SECONDS)})


def sign_out(request: Request, _system: System) -> Response:
    refuse_other_pages(request)
    return answered({"status": "signed out"}, headers={"Set-Cookie": _cookie(request, "", 0)})


def _cookie(request: Request, value: str, seconds: int) -> str:
    secure = "" if is_loopback(request) else "; Secure"
    return f"{cookie_name(request)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
