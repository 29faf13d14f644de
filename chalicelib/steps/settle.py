"""Settle: end what cannot be published, and clear away what it left.

The sweeper gives a generation up in the job's item first and drops its collection second. An attempt that begins
meanwhile writes to the next generation, so no tile of a living one is ever dropped. Workers that wake up late may
write to a dropped name again; nobody reads it, and the sweeper comes back once.
"""

from chalicelib.core.errors import SlidehookError, SourceChangedError
from chalicelib.core.job import Job, discarding, failed, problem, superseded, swept
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
    sweep_at = now if error.permanent else now + KEEP_SECONDS
    end = superseded if isinstance(error, SourceChangedError) else failed
    ended = end(job, problem(error), now=now, sweep_at=sweep_at)
    if jobs.move(job, ended) and error.permanent:
        sweep(jobs.get(job.id) or ended, jobs=jobs, archive=archive, clock=clock)


def sweep(job: Job, *, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    """Drop what an ended job staged and nobody sees. Harmless to repeat."""
    if job.is_live or job.sweep_at is None or job.sweep_at > clock.now():
        return
    for generation in job.discarded:  # the second look
        archive.discard(job, generation)
    # Of an attempt that began after the first look there is more than that.
    if job.swept_attempt == job.attempt or archive.shows(job):
        jobs.move(job, swept(job))
        return
    given_up = discarding(job, look_again_at=clock.now() + LATE_SECONDS)
    if jobs.move(job, given_up):
        archive.discard(job, job.generation)
