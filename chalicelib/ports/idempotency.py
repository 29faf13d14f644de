"""Stored responses of requests with an `Idempotency-Key`."""

from dataclasses import dataclass
from typing import Protocol

# How long an answer is kept; and how long a call may be at work before another one with its key begins anew, which is
# longer than any request is let live.
KEEP_ANSWERS_SECONDS = 24 * 3600.0

CALL_SECONDS = 60.0

# An item of the table holds 400 kB. What is larger is not kept, and the call done again.
MAX_ANSWER_BYTES = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """What a call was answered. `headers` are those that do not follow from the rest."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyRecord:
    """What stands under a key: of which call (a digest), and what it was answered: None while it is at work."""

    call: str
    answer: StoredResponse | None = None


class IdempotencyStore(Protocol):
    """Responses that are stored for repeated requests with the same key. They expire after a day."""

    def begin(self, key: str, call: str, *, now: float) -> IdempotencyRecord | None:
        """Reserve a key for a call: None, and it is the caller's to answer. Else what stands there already.

        One conditional write. A reservation without an answer lasts CALL_SECONDS, an answer KEEP_ANSWERS_SECONDS.
        """

    def keep(self, key: str, call: str, answer: StoredResponse, *, now: float) -> None:
        """Keep the answer of a call that has reserved the key. The first one stays; nothing happens to other calls'."""

    def forget(self, key: str, call: str) -> None:
        """Give up a reservation: the call may be made anew. Nothing happens to what is answered, or another call's."""
