"""The door's book in memory."""

from collections import Counter
from threading import RLock

from chalicelib.ports import Receipt


class MemoryDoorbook:
    """ports.Doorbook as dictionaries."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._receipts: dict[str, Receipt] = {}
        self._tries: Counter[tuple[str, int]] = Counter()

    def receipt(self, key: str) -> Receipt | None:
        return self._receipts.get(key)

    def keep(self, receipt: Receipt, *, now: float) -> bool:
        del now
        with self._lock:
            kept = self._receipts.get(receipt.key)
            if kept is not None and (kept.body != receipt.body or kept.signed_at >= receipt.signed_at):
                return False
            self._receipts[receipt.key] = receipt
            return True

    def count_try(self, who: str, *, now: float) -> int:
        with self._lock:
            self._tries[who, int(now // 60)] += 1
            return self._tries[who, int(now // 60)]
