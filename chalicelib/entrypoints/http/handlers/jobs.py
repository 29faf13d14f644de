"""Jobs: their status, their events, and the actions on them."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace

from chalice.app import Response

from chalicelib.core.jobs.model import Job, State, require_found
from chalicelib.entrypoints.callbacks import notify
from chalicelib.entrypoints.http.caching import etag, has_already, preferred_wait_seconds, wait_for_change
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.queries import EventsQuery, ListQuery, OrphansQuery
from chalicelib.entrypoints.http.responses import POLL_SECONDS, conditional_json, json_response
from chalicelib.entrypoints.http.schemas.job_events import events_document
from chalicelib.entrypoints.http.schemas.job_lists import RedriveParameters, redrive_result
from chalicelib.entrypoints.http.schemas.jobs import job_document, job_summary
from chalicelib.ports.jobs import JobPage
from chalicelib.steps.cleanup import cancel
from chalicelib.steps.control import redrive
from chalicelib.steps.orphans import orphans
from chalicelib.steps.submit import retry
from chalicelib.steps.visibility import visible_job

JOB_ID = re.compile(r"[0-9a-f]{32}")
NO_STORE = {"Cache-Control": "no-store"}
# Counting a state is one query of keys; beyond this number the count is a lower bound.
MAX_COUNT = 1000


def show_job(call: Call, job_id: str) -> Response:
    """Return the status of a job. A client that prefers to wait receives it when the job ends or changes."""

    def look() -> Job:
        return require_job(call, job_id)

    def has_changed(job: Job) -> bool:
        has_tag = "if-none-match" in call.request.headers
        return not job.is_live or (has_tag and not has_already(call.request, tag_of(job)))

    seconds = preferred_wait_seconds(call.request)
    job = wait_for_change(look, has_changed, seconds=seconds, clock=call.services.clock)
    headers = {"Retry-After": str(POLL_SECONDS)} if job.is_live else {}
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds}"
    return conditional_json(call.request, _document(call, job), tag_of(job), headers=headers)


def show_events(call: Call, job_id: str, *, query: EventsQuery) -> Response:
    job = require_job(call, job_id)
    page = call.services.events.list(job.id, after=query.cursor, limit=query.limit)
    return json_response(events_document(job, page), headers=NO_STORE)


def cancel_job(call: Call, job_id: str) -> Response:
    job = call.bind(cancel)(require_job(call, job_id).id)
    notify(job.id, job.attempt, call.services)
    return json_response(_document(call, job))


def retry_job(call: Call, job_id: str) -> Response:
    return job_accepted(call, call.bind(retry)(require_job(call, job_id).id))


def redrive_jobs(call: Call, *, body: RedriveParameters) -> Response:
    """Retry the failed jobs of a page; `next` is the cursor of the next page."""
    found = call.bind(redrive)(
        call.bind(retry),
        codes=body.codes,
        session=body.session,
        cursor=body.cursor,
        is_visible=lambda job: visible_job(call.caller, job) is not None,
    )
    return json_response(redrive_result(found), status=202)


def show_orphans(call: Call, *, query: OrphansQuery) -> Response:
    return _orphans(call, query, drop=False)


def drop_orphans(call: Call, *, query: OrphansQuery) -> Response:
    return _orphans(call, query, drop=True)


def _orphans(call: Call, query: OrphansQuery, *, drop: bool) -> Response:
    page = call.bind(orphans)(drop=drop, cursor=query.cursor or None)
    found = [asdict(orphan) for orphan in page.found]
    return json_response({"orphans": found, "jobs": page.jobs, "next": page.cursor}, headers=NO_STORE)


def list_jobs(call: Call, *, query: ListQuery) -> Response:
    only = query.job_filter()
    page = JobPage(jobs=(), cursor=None)
    visible = call.caller.collections
    if visible is not None:
        only = replace(only, collections=(only.collections or visible) & visible)
    if visible is None or only.collections:
        page = call.services.jobs.list(
            state=None, session=query.session, cursor=query.cursor, limit=query.limit, only=only
        )
    tag = etag([job_summary(job, now=job.updated_at) for job in page.jobs], page.cursor)
    jobs = [_status(job_summary, call, job) for job in page.jobs]
    return conditional_json(call.request, {"jobs": jobs, "next": page.cursor}, tag)


def count_jobs(call: Call) -> Response:
    counts = {state.value: call.services.jobs.count(state, limit=MAX_COUNT + 1) for state in State}
    body = {state: {"count": min(found, MAX_COUNT), "is_exact": found <= MAX_COUNT} for state, found in counts.items()}
    return json_response({"counts": body}, headers=NO_STORE)


def require_job(call: Call, job_id: str) -> Job:
    """Return a job that the caller may see. Raises NotFoundError, the same if the job does not exist."""
    stored = call.services.jobs.get(job_id) if JOB_ID.fullmatch(job_id) else None
    return require_found(job_id, visible_job(call.caller, stored))


def job_accepted(call: Call, job: Job) -> Response:
    """Return the 202 response for a job."""
    headers = {"Location": f"/jobs/{job.id}", "Retry-After": str(POLL_SECONDS)}
    return json_response(_document(call, job), status=202, headers=headers)


def tag_of(job: Job) -> str:
    """Return the ETag of the status of a job: it depends on everything but the time of the request."""
    return etag(job_document(job, now=job.updated_at))


def _document(call: Call, job: Job) -> dict[str, object]:
    return _status(job_document, call, job)


def _status(build: Callable[..., dict[str, object]], call: Call, job: Job) -> dict[str, object]:
    services = call.services
    return build(job, now=services.clock.now(), has_subscriber=job.hook in services.settings.callback_urls)
