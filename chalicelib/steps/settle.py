"""Settle: end what cannot be published, and clear away what it left.

The sweeper gives a generation up in the job's item first and drops its collection second. An attempt that begins
meanwhile writes to the next generation, so no tile of a living one is ever dropped. Workers that wake up late may
write to a dropped name again; nobody reads it, and the sweeper comes back once.
"""

from chalicelib.core.errors import SlidehookError, SourceChangedError, TooManyBadTilesError
from chalicelib.core.job import Job, State, discarding, failed, problem, superseded, swept
from chalicelib.core.retry import LATE_SECONDS
from chalicelib.ports import Archive, Clock, Jobs

# What a transient failure left is kept for the next attempt, which does only what is missing.
KEEP_SECONDS = 24 * 3600.0


def settle(job: Job, error: SlidehookError, *, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    """End a live job because of `error`: `superseded` if its source changed, else `failed`.

    Leftovers go at once if trying again cannot use them. Does nothing if the job is not where `job` has it any more.
    """
    if not job.is_live:
        return
    now = clock.now()
    sweep_at = now + _keep_seconds(job, error)
    end = superseded if isinstance(error, SourceChangedError) else failed
    ended = end(job, problem(error), now=now, sweep_at=sweep_at)
    if jobs.move(job, ended) and sweep_at <= now:
        sweep(jobs.get(job.id) or ended, jobs=jobs, archive=archive, clock=clock)


def _keep_seconds(job: Job, error: SlidehookError) -> float:
    """Return how long what `job` has staged stays when `error` ends it."""
    if not error.permanent:
        return KEEP_SECONDS
    # Another finisher may have found the tiles complete, and be about to let readers see them. What the records of the
    # chunks say, it was told as well.
    may_be_seen = job.state is State.FINISHING and not isinstance(error, TooManyBadTilesError)
    return LATE_SECONDS if may_be_seen else 0.0


def sweep(job: Job, *, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    """Drop what an ended job staged and nobody sees. Harmless to repeat."""
    if job.is_live or job.sweep_at is None or job.sweep_at > clock.now():
        return
    # Of an attempt that began after the last look there is more than what was given up then.
    if job.swept_attempt == job.attempt or archive.shows(job):
        for generation in job.discarded:  # the second look
            archive.discard(job, generation)
        if job.state is State.DONE and job.destination.mongo_collection is not None:
            archive.discard(job, job.generation)  # readers see it under the other name
        jobs.move(job, swept(job))
        return
    given_up = discarding(job, look_again_at=clock.now() + LATE_SECONDS)
    if jobs.move(job, given_up):
        archive.discard(job, job.generation)
