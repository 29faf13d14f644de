"""Callback deliveries of a job."""

from chalice.app import Response

from chalicelib.core.errors import CallbacksDisabledError
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.handlers.jobs import require_job
from chalicelib.entrypoints.http.responses import json_response
from chalicelib.entrypoints.http.schemas.deliveries import delivery_document
from chalicelib.steps.deliver import replay


def list_deliveries(call: Call, job_id: str) -> Response:
    job = require_job(call, job_id)
    found = [delivery_document(each) for each in call.services.deliveries.of_job(job.id)]
    return json_response({"deliveries": found}, headers={"Cache-Control": "no-store"})


def replay_delivery(call: Call, job_id: str, delivery: str) -> Response:
    """Send a delivery again under the same id, whatever its state."""
    job = require_job(call, job_id)
    if not call.services.settings.callback_secrets:
        raise CallbacksDisabledError("this service sends no callbacks: it has no secret to sign them")
    replayed = call.bind(replay)(job.id, delivery)
    return json_response(delivery_document(replayed), status=202, headers={"Location": f"/jobs/{job.id}/deliveries"})
