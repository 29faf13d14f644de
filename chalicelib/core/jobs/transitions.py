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
    # Cancelling is refused from here on: the switch may already have happened.
    State.FINISHING: frozenset({State.DONE, State.FAILED, State.SUPERSEDED}),
    # An ended job may be kept as it is while its leftovers are swept, or begin its next attempt.
    **{ended: frozenset({ended, State.QUEUED}) for ended in ENDED},
}


class IllegalMoveError(AssertionError):
    """A move that the table above does not have: a fault of the program, never of the user."""


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
    """Return the job with its plan. What an earlier attempt did under the same plan stays done."""
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
    """Return the job whose chunks are all done, with the first of the tiles that could not be read."""
    return _moved(job, State.FINISHING, bad_tiles=bad_tiles[:MAX_BAD_TILES], findings=findings, updated_at=now)


# An item of the table holds 400 kB; a hundred places show the pattern of the damage, and the count tells the rest.
MAX_BAD_TILES = 100


def done(job: Job, published: Published, *, now: float) -> Job:
    return _ended(job, State.DONE, None, now=now, published=published)


def verified(job: Job, findings: Findings, *, now: float) -> Job:
    """Return the verification that has ended: whatever it found, it is done."""
    return _ended(job, State.DONE, None, now=now, findings=findings)


def found_in(records: tuple[ChunkRecord, ...], *, documents: int) -> Findings:
    """Return what the chunks of a verification found in a collection of so many documents."""
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
    # The sweeper looks at everything once it has ended, also at what is done. Another job may have replaced it before
    # it was, a late worker may stage again what has become a named image, and beginning this attempt took the second
    # look at the leftovers of an earlier one off.
    if job.verifies is not None:
        changes["cleanup_at"] = None  # it has staged nothing
    elif changes.get("cleanup_at") is None:
        changes["cleanup_at"] = now + LATE_SECONDS
    return _moved(job, state, error=error, ended_at=now, updated_at=now, history=history, **changes)


# An item of the table holds 400 kB; twenty attempts tell a story and fit.
MAX_HISTORY = 20


def next_attempt(
    job: Job,
    source: Source,
    *,
    now: float,
    destination: Destination | None = None,
    anew: bool = False,
    verifies: Target | None = None,
) -> Job:
    """Return an ended job queued again. `source` is the same object as it stands now (a revert has a newer date), and
    `destination` the same place as the catalogue has it now (None: as before): an arrival that was refused knew no
    database, and a collection may have been given another one. What was stored in the old one is of no use then;
    `anew` uses nothing of it in any case. `verifies` is what a verification looks at this time."""
    place = destination or job.destination
    if anew or place.database != job.destination.database or _is_of_no_use(job):
        job = _elsewhere(job)
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


def discarding(job: Job, *, look_again_at: float) -> Job:
    """Return an ended job whose generation is given to the sweeper: whatever comes next writes to a new place."""
    return _moved(_elsewhere(job), job.state, cleaned_attempt=job.attempt, cleanup_at=look_again_at)


def _is_of_no_use(job: Job) -> bool:
    """Tell whether what an ended job has staged is complete and still nothing to go on with: what was staged for a
    named image may have become that image, and be gone with it; what was refused when complete would be again."""
    was_refused = job.state is not State.DONE and job.error is not None and job.error.code != RetriesExhaustedError.code
    return job.all_chunks_done and (job.destination.mongo_collection is not None or was_refused)


def _elsewhere(job: Job) -> Job:
    """Return the job with nothing done, in its next generation; the sweeper gets what it has staged so far."""
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
    """Return an ended job of which nothing is left to sweep but the generations `kept`: readers see them, and who
    replaces them asks the sweeper to come back."""
    return _moved(job, job.state, discarded=kept, cleanup_at=None)


def abandoned(job: Job) -> tuple[int, ...]:
    """Return the generations of a job that nobody writes to any more, and that the sweeper has left for good."""
    if job.is_live or job.cleanup_at is not None or job.verifies is not None:
        return ()
    # What was staged for a named image has become that image: under its own name there is nothing to go on with.
    is_named = job.state is State.DONE and job.destination.mongo_collection is not None
    return tuple(each for each in range(job.generation + is_named) if each not in job.discarded)
