"""What S3 says has arrived. Format: Amazon S3 event notification, version 2.x."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from chalicelib.core.jobs.source import is_direct, is_publishable


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """An object that was created, as an S3 event describes it.

    The event may be outdated, so the object is read again.
    """

    bucket: str
    key: str
    etag: str
    size_bytes: int
    version_id: str | None
    at: float


def arrivals(body: Mapping[str, Any]) -> tuple[Arrival, ...]:
    """Return the arrivals of a notification's body that are there to be published: none for S3's test event, for other
    kinds of events, and for what its uploader submits by itself.

    Raises ValueError for a body that is no notification.
    """
    if body.get("Event") == "s3:TestEvent":
        return ()
    records = body.get("Records")
    if records is None or not all("s3" in record for record in records):
        raise ValueError("the message is no S3 event notification")
    created = (_arrival(record) for record in records if str(record.get("eventName", "")).startswith("ObjectCreated"))
    return tuple(arrival for arrival in created if is_publishable(arrival.key) and not is_direct(arrival.key))


def _arrival(record: Mapping[str, Any]) -> Arrival:
    thing = record["s3"]["object"]
    return Arrival(
        bucket=record["s3"]["bucket"]["name"],
        key=unquote_plus(thing["key"]),  # keys come URL-encoded, a plus sign is a space
        etag=f'"{thing.get("eTag", "")}"',
        size_bytes=int(thing.get("size", 0)),
        version_id=thing.get("versionId"),
        at=datetime.fromisoformat(record["eventTime"]).timestamp() if record.get("eventTime") else 0.0,
    )
