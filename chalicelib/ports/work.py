"""Plans and pixels that steps leave for each other."""

from typing import Protocol


class Work(Protocol):
    """Objects that the steps of a job leave for one another. They expire by themselves."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data`. Storing the same again is harmless."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return the object, or its bytes from `start` to `stop` (exclusive; None: the end).

        Raises PlanExpiredError if there is none, ValueError for a part that does not begin within it.
        """
