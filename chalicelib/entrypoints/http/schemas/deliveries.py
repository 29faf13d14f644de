"""Deliveries: the callbacks of a job."""

from chalicelib.core.jobs.deliveries import Delivery
from chalicelib.core.timestamps import instant
from chalicelib.core.web.callback_url import parse_callback_url
from chalicelib.hooks.base import Document
from chalicelib.hooks.fields import At, Count, Id


class TryDocument(Document):
    """One POST to the receiver, and its result."""

    at: At
    milliseconds: Count
    status: int | None
    error: str | None


class DeliveryDocument(Document):
    """A callback delivery. `receiver` is the origin of the callback URL: the rest of the URL can be a secret."""

    id: str
    job: Id
    attempt: Count
    type: str
    receiver: str
    state: str
    created_at: At
    next_at: At | None
    tries: list[TryDocument]
    links: dict[str, str]


class DeliveryList(Document):
    """The callback deliveries of a job."""

    deliveries: list[DeliveryDocument]


def delivery_document(delivery: Delivery) -> dict[str, object]:
    """Return a `DeliveryDocument` as JSON."""
    return {
        "id": delivery.id,
        "job": delivery.job,
        "attempt": delivery.attempt,
        "type": f"job.{delivery.outcome.value}",
        "receiver": parse_callback_url(delivery.url, loopback=True).origin,
        "state": delivery.state,
        "created_at": instant(delivery.created_at),
        "next_at": instant(delivery.next_at),
        "tries": [
            {
                "at": instant(made.at),
                "milliseconds": made.milliseconds,
                "status": made.status,
                "error": made.error,
            }
            for made in delivery.log
        ],
        "links": {
            "job": f"/jobs/{delivery.job}",
            "replay": f"/jobs/{delivery.job}/deliveries/{delivery.id}/replay",
        },
    }
