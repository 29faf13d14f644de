"""What becomes of jobs, as CloudWatch is told."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.metrics import MeasuredJobTable
from chalicelib.core.jobs.model import State
from chalicelib.ports.jobs import Jobs
from tests.contracts.samples import BUSY, a_job, a_tiling_job, an_ended_job


@pytest.fixture
def recorded() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def jobs(dynamodb: Any, recorded: io.StringIO) -> Jobs:
    return MeasuredJobTable(dynamodb, "jobs", out=recorded)


def lines(recorded: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in recorded.getvalue().splitlines()]


def test_a_done_job_is_told_with_its_tiles_bytes_and_seconds(jobs: Jobs, recorded: io.StringIO) -> None:
    job = replace(a_tiling_job(now=1700000000.0), state=State.FINISHING)
    jobs.create(job)
    assert recorded.getvalue() == ""
    jobs.move(job, replace(job, state=State.DONE, ended_at=1700000012.5))
    (line,) = lines(recorded)
    about = {"hook": "upload", "outcome": "done", "job": job.id, "attempt": 1}
    values = {"JobsEnded": 1, "Seconds": 12.5, "Tiles": 30, "Bytes": 3000}
    assert {name: each for name, each in line.items() if name != "_aws"} == about | values
    assert line["_aws"]["Timestamp"] == 1700000012500
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Slidehook"
    assert directive["Dimensions"] == [["outcome"], ["hook", "outcome"]]
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        "JobsEnded": "Count", "Seconds": "Seconds", "Tiles": "Count", "Bytes": "Bytes",
    }  # fmt: skip


def test_a_failed_job_is_told_with_its_code_and_no_tiles(jobs: Jobs, recorded: io.StringIO) -> None:
    job = a_tiling_job()
    jobs.create(job)
    jobs.move(job, replace(job, state=State.FAILED, ended_at=job.started_at + 1, error=BUSY))
    (line,) = lines(recorded)
    assert (line["outcome"], line["code"], line["JobsEnded"]) == ("failed", "mongodb_unavailable", 1)
    assert "Tiles" not in line
    assert {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]} == {"JobsEnded", "Seconds"}


def test_who_loses_the_move_tells_nothing(jobs: Jobs, recorded: io.StringIO) -> None:
    job = a_job()
    jobs.create(job)
    ended = replace(job, state=State.CANCELLED, ended_at=job.started_at)
    assert jobs.move(job, ended)
    assert not jobs.move(job, replace(job, state=State.FAILED, ended_at=job.started_at))
    jobs.move(ended, replace(ended, cleanup_at=1.0))
    assert [line["outcome"] for line in lines(recorded)] == ["cancelled"]


def test_a_job_that_is_refused_as_it_arrives_is_told_once(jobs: Jobs, recorded: io.StringIO) -> None:
    jobs.create(an_ended_job(error=BUSY))
    jobs.create(an_ended_job(error=BUSY))
    assert [line["outcome"] for line in lines(recorded)] == ["failed"]


def test_it_is_told_on_standard_output(dynamodb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    MeasuredJobTable(dynamodb, "jobs").create(an_ended_job())
    assert json.loads(capsys.readouterr().out)["JobsEnded"] == 1
