"""The receivers of callbacks."""

from collections.abc import Mapping
from typing import Protocol

from chalicelib.core.jobs.deliveries import Answer


class Callbacks(Protocol):
    """The receivers of callbacks."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one POST to a URL that may be called, and return what came of it, within 15 seconds.

        Whatever the receiver does is an answer: no redirect is followed, of what it sends only the head is read, and a
        name that leads to an address that may not be called is not called. Nothing is raised.
        """
