"""Webhook receipts (replay protection), sign-in rate limits and sign-in codes."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a signed webhook. `key` names sender and delivery, `body` what it asked for (digests); `signed_at`
    is that of the last attempt that was answered, `location` where its outcome is looked at (empty: nowhere)."""

    key: str
    body: str
    signed_at: int
    location: str


class AccessRecords(Protocol):
    """What the door remembers. Everything in it expires by itself."""

    def receipt(self, key: str) -> Receipt | None:
        """Return what became of a delivery (strongly consistent), None if it was not accepted yet."""

    def keep(self, receipt: Receipt, *, now: float) -> bool:
        """Keep a receipt unless one of its key is kept that has another body, or was signed at that instant or later.

        One conditional write; False means that it was not kept.
        """

    def count_try(self, who: str, *, now: float) -> int:
        """Count one try of `who` in the minute of `now`; return how many there were in it, with this one."""

    def keep_code(self, code_sha256: str, token_id: str, *, expires_at: float) -> None:
        """Keep a sign-in code by its SHA-256 (hex), for the token with this id (`core.web.auth.Token.id`)."""

    def redeem_code(self, code_sha256: str, *, now: float) -> str | None:
        """Return the id of the token that a sign-in code is for. A code is redeemed once: of many callers one gets the
        id, the others None, as for a code that is unknown or has expired. One conditional write.
        """
