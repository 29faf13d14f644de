"""Control: what people decide about jobs and sessions."""

from chalicelib.core.retry import GRACE_SECONDS
from chalicelib.ports import Archive, Clock, Jobs


def recreate_session(session: str, *, jobs: Jobs, archive: Archive, clock: Clock) -> int:
    """Take every view out of a session and let the sweeper have the slides; return how many there were.

    The session keeps its id and label. Raises NoSuchSessionError.
    """
    removed, replaced = archive.empty_session(session)
    for job in replaced:
        jobs.schedule_sweep(job, clock.now() + GRACE_SECONDS)
    return removed
