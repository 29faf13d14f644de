"""A clock for tests."""


class MemoryClock:
    """ports.Clock that advances only by `sleep` and `advance`."""

    def __init__(self, now: float = 0.0, remaining_seconds: float = float("inf")) -> None:
        self.instant = now
        self.remaining = remaining_seconds

    def now(self) -> float:
        return self.instant

    def remaining_seconds(self) -> float:
        return self.remaining

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Advance the time by `seconds`, and reduce the remaining time of the invocation."""
        self.instant += seconds
        self.remaining -= seconds
