"""Time that stands."""


class MemoryClock:
    """Time that stands until it is moved."""

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
        """Let time pass: also that of the invocation."""
        self.instant += seconds
        self.remaining -= seconds
