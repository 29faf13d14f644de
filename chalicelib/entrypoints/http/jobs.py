"""Jobs: how they are, and what can be done to them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial

from chalice.app import Request, Response

from chalicelib.core.access import Caller
from chalicelib.core.errors import InvalidRequestError
from chalicelib.core.history import MAX_EVENTS
from chalicelib.core.job import Job, State, known
from chalicelib.entrypoints.callbacks import tell
from chalicelib.entrypoints.http.access import may_administer, may_read, may_submit, seen_job
from chalicelib.entrypoints.http.answers import accepted, answered, body_of, limit_in, object_id_in, status_of
from chalicelib.hooks import validated
from chalicelib.hooks.redrive import RedriveParameters
from chalicelib.ports import JobPage
from chalicelib.steps.control import redrive
from chalicelib.steps.orphans import orphans
from chalicelib.steps.report import POLL_SECONDS, events_report
from chalicelib.steps.settle import cancel
from chalicelib.steps.submit import retry
from chalicelib.wiring import System

MAX_PAGE = 100
JOB_ID = re.compile(r"[0-9a-f]{32}")


def show_job(request: Request, system: System, job_id: str) -> Response:
    job = job_for(may_read(request, system, limited=True), system, job_id)
    headers = {"Retry-After": str(POLL_SECONDS)} if job.is_live else {}
    return answered(status_of(job, system), headers={"Cache-Control": "no-store", **headers})


def show_events(request: Request, system: System, job_id: str) -> Response:
    """What happened to a job, line by line: those behind the place `after`, the newest last."""
    job = job_for(may_read(request, system, limited=True), system, job_id)
    query: Mapping[str, str] = request.query_params or {}
    page = system.events.list(
        job.id, after=query.get("after") or None, limit=limit_in(query.get("limit"), most=MAX_EVENTS, usual=MAX_EVENTS)
    )
    return answered(events_report(job, page), headers={"Cache-Control": "no-store"})


def cancel_job(request: Request, system: System, job_id: str) -> Response:
    job = job_for(may_submit(request, system, limited=True), system, job_id)
    job = cancel(job.id, jobs=system.jobs, archive=system.archive, clock=system.clock)
    tell(job.id, job.attempt, system)
    return answered(status_of(job, system))


def retry_job(request: Request, system: System, job_id: str) -> Response:
    job = job_for(may_submit(request, system, limited=True), system, job_id)
    return accepted(_retry(system)(job.id), system)


def redrive_jobs(request: Request, system: System) -> Response:
    """Retry failed jobs, a page of them a call; `next` goes on where it ended."""
    caller = may_administer(request, system, limited=True)
    asked = validated(RedriveParameters, body_of(request))
    found = redrive(
        _retry(system), codes=asked.codes, session=asked.session, cursor=asked.cursor, jobs=system.jobs,
        is_seen=lambda job: caller.sees(job.destination.collection),
    )  # fmt: skip
    refused = [{"id": job.id, "code": why.code, "message": why.message, "hint": why.hint} for job, why in found.refused]
    return answered({"retried": [job.id for job in found.again], "refused": refused, "next": found.cursor}, status=202)


def show_orphans(request: Request, system: System) -> Response:
    """What ended jobs have left behind for good, a page of jobs a call; `next` goes on."""
    may_administer(request, system)
    return _orphans(request, system, drop=False)


def drop_orphans(request: Request, system: System) -> Response:
    may_administer(request, system)
    return _orphans(request, system, drop=True)


def _orphans(request: Request, system: System, *, drop: bool) -> Response:
    query: Mapping[str, str] = request.query_params or {}
    found = orphans(drop=drop, cursor=query.get("cursor") or None, jobs=system.jobs, archive=system.archive)
    told = [asdict(orphan) for orphan in found.found]
    return answered({"orphans": told, "jobs": found.jobs, "next": found.cursor}, headers={"Cache-Control": "no-store"})


def _retry(system: System) -> Callable[[str], Job]:
    return partial(
        retry, source_buckets=system.settings.source_buckets,
        slides=system.slides, jobs=system.jobs, archive=system.archive, queue=system.queue, clock=system.clock,
    )  # fmt: skip


def job_for(caller: Caller, system: System, job_id: str) -> Job:
    """Return a job that is there for the caller. Raises NotFoundError, the same whether there is one or not."""
    return known(job_id, seen_job(caller, system.jobs.get(job_id) if JOB_ID.fullmatch(job_id) else None))


def list_jobs(request: Request, system: System) -> Response:
    caller = may_read(request, system, limited=True)
    query: Mapping[str, str] = request.query_params or {}
    page = _page(
        caller,
        system,
        state=_state(query.get("state")),
        session=object_id_in(query["session"], "session") if query.get("session") else None,
        cursor=query.get("cursor") or None,
        limit=limit_in(query.get("limit"), most=MAX_PAGE),
    )
    jobs = [status_of(job, system) for job in page.jobs]
    return answered({"jobs": jobs, "next": page.cursor}, headers={"Cache-Control": "no-store"})


def _page(
    caller: Caller, system: System, *, state: State | None, session: str | None, cursor: str | None, limit: int
) -> JobPage:
    """Return a page of the jobs that are there for the caller. Of a listing that is mostly of others it may be short,
    with a cursor all the same."""
    found: tuple[Job, ...] = ()
    for _ in range(LOOKS_FOR_A_PAGE):
        page = system.jobs.list(state=state, session=session, cursor=cursor, limit=limit - len(found))
        found += tuple(job for job in page.jobs if seen_job(caller, job) is not None)
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            break
    return JobPage(jobs=found, cursor=cursor)


LOOKS_FOR_A_PAGE = 10


def _state(text: str | None) -> State | None:
    try:
        return State(text) if text else None
    except ValueError:
        known = ", ".join(State)
        raise InvalidRequestError(f"{text!r} is no state", hint=f"The states are: {known}.") from None
