"""Cleanup: end jobs that cannot be published, and delete their staging collections.

A cleanup first marks the generation as discarded in the job item, then drops its collection. An attempt that starts in
between writes to the next generation, so that tiles of a live attempt are never dropped. A late worker may create a
dropped collection again. It is not published, and a second cleanup drops it.
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

# The lifetime of staged tiles after a transient error. The next attempt reuses them.
KEEP_SECONDS = 24 * 3600.0


def end_with_error(job: Job, error: SlidehookError, *, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    """End a live job with `error`: as `superseded` if its source has changed, else as `failed`.

    Staged tiles are deleted at once if a retry cannot use them. The job is not changed if it has changed since `job`
    was read, or if it is `finishing` and `error` is a SourceError.
    """
    if not job.is_live or (job.state is State.FINISHING and isinstance(error, SourceError)):
        # A finishing job does not read its source. This worker is late, and another one publishes the job.
        return
    now = clock.now()
    cleanup_at = now + _keep_seconds(job, error)
    if job.state is State.FINISHING:
        # An earlier run of `finish` may have switched a view and stopped before it scheduled the cleanup of the
        # replaced jobs.
        for replaced in archive.replaced(job):
            jobs.schedule_cleanup(replaced, now + GRACE_SECONDS)
    transition = superseded if isinstance(error, SourceChangedError) else failed
    ended = transition(job, problem(error), now=now, cleanup_at=cleanup_at)
    if jobs.move(job, ended) and cleanup_at <= now:
        clean_up(jobs.get(job.id) or ended, jobs=jobs, archive=archive, clock=clock)


def cancel(job_id: str, *, jobs: Jobs, archive: Archive, clock: Clock) -> Job:
    """Cancel a job and return it. Safe to retry: a cancelled job is not changed.

    Its workers stop after their current chunk. The published slide does not change. Raises NotFoundError if the job
    does not exist, NotCancellableError if it has ended or is `finishing`, because it may already be published.
    """
    # The job can change its state between read and write, at most once for each state.
    for _ in State:
        job = require_found(job_id, jobs.get(job_id))
        if job.state is State.CANCELLED:
            return job
        if job.state not in UNFINISHED:
            raise NotCancellableError(f"job {job.id} is {job.state} and cannot be cancelled")
        now = clock.now()
        cleanup_at = now + (LATE_SECONDS if _may_be_published(job) else 0.0)
        ended = cancelled(job, now=now, cleanup_at=cleanup_at)
        if jobs.move(job, ended):
            with suppress(TransientError):  # the timer repeats the cleanup
                clean_up(jobs.get(job.id) or ended, jobs=jobs, archive=archive, clock=clock)
            return require_found(job_id, jobs.get(job_id))
    raise NotCancellableError(f"job {job_id} changed its state during each attempt to cancel it", hint="Try again.")


def _keep_seconds(job: Job, error: SlidehookError) -> float:
    """Return the lifetime of the staged tiles of `job` after `error`, in seconds."""
    if not error.permanent:
        return KEEP_SECONDS
    # Concurrent runs of `finish` read the same chunk records, so that all of them raise TooManyBadTilesError.
    return LATE_SECONDS if _may_be_published(job) and not isinstance(error, TooManyBadTilesError) else 0.0


def _may_be_published(job: Job) -> bool:
    """Return whether a concurrent run of `finish` may be publishing the tiles of the job.

    The run can belong to this attempt, or to an earlier one with the same generation.
    """
    return job.state is State.FINISHING or job.all_chunks_done


def due_for_cleanup(*, jobs: Jobs, clock: Clock) -> Iterator[Job]:
    """Yield the jobs whose cleanup is due, the longest due first, until RESERVE_SECONDS remain.

    All pages are read, because jobs whose database is unavailable stay due and would hide the others.
    """
    now, last = clock.now(), None
    while clock.remaining_seconds() >= RESERVE_SECONDS:
        page = jobs.due_for_cleanup(now=now, limit=BATCH, after=last)
        yield from takewhile(lambda _: clock.remaining_seconds() >= RESERVE_SECONDS, page)
        if len(page) < BATCH:
            return
        last = page[-1]


BATCH = 50
# The part of an invocation that is reserved for the tasks after the cleanups.
RESERVE_SECONDS = 25.0


def clean_up(job: Job, *, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    """Delete the unpublished staging collections of an ended job, if its cleanup is due. Safe to retry.

    The first cleanup of an attempt discards its generation and schedules a second one for collections that late workers
    create.
    """
    if job.is_live or job.cleanup_at is None or job.cleanup_at > clock.now():
        return
    if job.cleaned_attempt == job.attempt or archive.shows(job):
        # The second cleanup, or a job that is published: its published generation is kept, and the others are dropped.
        kept = tuple(generation for generation in job.discarded if not archive.discard(job, generation))
        if job.state is State.DONE and job.destination.mongo_collection is not None:
            archive.discard(job, job.generation)  # the tiles were renamed to the named image
        jobs.move(job, cleaned_up(job, kept=kept))
        return
    discarded = discarding(job, next_cleanup_at=clock.now() + LATE_SECONDS)
    if jobs.move(job, discarded):
        archive.discard(job, job.generation)
