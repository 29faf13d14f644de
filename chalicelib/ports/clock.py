"""Time."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Return UTC epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""

    def remaining_seconds(self) -> float:
        """Return how long this invocation may still run."""
