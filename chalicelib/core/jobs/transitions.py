"""State transitions of a job. Each returns the job after one legal transition; storing it is one conditional write."""

from dataclasses import replace

from chalicelib.core.errors import RetriesExhaustedError
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import (
    ENDED,
    Attempt,
    BadTile,
    ChunkRecord,
    Destination,
    Job,
    LevelSummary,
    Problem,
    Published,
    SlideSummary,
    State,
)
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.verification import MAX_FAULTS, Findings, Target

LEGAL_MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.PLANNING}) | ENDED - {State.DONE},
    State.PLANNING: frozenset({State.PLANNING, State.TILING}) | ENDED - {State.DONE},
    State.TILING: frozenset({State.FINISHING}) | ENDED - {State.DONE},
    # A finishing job cannot be cancelled: it may already be published.
    State.FINISHING: frozenset({State.DONE, State.FAILED, State.SUPERSEDED}),
    # An ended job stays ended during cleanup, or starts its next attempt.
    **{ended: frozenset({ended, State.QUEUED}) for ended in ENDED},
}


class IllegalMoveError(AssertionError):
    """A transition that LEGAL_MOVES does not contain. This is a bug, not a user error."""


def _moved(job: Job, state: State, **changes: object) -> Job:
    if state not in LEGAL_MOVES[job.state]:
        raise IllegalMoveError(f"job {job.id}: {job.state} -> {state}")
    return replace(job, state=state, **changes)  # type: ignore[arg-type]


def planning(job: Job, *, now: float) -> Job:
    return _moved(job, State.PLANNING, updated_at=now)


def tiling(
    job: Job,
    *,
    plan_digest: str,
    tile_size_px: int,
    levels: tuple[LevelSummary, ...],
    chunks_total: int,
    tiles_total: int,
    bytes_total: int,
    slide: SlideSummary,
    now: float,
) -> Job:
    """Return the job with its plan. Progress of an earlier attempt with the same plan is kept."""
    same = job.plan_digest == plan_digest
    return _moved(
        job,
        State.TILING,
        plan_digest=plan_digest,
        tile_size_px=tile_size_px,
        levels=levels,
        chunks_total=chunks_total,
        tiles_total=tiles_total,
        bytes_total=bytes_total,
        chunks_done=job.chunks_done if same else frozenset(),
        tiles_done=job.tiles_done if same else 0,
        bytes_done=job.bytes_done if same else 0,
        tiles_bad=job.tiles_bad if same else 0,
        slide=slide,
        tiling_at=now,
        updated_at=now,
    )


def finishing(job: Job, *, bad_tiles: tuple[BadTile, ...], now: float, findings: Findings | None = None) -> Job:
    """Return the job after its last chunk, with the first tiles that could not be read."""
    return _moved(job, State.FINISHING, bad_tiles=bad_tiles[:MAX_BAD_TILES], findings=findings, updated_at=now)


# A DynamoDB item holds 400 kB. A hundred positions show the pattern of the damage.
MAX_BAD_TILES = 100


def done(job: Job, published: Published, *, now: float) -> Job:
    return _ended(job, State.DONE, None, now=now, published=published)


def verified(job: Job, findings: Findings, *, now: float) -> Job:
    """Return the ended verification. It is done even if it found faults."""
    return _ended(job, State.DONE, None, now=now, findings=findings)


def found_in(records: tuple[ChunkRecord, ...], *, documents: int) -> Findings:
    """Return the findings of all chunks of a verification. `documents` counts those of the verified collection."""
    missing, doubled = sum(record.missing for record in records), sum(record.doubled for record in records)
    known = sum(record.tiles + record.surplus for record in records) - missing
    faults = sorted(
        (fault for record in records for fault in record.faults),
        key=lambda fault: (fault.level, fault.row, fault.column),
    )
    return Findings(
        missing=missing,
        altered=sum(record.altered for record in records),
        doubled=doubled,
        unexpected=max(0, documents - known),
        faults=tuple(faults[:MAX_FAULTS]),
    )


def failed(job: Job, error: Problem, *, now: float, cleanup_at: float | None) -> Job:
    return _ended(job, State.FAILED, error, now=now, cleanup_at=cleanup_at)


