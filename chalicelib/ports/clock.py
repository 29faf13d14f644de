"""Time and the time limit of an invocation."""

from typing import Protocol


class Clock(Protocol):
    """The clock of one invocation."""

    def now(self) -> float:
        """Return the current time in seconds since the Unix epoch."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""

    def remaining_seconds(self) -> float:
        """Return the remaining time of the invocation in seconds, infinity without a limit."""
