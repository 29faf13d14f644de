"""Jobs: the status document, and its summary in lists. Instants are ISO 8601 in UTC."""

from typing import Annotated

from pydantic import Field

from chalicelib.core.jobs.model import ENDED, UNFINISHED, Job, OnBadTile, Problem, State
from chalicelib.core.jobs.verification import Fault
from chalicelib.core.timestamps import instant
from chalicelib.hooks.base import Document, JobError, LevelDocument
from chalicelib.hooks.fields import At, Count, Id, MaybeObjectId, ObjectId, Px


class SourceDocument(Document):
    """The object in S3. The job reads exactly this version."""

    bucket: str
    key: str
    etag: str
    size_bytes: Count
    version_id: str | None
    last_modified_at: At


class DestinationDocument(Document):
    """Where the slide is published."""

    collection: MaybeObjectId
    session: MaybeObjectId
    image_store: MaybeObjectId
    mongo_collection: ObjectId | None


class OptionsDocument(Document):
    """The options of the call."""

    tile_size: Px | None
    base_only: bool
    overwrite: bool
    on_bad_tile: OnBadTile
    associated: bool


class SlideSize(Document):
    """The size of the slide at full resolution, and of its published tiles."""

    width_px: Px
    height_px: Px
    tile_size_px: Px


class SlideDocument(SlideSize):
    """Metadata of the slide; null where the file has none."""

    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    icc_profile_bytes: Count
    associated: list[str]


class Progress(Document):
    """How much of the work is done."""

    done: Count
    total: Count


class Rate(Document):
    """The mean speed of the current attempt; null before the first chunk."""

    tiles_per_second: float | None
    bytes_per_second: float | None


class BadTileDocument(Document):
    """A stored tile that could not be read. `offset` is its position in the file, in bytes."""

    level: Count
    column: Count
    row: Count
    offset: Count
    reason: str


class BadTileCount(Document):
    """The number of stored tiles that could not be read."""

    count: Count


class BadTiles(BadTileCount):
    """The stored tiles that could not be read: their number, and the first of them."""

    items: list[BadTileDocument]


class AttemptDocument(Document):
    """An attempt that has ended."""

    attempt: Annotated[int, Field(ge=1)]
    started_at: At
    ended_at: At
    outcome: State
    worker: str | None
    error: JobError | None


class ResultDocument(Document):
    """What a finished job published. `thumbnail` is null if no published level has a single tile."""

    image: ObjectId
    view: ObjectId
    image_store: ObjectId
    database: str
    thumbnail: str | None


class FaultDocument(Document):
    """A tile that a verification found missing, altered, stored twice or unexpected."""

    level: Count
    column: Count
    row: Count
    name: str
    fault: Fault
    documents: Count


class VerificationSummary(Document):
    """The target of a verification and its findings; they are null until it ends."""

    job: Id
    attempt: Count
    image: ObjectId
    repair: bool
    intact: bool | None
    missing: Count | None
    altered: Count | None
    doubled: Count | None
    unexpected: Count | None


class VerificationDocument(VerificationSummary):
    """A verification with the first faults that it found."""

    faults: list[FaultDocument]


class JobSummary(Document):
    """A job in a list. `links` names the resources and actions that are available now."""

    id: Id
    hook: str
    state: State
    attempt: Annotated[int, Field(ge=1)]
    source: SourceDocument
    destination: DestinationDocument
    tiles: Progress
    bytes: Progress
    chunks: Progress
    rate: Rate
    eta_seconds: float | None
    bad_tiles: BadTileCount
    request_id: str | None
    submitted_at: At
    started_at: At
    updated_at: At
    ended_at: At | None
    error: JobError | None
    last_transient_error: JobError | None
    slide: SlideSize | None
    result: ResultDocument | None
    verification: VerificationSummary | None
    links: dict[str, str]


class JobDocument(JobSummary):
    """The status of a job. `links` names the resources and actions that are available now."""

    options: OptionsDocument
    slide: SlideDocument | None
    levels: list[LevelDocument]
    bad_tiles: BadTiles
    attempts: list[AttemptDocument]
    verification: VerificationDocument | None


def job_summary(job: Job, *, now: float, has_subscriber: bool = False) -> dict[str, object]:
    """Return a `JobSummary` as JSON. See `job_document`."""
    return {
        "id": job.id,
        "hook": job.hook,
        "state": job.state.value,
        "attempt": job.attempt,
        "source": {
            "bucket": job.source.bucket,
            "key": job.source.key,
            "etag": job.source.etag,
            "size_bytes": job.source.size_bytes,
            "version_id": job.source.version_id,
            "last_modified_at": instant(job.source.last_modified_at),
        },
        "destination": {
            "collection": job.destination.collection,
            "session": job.destination.session,
            "image_store": job.destination.image_store,
            "mongo_collection": job.destination.mongo_collection,
        },
        **_progress(job, now),
        "bad_tiles": {"count": job.tiles_bad},
        "request_id": job.request_id,
        "submitted_at": instant(job.submitted_at),
        "started_at": instant(job.started_at),
        "updated_at": instant(job.updated_at),
        "ended_at": instant(job.ended_at),
        "error": _error(job.error),
        "last_transient_error": _error(job.last_transient_error) if job.is_live else None,
        "slide": _slide_size(job),
        "result": _result(job),
        "verification": _verification(job),
        "links": _links(job, has_subscriber=has_subscriber),
    }


