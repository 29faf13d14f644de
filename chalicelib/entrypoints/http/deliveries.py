"""What was told of a job's ends, and having it told again."""

from chalice.app import Request, Response

from chalicelib.core.errors import CallbacksOffError
from chalicelib.entrypoints.http.auth import may_read, may_submit
from chalicelib.entrypoints.http.jobs import job_for
from chalicelib.entrypoints.http.responses import answered
from chalicelib.services import Services
from chalicelib.steps.deliver import replay
from chalicelib.steps.report import delivery_report


def list_deliveries(request: Request, system: Services, job_id: str) -> Response:
    job = job_for(may_read(request, system, limited=True), system, job_id)
    found = [delivery_report(each) for each in system.deliveries.of_job(job.id)]
    return answered({"deliveries": found}, headers={"Cache-Control": "no-store"})


def replay_delivery(request: Request, system: Services, job_id: str, delivery: str) -> Response:
    """Send a delivery again, whatever became of it, under the same id."""
    job = job_for(may_submit(request, system, limited=True), system, job_id)
    if not system.settings.callback_secrets:
        raise CallbacksOffError("this service sends no callbacks: it has no secret to sign them")
    again = replay(job.id, delivery, deliveries=system.deliveries, queue=system.queue, clock=system.clock)
    return answered(delivery_report(again), status=202, headers={"Location": f"/jobs/{job.id}/deliveries"})
