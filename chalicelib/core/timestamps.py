"""Instants as text."""

from datetime import UTC, datetime


def instant(at: float | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
