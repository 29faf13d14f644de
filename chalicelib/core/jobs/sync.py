"""A sync: what lies under a prefix is compared with what readers see, page by page, and what is missing is submitted.

It is the answer to events that S3 lost. Running it twice submits nothing twice: what is there, on its way, has failed,
or was cancelled or removed on purpose is only reported.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from chalicelib.core.errors import InvalidObjectKeyError, NotFoundError
from chalicelib.core.ids import content_id
from chalicelib.core.jobs.model import Destination, Job, Options, State, job_id
from chalicelib.core.jobs.source import Source, destination_of_key, is_direct, is_named_like_a_slide, is_publishable

# present: readers see these bytes. running: its job is live. added, replaced: submitted now; before, readers saw
# nothing, or other bytes. removed: it was published, and taken out. failed: its job did, or it was refused. cancelled:
# its job was. missing: readers see a slide whose object is gone. ignored: no slide.
Outcome = Literal["present", "running", "added", "replaced", "removed", "failed", "cancelled", "missing", "ignored"]
HIGHLIGHTED = frozenset({"added", "replaced", "failed", "missing"})
MAX_HIGHLIGHTS = 100
MAX_SESSIONS = 1000
MAX_MESSAGE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was found of one object, or (`missing`) of one slide whose object is gone. `code` and `message` say why it
    failed."""

    key: str
    outcome: Outcome
    job: str | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many objects had each outcome."""

    present: int = 0
    running: int = 0
    added: int = 0
    replaced: int = 0
    removed: int = 0
    failed: int = 0
    cancelled: int = 0
    missing: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """One run after the other over one prefix. `place` is where its slides go: None lets each key name its own.

    A run lists the prefix (`cursor`: where the next page begins), then looks for slides without an object in the
    `sessions` it met, one by one (`session`, `view`: the next). `pages` counts the pages of its report.
    """

    id: str
    bucket: str
    prefix: str
    place: Destination | None = None
    options: Options = field(default_factory=Options)
    run: int = 1
    submitted_at: float
    updated_at: float
    ended_at: float | None = None
    pages: int = 0
    cursor: str | None = None
    is_listed: bool = False
    sessions: tuple[str, ...] = ()
    session: int = 0
    view: int = 0
    counts: Counts = field(default_factory=Counts)
    highlights: tuple[Entry, ...] = ()

    @property
    def is_live(self) -> bool:
        return self.ended_at is None

    @property
    def group(self) -> str:
        return self.place.collection if self.place else ""


def new_sync(bucket: str, prefix: str, place: Destination | None, options: Options, *, now: float) -> Sync:
    """Return the first run of a sync. The same prefix, place and options are the same sync."""
    where = [place.collection, place.session] if place else []
    chosen = [options.tile_size, options.base_only, options.overwrite, options.on_bad_tile, options.associated]
    return Sync(
        id=content_id("sync", {"prefix": [bucket, prefix], "place": where, "options": chosen}),
        bucket=bucket,
        prefix=prefix,
        place=place,
        options=options,
        submitted_at=now,
        updated_at=now,
    )


def require_found_sync(sync_id: str, sync: Sync | None) -> Sync:
    """Return what was looked up as `sync_id`. Raises NotFoundError."""
    if sync is None:
        raise NotFoundError(f"there is no sync {sync_id:.64}", hint="Check the id; the latest are listed at /syncs.")
    return sync


def next_run(sync: Sync, *, now: float) -> Sync:
    """Return an ended sync begun again."""
    again = new_sync(sync.bucket, sync.prefix, sync.place, sync.options, now=now)
    return replace(again, run=sync.run + 1)


def is_slide(sync: Sync, key: str) -> bool:
    """Tell whether an object is one to be published by this sync.

    What an uploader puts below `direct/` it submits itself, with options of its own: that is left to it, unless the
    sync was asked for a prefix in there.
    """
    if is_direct(key) and not is_direct(sync.prefix):
        return False
    return is_publishable(key) if sync.place is None else is_named_like_a_slide(key)


def place_of(sync: Sync, key: str) -> Destination:
    """Return where an object's slide goes; empty ids where its key names none, as for an arrival that was refused."""
    if sync.place is not None:
        return sync.place
    try:
        collection, session = destination_of_key(key)
    except InvalidObjectKeyError:
        collection = session = ""
    return Destination(collection=collection, session=session, image_store="", database="")


def id_of(sync: Sync, source: Source) -> str:
    """Return the id of the job that publishes an object as this sync asks for."""
    return job_id("upload", source, place_of(sync, source.key), sync.options)


def outcome_of(source: Source, job: Job | None, shown: Job | None) -> Outcome | None:
    """Return what there is to say of an object; None if it has to be submitted.

    `job` is the job for its bytes, `shown` the one whose generation readers see of this slide.
    """
    if shown is not None and shown.source.etag == source.etag:
        return "present"
    if job is None or job.state is State.SUPERSEDED:
        return None
    if job.is_live:
        return "running"
    if job.state is State.DONE:
        # Other bytes are published and these are back; or the slide was removed on purpose.
        return None if shown is not None else "removed"
    return "failed" if job.state is State.FAILED else "cancelled"


def advanced(sync: Sync, entries: tuple[Entry, ...], *, now: float, **where: object) -> Sync:
    """Return a live sync after one more page of its report: `where` it goes on."""
    counts = {name: getattr(sync.counts, name) for name in Counts.__slots__}
    for entry in entries:
        counts[entry.outcome] += 1
    highlights = (*sync.highlights, *(entry for entry in entries if entry.outcome in HIGHLIGHTED))
    return replace(
        sync,
        pages=sync.pages + 1,
        counts=Counts(**counts),
        highlights=highlights[:MAX_HIGHLIGHTS],
        updated_at=now,
        **where,  # type: ignore[arg-type]
    )
