"""Callback deliveries."""

from typing import Protocol

from chalicelib.core.jobs.deliveries import Delivery


class Deliveries(Protocol):
    """The deliveries of callbacks."""

    def create(self, delivery: Delivery) -> Delivery:
        """Store a delivery unless one with its id exists. Return the stored one."""

    def get(self, job: str, delivery: str) -> Delivery | None:
        """Return a job's delivery as it stands (strongly consistent), None if there is none."""

    def move(self, was: Delivery, now: Delivery) -> bool:
        """Store `now` if the delivery still has `was`'s version. One conditional write."""

    def of_job(self, job: str) -> tuple[Delivery, ...]:
        """Return a job's deliveries, the latest made first."""

    def due(self, *, before: float, limit: int) -> tuple[Delivery, ...]:
        """Return pending deliveries whose `next_at` lies before the instant, the longest due first."""

    def disable(self, scope: str, url: str) -> None:
        """Keep that a URL wants to hear nothing more of a job (or hook)."""

    def enable(self, scope: str, url: str) -> None:
        """Forget that again."""

    def is_disabled(self, scope: str, url: str) -> bool:
        """Tell whether it wants to hear nothing more (strongly consistent)."""
