"""The shortest history that still shows what a longer one has shown."""

import time
from collections.abc import Callable

Holds = Callable[[list[int]], bool]


def shortest(made: list[int], still_fails: Holds, *, seconds: float = 20.0) -> list[int]:
    """Return decisions that fail as well, fewer of them and more of them harmless: as short as the time allows."""
    deadline = time.monotonic() + seconds
    best = list(made)
    changed = True
    while changed and time.monotonic() < deadline:
        changed = False
        for attempt in (_cut, _zeroed):
            size = max(1, len(best) // 2)
            while size and time.monotonic() < deadline:
                start = 0
                while start < len(best) and time.monotonic() < deadline:
                    tried = attempt(best, start, size)
                    if tried != best and still_fails(tried):
                        best, changed = tried, True
                    else:
                        start += size
                size //= 2
    return best


def _cut(made: list[int], start: int, size: int) -> list[int]:
    return made[:start] + made[start + size :]


def _zeroed(made: list[int], start: int, size: int) -> list[int]:
    return made[:start] + [0] * len(made[start : start + size]) + made[start + size :]
