"""Stored responses of requests with an `Idempotency-Key`."""

from dataclasses import dataclass
from typing import Protocol

# The lifetime of a stored response.
KEEP_RESPONSE_SECONDS = 24 * 3600.0
# The lifetime of a reservation without a response. It is longer than a request can run.
RESERVATION_SECONDS = 60.0

# A DynamoDB item holds 400 kB. A larger response is not stored, and a repeated request runs again.
MAX_RESPONSE_BYTES = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A stored response. `headers` are those that do not depend on the request."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """The record of a key. `request` is the digest of its request, `response` is None while the request runs."""

    request: str
    response: StoredResponse | None = None


class IdempotencyStore(Protocol):
    """Responses that are stored for repeated requests with the same key. They expire after a day."""

    def begin(self, key: str, request: str, *, now: float) -> IdempotencyRecord | None:
        """Reserve a key for a request. Return None if it was reserved, else the existing record.

        One conditional write. A reservation expires after RESERVATION_SECONDS, a response after KEEP_RESPONSE_SECONDS.
        """

    def keep(self, key: str, request: str, response: StoredResponse, *, now: float) -> None:
        """Store the response of the request that reserved the key. An existing response is not changed."""

    def forget(self, key: str, request: str) -> None:
        """Delete the reservation of a request, so that it can run again. A stored response is not changed."""
