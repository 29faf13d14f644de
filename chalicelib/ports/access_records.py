"""Webhook receipts (replay protection), sign-in rate limits and sign-in codes."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receipt of a signed webhook.

    `key` is a digest of sender and delivery id, `body` a digest of the request. `signed_at` is the timestamp of the
    last accepted attempt, `location` the URL of the resource that it created (empty: none).
    """

    key: str
    body: str
    signed_at: int
    location: str


class AccessRecords(Protocol):
    """Records that authentication needs. All of them expire."""

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt of a delivery (strongly consistent), None if it was not accepted."""

    def keep(self, receipt: Receipt, *, now: float) -> bool:
        """Store a receipt, unless its key has one with another body or with the same or a later timestamp.

        One conditional write; False means that it was not stored.
        """

    def count_try(self, client: str, *, now: float) -> int:
        """Count a sign-in attempt of a client in the minute of `now`. Return the number of attempts in that minute."""

    def keep_code(self, code_sha256: str, token_id: str, *, expires_at: float) -> None:
        """Store a sign-in code by its SHA-256 (hex), for the token with this id (`core.web.auth.Token.id`)."""

    def redeem_code(self, code_sha256: str, *, now: float) -> str | None:
        """Redeem a sign-in code. Return the id of its token, None for an unknown, expired or used code.

        One conditional write: a code can be redeemed once.
        """
