"""The events of a job over HTTP and in the log: what happened, in which worker, and on which request."""

import json
import logging
import sys
from typing import Any

import pytest

from chalicelib.adapters.event_recording import EventRecordingJobs
from chalicelib.adapters.request_context import JsonLines, request_context
from chalicelib.core.errors import MongoUnavailableError, UnsupportedError
from chalicelib.core.jobs.events import MAX_EVENTS, Event
from chalicelib.core.jobs.model import Job, State
from chalicelib.entrypoints import consumers
from chalicelib.steps.cleanup import KEEP_SECONDS, end_with_error
from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, SESSION, World, sqs_event

ASKED = {"source": f"s3://{BUCKET}/slide.svs", "collection": COLLECTION, "session": SESSION}


def lines(call: Call, job_id: str, query: str = "") -> list[dict[str, Any]]:
    answer = call("GET", f"/jobs/{job_id}/events{query}")
    assert answer.status_code == 200, answer.body
    found: list[dict[str, Any]] = answer.json_body["events"]
    return found


def names(call: Call, job: Job) -> list[str]:
    return [line["event"] for line in lines(call, job.id)]


def submitted(world: World, call: Call, **asked: Any) -> tuple[Job, str]:
    """Submit the slide over HTTP. Returns its job and the request id."""
    answer = call("POST", "/hooks/upload", ASKED | asked)
    assert answer.status_code == 202, answer.body
    job = world.memory_jobs.get(answer.json_body["id"])
    assert job is not None
    return job, answer.headers["X-Request-Id"]


def test_request_id_appears_in_every_event_of_job(world: World, call: Call) -> None:
    job, request_id = submitted(world, call)
    world.finish(job)
    recorded = lines(call, job.id)
    chunks = [line for line in recorded if line["event"] == "chunk"]
    assert [line["event"] for line in recorded if line["event"] != "chunk"] == [
        "submitted", "planning", "planned", "finishing", "published",
    ]  # fmt: skip
    done = world.job(job)
    assert {line["chunk"] for line in chunks} == set(range(done.chunks_total))
    assert sum(line["tiles"] for line in chunks) == done.tiles_total
    assert {line["request_id"] for line in recorded} == {request_id}
    assert {line["worker"] for line in recorded} == {"worker-1"}
    planned = next(line for line in recorded if line["event"] == "planned")
    assert (planned["levels"], planned["chunks"], planned["tiles"]) == (
        len(done.levels), done.chunks_total, done.tiles_total,
    )  # fmt: skip
    assert [line["entrypoint"] for line in recorded][:2] == ["call_hook", "plan"]
    assert recorded[0]["at"].endswith("Z")
    status = call("GET", f"/jobs/{job.id}").json_body
    assert (status["request_id"], status["links"]["events"]) == (request_id, f"/jobs/{job.id}/events")
    assert [attempt["worker"] for attempt in status["attempts"]] == ["worker-1"]


