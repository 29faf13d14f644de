"""Access records in memory."""

from collections import Counter
from threading import RLock

from chalicelib.ports.access_records import Receipt


class MemoryAccessRecords:
    """ports.AccessRecords as dictionaries."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._receipts: dict[str, Receipt] = {}
        self._tries: Counter[tuple[str, int]] = Counter()
        self._codes: dict[str, tuple[str, float]] = {}

    def receipt(self, key: str) -> Receipt | None:
        return self._receipts.get(key)

    def keep(self, receipt: Receipt, *, now: float) -> bool:
        del now
        with self._lock:
            stored = self._receipts.get(receipt.key)
            if stored is not None and (stored.body != receipt.body or stored.signed_at >= receipt.signed_at):
                return False
            self._receipts[receipt.key] = receipt
            return True

    def count_try(self, client: str, *, now: float) -> int:
        with self._lock:
            self._tries[client, int(now // 60)] += 1
            return self._tries[client, int(now // 60)]

    def keep_code(self, code_sha256: str, token_id: str, *, expires_at: float) -> None:
        self._codes[code_sha256] = token_id, expires_at

    def redeem_code(self, code_sha256: str, *, now: float) -> str | None:
        with self._lock:
            token_id, expires_at = self._codes.get(code_sha256, ("", now))
            if expires_at <= now:
                return None
            del self._codes[code_sha256]
            return token_id
