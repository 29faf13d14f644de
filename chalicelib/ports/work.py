"""The work bucket: plans and intermediate pixels."""

from typing import Protocol


class Work(Protocol):
    """Objects that the steps of a job share. They expire."""

    def put(self, key: str, data: bytes) -> None:
        """Store an object. Safe to retry."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return an object, or its bytes from `start` to `stop` (exclusive; None: the end).

        Raises PlanExpiredError if the object does not exist, ValueError if `start` is not within it.
        """
