"""Cancel, retry and redrive over HTTP."""

import json
from typing import Any

import pytest

from chalicelib.core.errors import MongoUnavailableError
from chalicelib.steps.cleanup import end_with_error
from tests.http.client import Call
from tests.world import World


def body(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_job_is_cancelled_and_retried_by_its_links(world: World, call: Call) -> None:
    job = world.submit()
    links = body(call("GET", f"/jobs/{job.id}"))["links"]
    assert set(links) == {"self", "events", "cancel"}
    answer = call("POST", links["cancel"])
    assert (answer.status_code, body(answer)["state"]) == (200, "cancelled")
    links = body(answer)["links"]
    assert set(links) == {"self", "events", "retry"}
    answer = call("POST", links["retry"])
    assert (answer.status_code, body(answer)["state"], body(answer)["attempt"]) == (202, "queued", 2)
    assert answer.headers["Location"] == f"/jobs/{job.id}"
    assert world.finish(job).attempt == 2
    assert set(body(call("GET", f"/jobs/{job.id}"))["links"]) == {"self", "events", "thumbnail"}


@pytest.mark.parametrize(("verb", "code"), [("cancel", "not_cancellable"), ("retry", "not_retryable")])
def test_impossible_decision_is_a_conflict_with_hint(world: World, call: Call, verb: str, code: str) -> None:
    job = world.finish(world.submit())
    answer = call("POST", f"/jobs/{job.id}/{verb}")
    assert (answer.status_code, body(answer)["code"]) == (409, code)
    assert body(answer)["hint"]


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_cancel_and_retry_require_token_and_job(world: World, call: Call, verb: str) -> None:
    job = world.submit()
    assert call("POST", f"/jobs/{job.id}/{verb}", token=None).status_code == 401
    assert call("POST", f"/jobs/{'f' * 32}/{verb}").status_code == 404
    assert call("POST", f"/jobs/nonsense/{verb}").status_code == 404
    assert world.job(job).attempt == 1


def test_force_restarts_finished_job(world: World, call: Call) -> None:
    job = world.finish(world.submit())
    asked = {"source": str(job.source), "collection": job.destination.collection, "session": job.destination.session}
    assert body(call("POST", "/hooks/upload", asked))["state"] == "done"
    again = body(call("POST", "/hooks/upload", asked | {"force": True}))
    assert (again["id"], again["state"], again["attempt"]) == (job.id, "queued", 2)


def test_redrive_retries_failed_jobs(world: World, call: Call) -> None:
    job = world.submit()
    end_with_error(job, MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    assert call("POST", "/redrive", {}, token=None).status_code == 401
    assert body(call("POST", "/redrive", {})) == {"retried": [], "refused": [], "next": None}
    answer = call("POST", "/redrive", {"codes": [MongoUnavailableError.code], "session": job.destination.session})
    assert (answer.status_code, body(answer)["retried"]) == (202, [job.id])
    assert world.job(job).attempt == 2


def test_redrive_lists_jobs_that_it_refused(world: World, call: Call) -> None:
    job = world.submit()
    end_with_error(job, MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    world.memory_slides.delete(job.source.bucket, job.source.key)
    (refused,) = body(call("POST", "/redrive", {"codes": [MongoUnavailableError.code]}))["refused"]
    assert (refused["id"], refused["code"]) == (job.id, "no_such_source")
    assert refused["hint"]


@pytest.mark.parametrize("asked", [{"codes": []}, {"codes": "all"}, {"session": "x"}, {"cursor": "foreign"}, {"no": 1}])
def test_invalid_redrive_request_is_refused(world: World, call: Call, asked: dict[str, Any]) -> None:
    assert call("POST", "/redrive", asked).status_code == 422
