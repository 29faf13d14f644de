"""What a handler receives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from chalice.app import Request

from chalicelib.binding import bind
from chalicelib.core.standard_webhooks import Signed
from chalicelib.core.web.auth import Caller
from chalicelib.services import Services

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose caller the dispatcher has authorized.

    `accept` is the Accept header as the client sent it. `signed` is set for a webhook with a valid signature.
    """

    request: Request
    services: Services
    caller: Caller
    accept: str = ""
    signed: Signed | None = None

    def bind(self, step: Callable[..., Result]) -> Callable[..., Result]:
        """Return a step with its ports and settings bound. See `chalicelib.binding.bind`."""
        return bind(step, self.services)
