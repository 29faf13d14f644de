"""Settle: end what cannot be published, and clear away what it left.

A cleanup discards a generation in the job item first and drops its collection second. An attempt that begins
meanwhile writes to the next generation, so no tile of a living one is ever dropped. Workers that wake up late may
write to a dropped name again; it is not published, and a second cleanup drops it.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile

from chalicelib.core.errors import (
    NotCancellableError,
    SlidehookError,
    SourceChangedError,
    SourceError,
    TooManyBadTilesError,
    TransientError,
)
from chalicelib.core.jobs.backoff import GRACE_SECONDS, LATE_SECONDS
from chalicelib.core.jobs.model import UNFINISHED, Job, State, problem, require_found
from chalicelib.core.jobs.transitions import cancelled, cleaned_up, discarding, failed, superseded
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs

# What a transient failure left is kept for the next attempt, which does only what is missing.
KEEP_SECONDS = 24 * 3600.0


def end_with_error(job: Job, error: SlidehookError, *, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    """End a live job because of `error`: `superseded` if its source changed, else `failed`.

    Staged tiles are deleted at once if a retry cannot use them. Does nothing if the job has changed since `job`, or
    is past the point at which its source matters.
    """
    if not job.is_live or (job.state is State.FINISHING and isinstance(error, SourceError)):
        # All bytes were read before it was finishing: who finds them gone now was late, and another publishes it.
        return
    now = clock.now()
    cleanup_at = now + _keep_seconds(job, error)
    if job.state is State.FINISHING:
        # A run of its last step may have switched a view and stopped before it scheduled the cleanup of the replaced
        # job.
        for replaced in archive.replaced(job):
            jobs.schedule_cleanup(replaced, now + GRACE_SECONDS)
    end = superseded if isinstance(error, SourceChangedError) else failed
    ended = end(job, problem(error), now=now, cleanup_at=cleanup_at)
    if jobs.move(job, ended) and cleanup_at <= now:
        clean_up(jobs.get(job.id) or ended, jobs=jobs, archive=archive, clock=clock)


def cancel(job_id: str, *, jobs: Jobs, archive: Archive, clock: Clock) -> Job:
    """Cancel a job and return it. A cancelled job is not changed.

    Its workers stop after their current chunk. The published slide does not change. Raises
    NotFoundError, and NotCancellableError from `finishing` on: the switch may have happened.
    """
    # A live job can move on meanwhile, but not as often as there are states.
    for _ in State:
        job = require_found(job_id, jobs.get(job_id))
        if job.state is State.CANCELLED:
            return job
        if job.state not in UNFINISHED:
            raise NotCancellableError(f"job {job.id} is {job.state} and cannot be cancelled any more")
        now = clock.now()
        cleanup_at = now + (LATE_SECONDS if _may_be_published(job) else 0.0)
        ended = cancelled(job, now=now, cleanup_at=cleanup_at)
        if jobs.move(job, ended):
            with suppress(TransientError):  # the next minute does it
                clean_up(jobs.get(job.id) or ended, jobs=jobs, archive=archive, clock=clock)
            return require_found(job_id, jobs.get(job_id))
    raise NotCancellableError(f"job {job_id} moves too fast to be cancelled", hint="Try again.")


def _keep_seconds(job: Job, error: SlidehookError) -> float:
    """Return how long what `job` has staged stays when `error` ends it."""
    if not error.permanent:
        return KEEP_SECONDS
    # Another finisher read the same records.
    return LATE_SECONDS if _may_be_published(job) and not isinstance(error, TooManyBadTilesError) else 0.0


def _may_be_published(job: Job) -> bool:
    """Tell whether a finisher may have found the job's tiles complete, and be about to let readers see them: one of
    this attempt, or a late one of an attempt before, whose tiles this one goes on with."""
    return job.state is State.FINISHING or job.all_chunks_done


def due_for_cleanup(*, jobs: Jobs, clock: Clock) -> Iterator[Job]:
    """Return the jobs whose cleanup is due, the longest due first, as long as there is time.

    All of them, however many: those whose database is away stay due, and do not keep the others from it.
    """
    now, last = clock.now(), None
    while clock.remaining_seconds() >= RESERVE_SECONDS:
        page = jobs.due_for_cleanup(now=now, limit=BATCH, after=last)
        yield from takewhile(lambda _: clock.remaining_seconds() >= RESERVE_SECONDS, page)
        if len(page) < BATCH:
            return
        last = page[-1]


BATCH = 50
# What is left of an invocation then belongs to what comes after.
RESERVE_SECONDS = 25.0


def clean_up(job: Job, *, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    """Delete the unpublished staging collections of an ended job. Safe to retry."""
    if job.is_live or job.cleanup_at is None or job.cleanup_at > clock.now():
        return
    # Of an attempt that began after the last look there is more than what was given up then.
    if job.cleaned_attempt == job.attempt or archive.shows(job):
        # The second look. What readers see is kept: a job that was forced to run again may have failed.
        kept = tuple(generation for generation in job.discarded if not archive.discard(job, generation))
        if job.state is State.DONE and job.destination.mongo_collection is not None:
            archive.discard(job, job.generation)  # readers see it under the other name
        jobs.move(job, cleaned_up(job, kept=kept))
        return
    discarded = discarding(job, next_cleanup_at=clock.now() + LATE_SECONDS)
    if jobs.move(job, discarded):
        archive.discard(job, job.generation)
