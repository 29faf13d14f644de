"""A cache whose entries expire."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MAX_ENTRIES = 1024

Value = TypeVar("Value")


class TtlCache(Generic[Value]):
    """Caches values by key, each with the time of its load. Missing values are not cached, as they may be created soon.

    Thread-safe. Concurrent calls may load the same value twice.
    """

    def __init__(self, seconds_now: Callable[[], float] = time.monotonic) -> None:
        self._seconds_now = seconds_now
        self._entries: dict[Hashable, tuple[float, Value]] = {}

    def get(self, key: Hashable, load: Callable[[], Value | None], *, max_age_seconds: float) -> Value | None:
        """Return the cached value if it is younger than `max_age_seconds` seconds, else the result of `load`."""
        now = self._seconds_now()
        loaded_at, cached = self._entries.get(key, (now, None))
        if cached is not None and now - loaded_at < max_age_seconds:
            return cached
        value = load()
        if value is None:
            self._entries.pop(key, None)
            return None
        if len(self._entries) >= MAX_ENTRIES:
            self._entries.clear()
        self._entries[key] = now, value
        return value