def job_document(job: Job, *, now: float, has_subscriber: bool = False) -> dict[str, object]:
    """Return a `JobDocument` as JSON, with progress and rates at `now` (epoch seconds).

    `has_subscriber` says whether the settings name a callback URL for the job's hook.
    """
    verification = _verification(job)
    if verification is not None:
        verification["faults"] = _faults(job)
    return {
        **job_summary(job, now=now, has_subscriber=has_subscriber),
        "options": {
            "tile_size": job.options.tile_size,
            "base_only": job.options.base_only,
            "overwrite": job.options.overwrite,
            "on_bad_tile": job.options.on_bad_tile,
            "associated": job.options.associated,
        },
        "slide": _slide(job),
        "levels": [
            {
                "level": level.level,
                "width_px": level.width_px,
                "height_px": level.height_px,
                "columns": level.columns,
                "rows": level.rows,
                "tiles": level.tiles,
                "sparse": level.sparse,
                "method": level.method,
            }
            for level in job.levels
        ],
        "bad_tiles": {
            "count": job.tiles_bad,
            "items": [
                {
                    "level": bad.level,
                    "column": bad.column,
                    "row": bad.row,
                    "offset": bad.offset,
                    "reason": bad.reason,
                }
                for bad in job.bad_tiles
            ],
        },
        "attempts": [
            {
                "attempt": attempt.attempt,
                "started_at": instant(attempt.started_at),
                "ended_at": instant(attempt.ended_at),
                "outcome": attempt.outcome.value,
                "worker": attempt.worker or None,
                "error": _error(attempt.error),
            }
            for attempt in job.history
        ],
        "verification": verification,
    }


def _slide_size(job: Job) -> dict[str, object] | None:
    """Return a `SlideSize` as JSON; None before the slide was analyzed."""
    if not job.levels:
        return None
    base = job.levels[0]
    return {"width_px": base.width_px, "height_px": base.height_px, "tile_size_px": job.tile_size_px}


def _slide(job: Job) -> dict[str, object] | None:
    """Return a `SlideDocument` as JSON; None before the slide was analyzed."""
    size, slide = _slide_size(job), job.slide
    if size is None:
        return None
    return {
        **size,
        "mpp_x": slide.mpp_x,
        "mpp_y": slide.mpp_y,
        "magnification": slide.magnification,
        "vendor": slide.vendor,
        "icc_profile_bytes": slide.icc_profile_bytes,
        "associated": list(slide.associated),
    }


def _progress(job: Job, now: float) -> dict[str, object]:
    # Cleanup removes the records of the chunks; a job that reached `finishing` has done all of them.
    complete = job.state in (State.FINISHING, State.DONE)
    tiles = job.tiles_total if complete else job.tiles_done
    read = job.bytes_total if complete else job.bytes_done
    until = job.ended_at or now
    seconds = until - job.tiling_at if job.tiling_at is not None else 0.0
    tiles_per_second = tiles / seconds if seconds > 0 else None
    left = job.tiles_total - tiles
    return {
        "tiles": {"done": tiles, "total": job.tiles_total},
        "bytes": {"done": read, "total": job.bytes_total},
        "chunks": {"done": job.chunks_total if complete else len(job.chunks_done), "total": job.chunks_total},
        "rate": {
            "tiles_per_second": _rounded(tiles_per_second),
            "bytes_per_second": _rounded(read / seconds if seconds > 0 else None),
        },
        "eta_seconds": _rounded(left / tiles_per_second) if tiles_per_second and job.state is State.TILING else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _error(problem: Problem | None) -> dict[str, str] | None:
    if problem is None:
        return None
    return {"code": problem.code, "message": problem.message, "hint": problem.hint}


def _result(job: Job) -> dict[str, str | None] | None:
    published = job.published
    if published is None:
        return None
    return {
        "image": published.image,
        "view": published.view,
        "image_store": published.image_store,
        "database": published.database,
        "thumbnail": job.thumbnail_url,
    }


def _verification(job: Job) -> dict[str, object] | None:
    """Return a `VerificationSummary` as JSON; None for another kind of job."""
    target, found = job.verifies, job.findings if job.state is State.DONE else None
    if target is None:
        return None
    return {
        "job": target.job,
        "attempt": target.attempt,
        "image": target.image,
        "repair": target.repair,
        "intact": None if found is None else found.are_clean,
        "missing": None if found is None else found.missing,
        "altered": None if found is None else found.altered,
        "doubled": None if found is None else found.doubled,
        "unexpected": None if found is None else found.unexpected,
    }


def _faults(job: Job) -> list[dict[str, object]]:
    found = job.findings if job.state is State.DONE else None
    return [
        {
            "level": fault.level,
            "column": fault.column,
            "row": fault.row,
            "name": fault.name,
            "fault": fault.fault,
            "documents": fault.documents,
        }
        for fault in (found.faults if found else ())
    ]


def _links(job: Job, *, has_subscriber: bool) -> dict[str, str]:
    links = {"self": f"/jobs/{job.id}", "events": f"/jobs/{job.id}/events"}
    if has_subscriber or job.subscribers:
        links["deliveries"] = f"/jobs/{job.id}/deliveries"
    if job.state in UNFINISHED:
        links["cancel"] = f"/jobs/{job.id}/cancel"
    elif job.state in ENDED - {State.DONE} and job.verifies is None and job.destination.session:
        links["retry"] = f"/jobs/{job.id}/retry"
    if job.verifies is not None:
        links["verifies"] = f"/jobs/{job.verifies.job}"
    thumbnail = job.thumbnail_url
    if thumbnail is not None:
        links["thumbnail"] = thumbnail
    return links
