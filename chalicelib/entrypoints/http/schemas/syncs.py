"""Syncs and their reports."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from chalicelib.core.jobs.sync import Counts, Entry, Outcome, Sync
from chalicelib.core.timestamps import instant
from chalicelib.hooks.base import Document
from chalicelib.hooks.fields import At, Count, Id, ObjectId


class EntryDocument(Document):
    """The result for one object."""

    key: str
    outcome: Outcome
    job: Id | None
    code: str | None
    message: str | None


class SyncCounts(Document):
    """The number of objects with each outcome."""

    present: Count
    running: Count
    added: Count
    replaced: Count
    removed: Count
    failed: Count
    cancelled: Count
    missing: Count
    ignored: Count


class SyncDocument(Document):
    """A sync and its report. `entries` is the requested page of the report."""

    id: Id
    state: Literal["running", "done"]
    run: Count
    prefix: str
    collection: ObjectId | None
    session: ObjectId | None
    counts: SyncCounts
    highlights: list[EntryDocument]
    pages: Count
    entries: list[EntryDocument] = Field(default_factory=list)
    submitted_at: At
    updated_at: At
    ended_at: At | None
    links: dict[str, str]


class SyncList(Document):
    """The latest syncs."""

    syncs: list[SyncDocument]


def sync_document(sync: Sync, entries: Sequence[Entry] | None = None) -> dict[str, object]:
    """Return a `SyncDocument` as JSON; `entries` is a page of the report, if one was requested."""
    place = sync.place
    return {
        "id": sync.id,
        "state": "running" if sync.is_live else "done",
        "run": sync.run,
        "prefix": f"s3://{sync.bucket}/{sync.prefix}",
        "collection": place.collection if place else None,
        "session": place.session if place else None,
        "counts": {name: getattr(sync.counts, name) for name in Counts.__slots__},
        "highlights": [_entry(entry) for entry in sync.highlights],
        "pages": sync.pages,
        **({} if entries is None else {"entries": [_entry(entry) for entry in entries]}),
        "submitted_at": instant(sync.submitted_at),
        "updated_at": instant(sync.updated_at),
        "ended_at": instant(sync.ended_at),
        "links": {"self": f"/syncs/{sync.id}"},
    }


def _entry(entry: Entry) -> dict[str, object]:
    return {
        "key": entry.key,
        "outcome": entry.outcome,
        "job": entry.job,
        "code": entry.code,
        "message": entry.message,
    }
