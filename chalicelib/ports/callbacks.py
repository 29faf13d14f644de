"""HTTP requests to callback URLs."""

from collections.abc import Mapping
from typing import Protocol

from chalicelib.core.jobs.deliveries import Answer


class Callbacks(Protocol):
    """The HTTP client for callbacks."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one POST request and return its result within 15 seconds.

        Redirects are not followed, and the body of the response is not read. The request is not sent if the host name
        resolves to an address that is not allowed. Every failure is a result with `error`; nothing is raised.
        """