def superseded(job: Job, error: Problem, *, now: float, cleanup_at: float) -> Job:
    return _ended(job, State.SUPERSEDED, error, now=now, cleanup_at=cleanup_at)


def cancelled(job: Job, *, now: float, cleanup_at: float) -> Job:
    return _ended(job, State.CANCELLED, None, now=now, cleanup_at=cleanup_at)


def _ended(job: Job, state: State, error: Problem | None, *, now: float, **changes: object) -> Job:
    attempt = Attempt(attempt=job.attempt, started_at=job.started_at, ended_at=now, outcome=state, error=error)
    history = (*job.history, attempt)[-MAX_HISTORY:]
    # Every ended job gets a cleanup, also a done one: another job may have replaced it before it was done, a late
    # worker may write to its staging collection again, and this attempt has cancelled the second cleanup of the
    # previous one.
    if job.verifies is not None:
        changes["cleanup_at"] = None  # a verification stages nothing
    elif changes.get("cleanup_at") is None:
        changes["cleanup_at"] = now + LATE_SECONDS
    return _moved(job, state, error=error, ended_at=now, updated_at=now, history=history, **changes)


# A DynamoDB item holds 400 kB.
MAX_HISTORY = 20


def next_attempt(
    job: Job,
    source: Source,
    *,
    now: float,
    destination: Destination | None = None,
    from_scratch: bool = False,
    verifies: Target | None = None,
) -> Job:
    """Return an ended job queued for its next attempt.

    `source` is the same object with its current date. `destination` is the destination with its current database (None:
    unchanged); staged tiles in another database are discarded. `from_scratch` discards them in any case. `verifies` is
    the target of this attempt of a verification.
    """
    place = destination or job.destination
    if from_scratch or place.database != job.destination.database or _is_unusable(job):
        job = _next_generation(job)
    return _moved(
        job,
        State.QUEUED,
        attempt=job.attempt + 1,
        source=source,
        destination=place,
        submitted_at=now,
        started_at=now,
        updated_at=now,
        ended_at=None,
        tiling_at=None,
        rescues=0,
        last_transient_error=None,
        error=None,
        bad_tiles=(),
        published=None,
        cleanup_at=None,
        verifies=verifies,
        findings=None,
    )


def discarding(job: Job, *, next_cleanup_at: float) -> Job:
    """Return an ended job whose current generation is discarded. The next attempt writes to a new one."""
    return _moved(_next_generation(job), job.state, cleaned_attempt=job.attempt, cleanup_at=next_cleanup_at)


def _is_unusable(job: Job) -> bool:
    """Return whether the complete staged tiles of an ended job cannot be used by its next attempt.

    Tiles for a named image may have been renamed to that image. Tiles that failed the final check would fail again.
    """
    was_refused = job.state is not State.DONE and job.error is not None and job.error.code != RetriesExhaustedError.code
    return job.all_chunks_done and (job.destination.mongo_collection is not None or was_refused)


def _next_generation(job: Job) -> Job:
    """Return the job without progress, in its next generation. The current one is discarded."""
    return replace(
        job,
        generation=job.generation + 1,
        discarded=() if job.verifies else (*job.discarded, job.generation),
        plan_digest=None,
        chunks_done=frozenset(),
        tiles_done=0,
        bytes_done=0,
        tiles_bad=0,
    )


def cleaned_up(job: Job, *, kept: tuple[int, ...] = ()) -> Job:
    """Return an ended job after its cleanup. `kept` generations are still published; replacing them schedules another
    cleanup."""
    return _moved(job, job.state, discarded=kept, cleanup_at=None)


def abandoned(job: Job) -> tuple[int, ...]:
    """Return the generations of a job that are no longer written and no longer cleaned up."""
    if job.is_live or job.cleanup_at is not None or job.verifies is not None:
        return ()
    # The staging collection of a named image was renamed to that image.
    is_named = job.state is State.DONE and job.destination.mongo_collection is not None
    return tuple(each for each in range(job.generation + is_named) if each not in job.discarded)
