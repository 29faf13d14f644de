"""Timestamps in documents."""

from chalicelib.core.timestamps import instant


def test_instant_is_iso_8601_in_utc() -> None:
    assert instant(0.0) == "1970-01-01T00:00:00.000Z"
    assert instant(1767323045.25) == "2026-01-02T03:04:05.250Z"
    assert instant(None) is None
