"""Callbacks and deliveries in memory."""

from collections.abc import Callable, Mapping
from threading import RLock

from chalicelib.adapters.memory.before import BeforeWrite, do_nothing
from chalicelib.core.jobs.deliveries import Answer, Delivery


class MemoryDeliveries:
    """ports.Deliveries as a dictionary."""

    def __init__(self, *, before_write: BeforeWrite = do_nothing) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._deliveries: dict[tuple[str, str], Delivery] = {}
        self._disabled: set[tuple[str, str]] = set()

    def create(self, delivery: Delivery) -> Delivery:
        self._before_write("create delivery")
        with self._lock:
            return self._deliveries.setdefault((delivery.job, delivery.id), delivery)

    def get(self, job: str, delivery: str) -> Delivery | None:
        return self._deliveries.get((job, delivery))

    def move(self, was: Delivery, now: Delivery) -> bool:
        self._before_write("move delivery")
        with self._lock:
            stored = self._deliveries.get((was.job, was.id))
            if stored is None or stored.version != was.version:
                return False
            self._deliveries[now.job, now.id] = now
            return True

    def of_job(self, job: str) -> tuple[Delivery, ...]:
        found = [delivery for delivery in self._all() if delivery.job == job]
        return tuple(sorted(found, key=lambda delivery: (-delivery.created_at, delivery.id)))

    def due(self, *, before: float, limit: int) -> tuple[Delivery, ...]:
        pending = [delivery for delivery in self._all() if delivery.state == "pending"]
        due = [(each.next_at, each) for each in pending if each.next_at is not None and each.next_at < before]
        return tuple(delivery for _, delivery in sorted(due, key=lambda each: each[0])[:limit])

    def _all(self) -> tuple[Delivery, ...]:
        with self._lock:
            return tuple(self._deliveries.values())

    def disable(self, scope: str, url: str) -> None:
        self._before_write("disable callback")
        self._disabled.add((scope, url))

    def enable(self, scope: str, url: str) -> None:
        self._before_write("enable callback")
        self._disabled.discard((scope, url))

    def is_disabled(self, scope: str, url: str) -> bool:
        return (scope, url) in self._disabled


class MemoryCallbacks:
    """ports.Callbacks that records requests in `received` and returns the result of `answer(url)`."""

    def __init__(self, answer: Callable[[str], Answer] = lambda _url: Answer(status=204)) -> None:
        self.answer = answer
        self.received: list[tuple[str, Mapping[str, str], bytes]] = []

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.received.append((url, headers, body))
        return self.answer(url)
