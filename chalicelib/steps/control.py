"""Control: what people decide about jobs and sessions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.core.errors import SlidehookError, TransientError
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import Job, Problem, State, problem
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs

# So many failed jobs one call looks at: each costs a few requests, and the call has to be answered in time.
REDRIVE_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """What became of a page of failed jobs: those that run again, those that do not and why, and where to go on."""

    again: tuple[Job, ...]
    refused: tuple[tuple[Job, Problem], ...]
    cursor: str | None


def redrive(
    retry: Callable[[str], Job],
    *,
    codes: Sequence[str],
    session: str | None,
    cursor: str | None,
    jobs: Jobs,
    is_visible: Callable[[Job], bool] = lambda _: True,
) -> Redriven:
    """`retry` the failed jobs of a page whose error has one of `codes`, of all sessions or one; those that the caller
    may not see (`is_visible`) are skipped.

    One that is refused does not keep the others. Raises InvalidRequestError for a foreign cursor.
    """
    page = jobs.list(state=State.FAILED, session=None, cursor=cursor, limit=REDRIVE_PAGE)
    again, refused = [], []
    for job in page.jobs:
        if job.error is None or job.error.code not in codes or session not in (None, job.destination.session):
            continue
        if not is_visible(job):
            continue
        try:
            again.append(retry(job.id))
        except TransientError:
            raise
        except SlidehookError as error:
            refused.append((job, problem(error)))
    return Redriven(again=tuple(again), refused=tuple(refused), cursor=page.cursor)


def recreate_session(session: str, *, jobs: Jobs, archive: Archive, clock: Clock) -> int:
    """Remove all views from a session and schedule the cleanup of their slides. Return the number of views.

    The session keeps its id and label. Raises NoSuchSessionError.
    """
    return remove(session, None, jobs=jobs, archive=archive, clock=clock)


def remove(session: str, views: Sequence[str] | None, *, jobs: Jobs, archive: Archive, clock: Clock) -> int:
    """Remove views (None: all) from a session and schedule the cleanup of their slides, after their readers have had
    time to look elsewhere. Return how many there were; those that are not there are gone already.

    Raises NoSuchSessionError.
    """
    shown = archive.shown(session)
    wanted = archive.session(session).views if views is None else views
    # Scheduled before the removal, so that a crash in between leaves nothing behind, and late enough that concurrent
    # workers have ended. The cleanup keeps generations that are still published.
    for job in sorted({job for view in wanted if (job := shown.get(view))}):
        jobs.schedule_cleanup(job, clock.now() + LATE_SECONDS)
    return archive.remove_views(session, views)
