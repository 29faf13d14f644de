"""Control: user actions on jobs and sessions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.core.errors import SlidehookError, TransientError
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import Job, Problem, State, problem
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs

# Failed jobs that one call reads. Each takes a few requests, and API Gateway limits the duration of a call.
REDRIVE_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """The result of a page of failed jobs: the retried jobs, the refused jobs with the reason, and the cursor of the
    next page, None at the end."""

    retried: tuple[Job, ...]
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
    """Retry the failed jobs of a page whose error has one of `codes`, and return the result.

    `session` limits the jobs to a session. Jobs that the caller may not see (`is_visible`) are skipped. A job that
    `retry` refuses does not stop the rest. Raises InvalidRequestError for an invalid cursor.
    """
    page = jobs.list(state=State.FAILED, session=None, cursor=cursor, limit=REDRIVE_PAGE)
    retried, refused = [], []
    for job in page.jobs:
        if job.error is None or job.error.code not in codes or session not in (None, job.destination.session):
            continue
        if not is_visible(job):
            continue
        try:
            retried.append(retry(job.id))
        except TransientError:
            raise
        except SlidehookError as error:
            refused.append((job, problem(error)))
    return Redriven(retried=tuple(retried), refused=tuple(refused), cursor=page.cursor)


def recreate_session(session: str, *, jobs: Jobs, archive: Archive, clock: Clock) -> int:
    """Remove all views from a session and schedule the cleanup of their slides. Return the number of views.

    The session keeps its id and label. Safe to retry. Raises NoSuchSessionError.
    """
    return remove(session, None, jobs=jobs, archive=archive, clock=clock)


def remove(session: str, views: Sequence[str] | None, *, jobs: Jobs, archive: Archive, clock: Clock) -> int:
    """Remove views (None: all) from a session and schedule the cleanup of their slides.

    Return the number of removed views. Safe to retry: views that the session does not list are ignored. Raises
    NoSuchSessionError.
    """
    shown = archive.shown(session)
    selected = archive.session(session).views if views is None else views
    # Scheduled before the removal, so that a crash in between does not lose the cleanup, and late enough that
    # concurrent workers have ended. The cleanup keeps generations that are still published.
    for job in sorted({job for view in selected if (job := shown.get(view))}):
        jobs.schedule_cleanup(job, clock.now() + LATE_SECONDS)
    return archive.remove_views(session, views)
