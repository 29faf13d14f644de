"""Stored responses of idempotent requests, in memory."""

from dataclasses import dataclass, replace
from threading import Lock

from chalicelib.ports.idempotency import CALL_SECONDS, KEEP_ANSWERS_SECONDS, IdempotencyRecord, StoredResponse


@dataclass(frozen=True, slots=True)
class _Kept:
    promise: IdempotencyRecord
    until: float


class MemoryIdempotencyStore:
    """ports.IdempotencyStore as a dictionary."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}

    def begin(self, key: str, call: str, *, now: float) -> IdempotencyRecord | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.until > now:
                return kept.promise
            self._kept[key] = _Kept(IdempotencyRecord(call=call), now + CALL_SECONDS)
            return None

    def keep(self, key: str, call: str, answer: StoredResponse, *, now: float) -> None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.promise == IdempotencyRecord(call=call):
                recorded = replace(answer, headers=tuple(sorted(answer.headers)))
                self._kept[key] = _Kept(IdempotencyRecord(call=call, answer=recorded), now + KEEP_ANSWERS_SECONDS)

    def forget(self, key: str, call: str) -> None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.promise == IdempotencyRecord(call=call):
                del self._kept[key]
