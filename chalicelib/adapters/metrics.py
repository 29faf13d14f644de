"""Metrics of ended jobs as log lines in the CloudWatch embedded metric format (EMF).

CloudWatch extracts the metrics from the log. The service sends no requests for them.
"""

import json
import sys
from typing import TYPE_CHECKING, TextIO

from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.core.jobs.model import Job, State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

NAMESPACE = "Slidehook"
UNITS = {"JobsEnded": "Count", "Seconds": "Seconds", "Tiles": "Count", "Bytes": "Bytes"}


def line_of(job: Job) -> str:
    """Return the metrics of an ended attempt as one line of JSON, without a newline.

    `Seconds` is the duration of the attempt. Tiles and bytes are set for done jobs only. Job id and error code are
    properties of the line, not dimensions.
    """
    at = job.updated_at if job.ended_at is None else job.ended_at
    values: dict[str, float] = {"JobsEnded": 1, "Seconds": round(max(0.0, at - job.started_at), 3)}
    if job.state is State.DONE:
        values |= {"Tiles": job.tiles_total, "Bytes": job.bytes_total}
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["outcome"], ["hook", "outcome"]],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
    }
    about = {"hook": job.hook, "outcome": job.state.value, "job": job.id, "attempt": job.attempt}
    if job.error is not None:
        about["code"] = job.error.code
    emf = {"_aws": {"Timestamp": round(at * 1000), "CloudWatchMetrics": [directive]}}
    return json.dumps({**emf, **about, **values}, separators=(",", ":"))


class MeasuredJobTable(JobTable):
    """A jobs table that writes metrics of each ended attempt. A writer that loses a conditional write writes none."""

    def __init__(
        self, client: "DynamoDBClient", table: str, *, stores_notifications: bool = False, out: TextIO | None = None
    ) -> None:
        super().__init__(client, table, stores_notifications=stores_notifications)
        self._out = out

    def create(self, job: Job) -> Job:
        stored = super().create(job)
        if stored is job and not job.is_live:
            self._write_metrics(job)
        return stored

    def move(self, was: Job, now: Job) -> bool:
        is_moved = super().move(was, now)
        if is_moved and was.is_live and not now.is_live:
            self._write_metrics(now)
        return is_moved

    def _write_metrics(self, job: Job) -> None:
        # One write for each line, so that lines of several threads do not mix.
        out = self._out or sys.stdout
        out.write(line_of(job) + "\n")
        out.flush()
