"""Who may do what."""

import hashlib
import hmac

from chalice.app import Request

from chalicelib.core.errors import UnauthorizedError
from chalicelib.wiring import System


def may_submit(request: Request, system: System) -> None:
    scheme, _, token = str(request.headers.get("authorization", "")).partition(" ")
    given = hashlib.sha256(token.strip().encode()).hexdigest()
    # Every hash is compared, in constant time: how long it takes tells nothing.
    known = [hmac.compare_digest(given, each) for each in sorted(system.settings.token_hashes)]
    if scheme.lower() != "bearer" or not any(known):
        raise UnauthorizedError("this needs a token")


def may_read(request: Request, system: System) -> None:
    if not system.settings.open_reads:
        may_submit(request, system)
