"""Stored responses of idempotent requests, in memory."""

from dataclasses import dataclass, replace
from threading import Lock

from chalicelib.ports.idempotency import (
    KEEP_RESPONSE_SECONDS,
    RESERVATION_SECONDS,
    IdempotencyRecord,
    StoredResponse,
)


@dataclass(frozen=True, slots=True)
class _ExpiringRecord:
    record: IdempotencyRecord
    expires_at: float


class MemoryIdempotencyStore:
    """ports.IdempotencyStore as a dictionary."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._records: dict[str, _ExpiringRecord] = {}

    def begin(self, key: str, request: str, *, now: float) -> IdempotencyRecord | None:
        with self._lock:
            stored = self._records.get(key)
            if stored is not None and stored.expires_at > now:
                return stored.record
            self._records[key] = _ExpiringRecord(IdempotencyRecord(request=request), now + RESERVATION_SECONDS)
            return None

    def keep(self, key: str, request: str, response: StoredResponse, *, now: float) -> None:
        with self._lock:
            stored = self._records.get(key)
            if stored is not None and stored.record == IdempotencyRecord(request=request):
                sorted_response = replace(response, headers=tuple(sorted(response.headers)))
                record = IdempotencyRecord(request=request, response=sorted_response)
                self._records[key] = _ExpiringRecord(record, now + KEEP_RESPONSE_SECONDS)

    def forget(self, key: str, request: str) -> None:
        with self._lock:
            stored = self._records.get(key)
            if stored is not None and stored.record == IdempotencyRecord(request=request):
                del self._records[key]
