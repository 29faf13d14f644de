"""Jobs: how they are, and what can be done to them."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

from chalice.app import Request, Response

from chalicelib.core.jobs.model import Job, State, known
from chalicelib.core.web.auth import Caller
from chalicelib.entrypoints.callbacks import tell
from chalicelib.entrypoints.http.auth import may_administer, may_read, may_submit, seen_job
from chalicelib.entrypoints.http.caching import awaited, etag, has_already, preferred_wait_seconds, tag_of
from chalicelib.entrypoints.http.queries import EventsQuery, ListQuery, OrphansQuery, asked
from chalicelib.entrypoints.http.responses import accepted, answered, body_of, conditional_json, status_of
from chalicelib.hooks import validated
from chalicelib.hooks.redrive import RedriveParameters
from chalicelib.ports.jobs import JobPage
from chalicelib.services import Services
from chalicelib.steps.cleanup import cancel
from chalicelib.steps.control import redrive
from chalicelib.steps.orphans import orphans
from chalicelib.steps.report import POLL_SECONDS, events_report
from chalicelib.steps.submit import retry

JOB_ID = re.compile(r"[0-9a-f]{32}")


def show_job(request: Request, system: Services, job_id: str) -> Response:
    """A job's status. Who would wait gets it when the job has ended, or when it is not what they have already."""
    caller = may_read(request, system, limited=True)

    def look() -> Job:
        return job_for(caller, system, job_id)

    def is_news(job: Job) -> bool:
        return not job.is_live or ("if-none-match" in request.headers and not has_already(request, tag_of(job)))

    seconds = preferred_wait_seconds(request)
    job = awaited(look, is_news, seconds=seconds, clock=system.clock)
    headers = {"Retry-After": str(POLL_SECONDS)} if job.is_live else {}
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds}"
    return conditional_json(request, status_of(job, system), tag_of(job), headers=headers)


def show_events(request: Request, system: Services, job_id: str) -> Response:
    """What happened to a job, line by line: those behind the place `after`, the newest last."""
    job = job_for(may_read(request, system, limited=True), system, job_id)
    query = asked(EventsQuery, request)
    page = system.events.list(job.id, after=query.after, limit=query.limit)
    return answered(events_report(job, page), headers={"Cache-Control": "no-store"})


def cancel_job(request: Request, system: Services, job_id: str) -> Response:
    job = job_for(may_submit(request, system, limited=True), system, job_id)
    job = cancel(job.id, jobs=system.jobs, archive=system.archive, clock=system.clock)
    tell(job.id, job.attempt, system)
    return answered(status_of(job, system))


def retry_job(request: Request, system: Services, job_id: str) -> Response:
    job = job_for(may_submit(request, system, limited=True), system, job_id)
    return accepted(_retry(system)(job.id), system)


def redrive_jobs(request: Request, system: Services) -> Response:
    """Retry failed jobs, a page of them a call; `next` goes on where it ended."""
    caller = may_administer(request, system, limited=True)
    wanted = validated(RedriveParameters, body_of(request))
    found = redrive(
        _retry(system), codes=wanted.codes, session=wanted.session, cursor=wanted.cursor, jobs=system.jobs,
        is_seen=lambda job: caller.sees(job.destination.collection),
    )  # fmt: skip
    refused = [{"id": job.id, "code": why.code, "message": why.message, "hint": why.hint} for job, why in found.refused]
    return answered({"retried": [job.id for job in found.again], "refused": refused, "next": found.cursor}, status=202)


def show_orphans(request: Request, system: Services) -> Response:
    """What ended jobs have left behind for good, a page of jobs a call; `next` goes on."""
    may_administer(request, system)
    return _orphans(request, system, drop=False)


def drop_orphans(request: Request, system: Services) -> Response:
    may_administer(request, system)
    return _orphans(request, system, drop=True)


def _orphans(request: Request, system: Services, *, drop: bool) -> Response:
    query = asked(OrphansQuery, request)
    found = orphans(drop=drop, cursor=query.cursor or None, jobs=system.jobs, archive=system.archive)
    told = [asdict(orphan) for orphan in found.found]
    return answered({"orphans": told, "jobs": found.jobs, "next": found.cursor}, headers={"Cache-Control": "no-store"})


def _retry(system: Services) -> Callable[[str], Job]:
    return partial(
        retry, source_buckets=system.settings.source_buckets,
        slides=system.slides, jobs=system.jobs, archive=system.archive, queue=system.queue, clock=system.clock,
    )  # fmt: skip


def job_for(caller: Caller, system: Services, job_id: str) -> Job:
    """Return a job that is there for the caller. Raises NotFoundError, the same whether there is one or not."""
    return known(job_id, seen_job(caller, system.jobs.get(job_id) if JOB_ID.fullmatch(job_id) else None))


def list_jobs(request: Request, system: Services) -> Response:
    caller = may_read(request, system, limited=True)
    query = asked(ListQuery, request)
    only = query.selection()
    page = JobPage(jobs=(), cursor=None)
    if caller.collections is not None:
        only = replace(only, collections=(only.collections or caller.collections) & caller.collections)
    if caller.collections is None or only.collections:
        page = system.jobs.list(state=None, session=query.session, cursor=query.cursor, limit=query.limit, only=only)
    jobs = [status_of(job, system) for job in page.jobs]
    tag = etag([tag_of(job) for job in page.jobs], page.cursor)
    return conditional_json(request, {"jobs": jobs, "next": page.cursor}, tag)


def count_jobs(request: Request, system: Services) -> Response:
    """How many jobs are in each state. Where there are very many, that there are at least so many."""
    may_read(request, system)
    counts = {state.value: system.jobs.count(state, most=COUNTED_TO + 1) for state in State}
    body = {
        state: {"count": min(found, COUNTED_TO), "is_exact": found <= COUNTED_TO} for state, found in counts.items()
    }
    return answered({"counts": body}, headers={"Cache-Control": "no-store"})


# One request to the table for each state, of keys only.
COUNTED_TO = 1000
