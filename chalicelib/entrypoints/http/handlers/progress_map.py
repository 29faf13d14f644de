"""The progress map of a job, and its staged tiles."""

import hashlib
import json
import re

from chalice.app import Response

from chalicelib.core.errors import NotFoundError
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.handlers.jobs import require_job
from chalicelib.entrypoints.http.responses import Headers
from chalicelib.entrypoints.http.schemas.job_events import map_document
from chalicelib.steps.progress_map import build_map

TILE_NAME = re.compile(r"t[qrst]{0,40}\.jpg")


def show_map(call: Call, job_id: str) -> Response:
    job = require_job(call, job_id)
    body = json.dumps(map_document(job, call.bind(build_map)(job)), separators=(",", ":"))
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    headers: Headers = {"Content-Type": "application/json", "Cache-Control": "private, no-cache", "ETag": etag}
    if etag in str(call.request.headers.get("if-none-match", "")):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=body, status_code=200, headers=headers)


def show_staged_tile(call: Call, job_id: str, name: str) -> Response:
    """Return a tile of a job, staged or published. It must not be cached: the next attempt may replace it."""
    job, archive = require_job(call, job_id), call.services.archive
    jpeg = None
    if TILE_NAME.fullmatch(name) and job.destination.database:
        jpeg = archive.staged_tile(job, name)
        if jpeg is None and job.published is not None:
            jpeg = archive.tile(job.published.image_store, job.published.image, name)
    if jpeg is None:
        raise NotFoundError(f"job {job.id} has no tile {name:.64}", hint="Try again while the job is tiling.")
    headers: Headers = {"Content-Type": "image/jpeg", "Cache-Control": "no-store"}
    return Response(body=jpeg, status_code=200, headers=headers)
