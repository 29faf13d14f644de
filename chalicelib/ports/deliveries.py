"""Callback deliveries."""

from typing import Protocol

from chalicelib.core.jobs.deliveries import Delivery


class Deliveries(Protocol):
    """The deliveries of callbacks, and the callback URLs that are disabled."""

    def create(self, delivery: Delivery) -> Delivery:
        """Store a delivery unless its id exists. Return the stored delivery. Safe to retry."""

    def get(self, job: str, delivery: str) -> Delivery | None:
        """Return a delivery of a job (strongly consistent), None if it does not exist."""

    def move(self, was: Delivery, now: Delivery) -> bool:
        """Store `now` if the stored delivery has the version of `was`. Return whether it was stored.

        One conditional write.
        """

    def of_job(self, job: str) -> tuple[Delivery, ...]:
        """Return the deliveries of a job, the newest first."""

    def due(self, *, before: float, limit: int) -> tuple[Delivery, ...]:
        """Return pending deliveries whose `next_at` is before the instant, the longest due first."""

    def disable(self, scope: str, url: str) -> None:
        """Disable callbacks of a job (or hook) to a URL. Safe to retry."""

    def enable(self, scope: str, url: str) -> None:
        """Enable callbacks of a job (or hook) to a URL again. Safe to retry."""

    def is_disabled(self, scope: str, url: str) -> bool:
        """Return whether callbacks of a job (or hook) to a URL are disabled (strongly consistent)."""
