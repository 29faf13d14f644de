"""A job's pyramid while it fills up: its map, and the tiles that are staged."""

import hashlib
import json
import re

from chalice.app import Request, Response

from chalicelib.core.errors import NotFoundError
from chalicelib.core.jobs.model import Job, known
from chalicelib.entrypoints.http.auth import may_read, seen_job
from chalicelib.entrypoints.http.jobs import JOB_ID
from chalicelib.entrypoints.http.responses import Headers
from chalicelib.services import Services
from chalicelib.steps.progress_map import fill
from chalicelib.steps.report import fill_report

TILE_NAME = re.compile(r"t[qrst]{0,40}\.jpg")


def show_map(request: Request, system: Services, job_id: str) -> Response:
    job = _seen(request, system, job_id)
    body = json.dumps(fill_report(job, fill(job, jobs=system.jobs, work=system.work)), separators=(",", ":"))
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers: Headers = {"Content-Type": "application/json", "Cache-Control": "private, no-cache", "ETag": etag}
    if etag in str(request.headers.get("if-none-match", "")):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=body, status_code=200, headers=headers)


def show_staged_tile(request: Request, system: Services, job_id: str, name: str) -> Response:
    """A tile of a slide that is not published yet, or has been. Never kept: its next attempt may make another one."""
    job = _seen(request, system, job_id)
    jpeg = None
    if TILE_NAME.fullmatch(name) and job.destination.database:
        jpeg = system.archive.staged_tile(job, name)
        if jpeg is None and job.published is not None:
            jpeg = system.archive.tile(job.published.image_store, job.published.image, name)
    if jpeg is None:
        raise NotFoundError(f"job {job.id} has no tile {name:.64}", hint="It may come while the job is tiling.")
    headers: Headers = {"Content-Type": "image/jpeg", "Cache-Control": "no-store"}
    return Response(body=jpeg, status_code=200, headers=headers)


def _seen(request: Request, system: Services, job_id: str) -> Job:
    caller = may_read(request, system, limited=True)
    return known(job_id, seen_job(caller, system.jobs.get(job_id) if JOB_ID.fullmatch(job_id) else None))
