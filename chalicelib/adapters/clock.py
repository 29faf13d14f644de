"""The system clock."""

import time
from collections.abc import Callable


class SystemClock:
    """ports.Clock of one invocation. `remaining_millis` is the function of Lambda's context; None: no time limit."""

    def __init__(self, remaining_millis: Callable[[], int] | None = None) -> None:
        self._remaining_millis = remaining_millis

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def remaining_seconds(self) -> float:
        return float("inf") if self._remaining_millis is None else self._remaining_millis() / 1000