def test_events_name_request_and_reason_of_each_attempt(world: World, call: Call) -> None:
    job, first = submitted(world, call)
    end_with_error(job, MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    world.memory_queue.sent.clear()
    retried = call("POST", f"/jobs/{job.id}/retry")
    world.finish(job)
    recorded = lines(call, job.id)
    failed = next(line for line in recorded if line["event"] == "failed")
    assert (failed["attempt"], failed["code"], failed["message"]) == (1, MongoUnavailableError.code, "away")
    assert failed["hint"]
    again = next(line for line in recorded if line["event"] == "requeued")
    assert (again["attempt"], again["message"], again["entrypoint"]) == (2, "after failed", "retry_job")
    second = retried.headers["X-Request-Id"]
    assert first != second
    assert {line["request_id"] for line in recorded if line["attempt"] == 2} == {second}


def test_error_rescue_cancel_and_cleanup_are_recorded(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = submitted(world, call)

    def unavailable(*_: object) -> None:
        raise MongoUnavailableError("MongoDB did not answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.memory_archive, "stage", unavailable)
        assert world.deliver(world.memory_queue.sent.pop(0)) == ["message-0"]
    world.clock.advance(91)
    world.minute()
    call("POST", f"/jobs/{job.id}/cancel")
    assert names(call, job) == ["submitted", "planning", "transient_error", "rescued", "cancelled", "cleaned_up"]
    recorded = {line["event"]: line for line in lines(call, job.id)}
    assert (recorded["transient_error"]["code"], recorded["transient_error"]["entrypoint"]) == (
        MongoUnavailableError.code,
        "plan",
    )
    assert recorded["rescued"]["entrypoint"] == "minute"
    assert recorded["cancelled"]["entrypoint"] == "cancel_job"
    # Events after the end of the job are in the log only.
    world.run()
    assert len(names(call, job)) == 6


def test_dead_letter_is_recorded_as_failed_event(world: World, call: Call) -> None:
    job, request_id = submitted(world, call)
    body = json.dumps({"step": "plan", "job": job.id, "attempt": 1, "chunk": None})
    consumers.on_dead_letters(sqs_event([body]), world.services)
    last, cleaned_up = lines(call, job.id)[-2:]
    assert cleaned_up["event"] == "cleaned_up"
    assert (last["event"], last["code"], last["entrypoint"], last["request_id"]) == (
        "failed", "retries_exhausted", "dead letters", request_id,
    )  # fmt: skip


def test_s3_event_is_recorded_with_its_message_id(world: World, call: Call) -> None:
    key = f"{COLLECTION}/{SESSION}/a.svs"
    world.put(write(Slide(width_px=300, height_px=200)), key)
    for name in (key, "nowhere.svs"):
        thing = {"key": name, "size": 1, "eTag": "claimed"}
        record = {
            "eventName": "ObjectCreated:Put", "eventTime": "2026-01-02T03:04:05Z",
            "s3": {"bucket": {"name": BUCKET}, "object": thing},
        }  # fmt: skip
        consumers.on_arrivals(sqs_event([json.dumps({"Records": [record]})]), world.services)
    recorded = [lines(call, job.id)[0] for job in sorted(world.memory_jobs._jobs.values(), key=lambda job: job.state)]
    assert [(line["event"], line["entrypoint"], line["request_id"]) for line in recorded] == [
        ("failed", "arrivals", "message-0"), ("submitted", "arrivals", "message-0"),
    ]  # fmt: skip


def test_submit_by_sync_is_recorded_with_sync_id(world: World, call: Call) -> None:
    started = call("POST", "/hooks/sync", {"prefix": f"s3://{BUCKET}/", "collection": COLLECTION, "session": SESSION})
    world.run()
    (job,) = world.memory_jobs._jobs.values()
    assert {line["request_id"] for line in lines(call, job.id)} == {f"sync {started.json_body['id']} run 1"}


def test_automatic_submit_keeps_request_id(world: World, call: Call) -> None:
    job, request_id = submitted(world, call)
    world.put(write(Slide(width_px=300, height_px=200, seed=5)))
    world.run()
    newer = next(each for each in world.memory_jobs._jobs.values() if each.id != job.id)
    first = lines(call, newer.id)[0]
    assert (first["event"], first["request_id"], first["message"]) == ("submitted", request_id, f"(for job {job.id})")
    assert names(call, job)[-2:] == ["superseded", "cleaned_up"]


def test_repair_is_recorded_with_its_verification(world: World, call: Call) -> None:
    job, _ = submitted(world, call)
    world.finish(job)
    world.memory_archive.tiles["tiles", world.job(job).image].popitem()
    verified = call("POST", "/hooks/verify", {"job": job.id, "repair": True})
    world.run()
    recorded = lines(call, verified.json_body["id"])
    assert (recorded[-1]["event"], recorded[-1]["message"]) == ("verified", "1 missing")
    again = next(line for line in lines(call, job.id) if line["event"] == "requeued")
    assert again["message"] == f"after done, from the beginning (for job {verified.json_body['id']})"
    assert again["request_id"] == verified.headers["X-Request-Id"]
    assert world.job(job).state is State.DONE


def test_events_are_paged_by_cursor(world: World, call: Call) -> None:
    job, _ = submitted(world, call)
    world.finish(job)
    everything = lines(call, job.id)
    first = call("GET", f"/jobs/{job.id}/events?limit=2").json_body
    assert first["events"] == everything[:2]
    rest = call("GET", f"/jobs/{job.id}/events?cursor={first['next']}").json_body
    assert rest["events"] == everything[2:]
    assert lines(call, job.id, f"?cursor={rest['next']}") == []


@pytest.mark.parametrize("query", ["?cursor=x", "?limit=0", "?limit=1001", "?limit=x", "?limit=" + "9" * 5000])
def test_invalid_events_query_is_refused(world: World, call: Call, query: str) -> None:
    job, _ = submitted(world, call)
    assert call("GET", f"/jobs/{job.id}/events{query}").status_code == 422


def test_events_of_unknown_job_are_not_found(call: Call) -> None:
    assert call("GET", f"/jobs/{'f' * 32}/events").status_code == 404
    assert call("GET", "/jobs/nonsense/events").status_code == 404


def test_failing_event_store_does_not_stop_job(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Event) -> None:
        raise RuntimeError("no table")

    monkeypatch.setattr(world.events, "append", broken)
    job, _ = submitted(world, call)
    with caplog.at_level(logging.WARNING):
        assert world.finish(job).state is State.DONE
    assert "job event not stored" in caplog.text
    assert lines(call, job.id) == []


def test_events_of_repeating_job_are_bounded(world: World, call: Call) -> None:
    job, _ = submitted(world, call)
    for number in range(MAX_EVENTS + 50):
        world.events.append(Event(job=job.id, at=float(number), attempt=1, event="transient_error"))
    end_with_error(job, MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    submitted(world, call)
    found = lines(call, job.id)
    assert (len(found), found[-1]["event"]) == (MAX_EVENTS, "requeued")
    for number in range(MAX_EVENTS):
        world.events.append(Event(job=job.id, at=float(number), attempt=1, event="transient_error"))
    world.clock.advance(91)
    world.minute()
    found = lines(call, job.id)
    assert (len(found), found[-1]["event"]) == (MAX_EVENTS, "rescued")


def test_late_cleanup_is_recorded_once(world: World, call: Call) -> None:
    job, _ = submitted(world, call)
    world.deliver(world.memory_queue.sent.pop(0))
    end_with_error(
        world.job(job), MongoUnavailableError("x"), jobs=world.jobs, archive=world.archive, clock=world.clock
    )
    for _ in range(3):
        world.clock.advance(KEEP_SECONDS)
        world.minute()
    assert names(call, job)[-2:] == ["failed", "cleaned_up"]


def test_losing_writer_records_no_event(world: World, call: Call) -> None:
    job, _ = submitted(world, call)
    for _ in range(2):
        end_with_error(job, UnsupportedError("x"), jobs=world.jobs, archive=world.archive, clock=world.clock)
    assert not world.jobs.count_rescue(job, now=world.clock.now())
    assert names(call, job) == ["submitted", "failed", "cleaned_up"]


def test_log_contains_same_events_as_json(world: World, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    formatter = JsonLines("worker-1")
    recorded: list[dict[str, Any]] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            recorded.append(json.loads(formatter.format(record)))

    handler, logger = Keeping(), logging.getLogger("slidehook")
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO, "slidehook"):
        job, request_id = submitted(world, call)
        world.finish(job)
    logger.removeHandler(handler)
    logged_events = [line for line in recorded if "event" in line]
    assert [line["event"] for line in logged_events] == names(call, job)
    assert {line["request_id"] for line in logged_events} == {request_id}
    started = next(line for line in recorded if ": tile 0" in line["message"])
    assert (started["job"], started["attempt"], started["chunk"], started["request_id"]) == (job.id, 1, 0, request_id)
    assert (started["worker"], started["level"], started["service"]) == ("worker-1", "INFO", "slidehook")


def test_log_line_contains_traceback_and_no_empty_field() -> None:
    try:
        raise ValueError("x\ny")
    except ValueError:
        record = logging.LogRecord("slidehook", logging.ERROR, "", 0, "it %s", ("failed",), sys.exc_info())
    record.created = 0.0
    record.pathname, record.funcName, record.lineno = "/x/queue.py", "minute", 7
    with request_context(None, "minute"):
        text = JsonLines("").format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert "ValueError: x" in line.pop("exception")
    assert line.pop("stack_trace")["value"] == "x\ny"
    assert line == {
        "timestamp": "1970-01-01T00:00:00.000+00:00", "level": "ERROR", "message": "it failed", "entrypoint": "minute",
        "location": "minute:7", "service": "slidehook", "exception_name": "ValueError",
    }  # fmt: skip


def test_log_line_keeps_explicit_job() -> None:
    record = logging.LogRecord("slidehook", logging.INFO, "", 0, "superseded", (), None)
    record.job = "the older one"
    with request_context("a webhook", "jobs", job="the newer one"):
        line = json.loads(JsonLines("").format(record))
    assert (line["job"], line["request_id"]) == ("the older one", "a webhook")


def test_world_records_events_of_jobs(world: World) -> None:
    assert isinstance(world.jobs, EventRecordingJobs)
