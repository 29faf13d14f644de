"""Queue consumers: no message is lost, and an invalid record does not affect the others of its batch."""

import hashlib
import json
import logging
import struct
from typing import Any

import pytest

from chalicelib.core.errors import MongoUnavailableError
from chalicelib.core.jobs.model import Job, State
from chalicelib.entrypoints import consumers
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, SESSION, Context, World, sqs_event

SLIDE = write(Slide(width_px=300, height_px=200))
KEY = f"{COLLECTION}/{SESSION}/a slide+1.svs"


@pytest.fixture
def world() -> World:
    made = World()
    made.put(SLIDE)
    return made


def unavailable(*_: object) -> None:
    raise MongoUnavailableError("MongoDB did not answer")


def body(job: Job, do: str = "plan", chunk: int | None = None) -> str:
    return json.dumps({"step": do, "job": job.id, "attempt": job.attempt, "chunk": chunk})


def notification(key: str, *, name: str = "ObjectCreated:Put", etag: str = "claimed") -> str:
    thing = {"key": key, "size": 1, "eTag": etag}
    record = {
        "eventName": name,
        "eventTime": "2026-01-02T03:04:05Z",
        "s3": {"bucket": {"name": BUCKET}, "object": thing},
    }
    return json.dumps({"Records": [record]})


def deliver_s3_events(world: World, *bodies: str) -> list[str]:
    answer = consumers.on_arrivals(sqs_event(list(bodies)), world.services)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def deliver_dead_letters(world: World, *bodies: str) -> list[str]:
    answer = consumers.on_dead_letters(sqs_event(list(bodies)), world.services)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def jobs(world: World) -> list[Job]:
    return list(world.memory_jobs.list(state=None, session=None, cursor=None, limit=50).jobs)


def test_invalid_record_of_batch_fails_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    job = world.submit()
    with caplog.at_level(logging.ERROR):
        failed = world.deliver_bodies(["no json", body(job), '{"step": "dance"}'])
    assert failed == ["message-0", "message-2"]
    assert world.job(job).state is State.TILING
    assert "message-0 failed" in caplog.text


def test_transient_error_is_recorded_and_delay_grows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.submit()
    monkeypatch.setattr(world.memory_archive, "stage", unavailable)
    for receives in (1, 3):
        assert world.deliver_bodies([body(job)], receives=receives) == ["message-0"]
    assert [seconds for _, _, seconds in world.memory_queue.delayed] == [2, 8]
    noted = world.job(job)
    assert noted.last_transient_error is not None
    assert (noted.state, noted.last_transient_error.code, noted.error) == (State.PLANNING, "mongodb_unavailable", None)


def test_message_that_cannot_be_delayed_is_still_retried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("no right to")

    job = world.submit()
    monkeypatch.setattr(world.memory_archive, "stage", unavailable)
    monkeypatch.setattr(world.memory_queue, "delay", refused)
    assert world.deliver_bodies([body(job)]) == ["message-0"]


def test_unexpected_error_is_recorded_and_retried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    job = world.submit()
    monkeypatch.setattr(world.memory_archive, "stage", broken)
    assert world.deliver_bodies([body(job)]) == ["message-0"]
    noted = world.job(job).last_transient_error
    assert noted is not None
    assert (noted.code, noted.message) == ("internal", "ZeroDivisionError: by zero")


def test_permanent_error_fails_job_and_completes_message(world: World) -> None:
    data = write(Slide(width_px=300, height_px=200, compression="lzw"))
    world.put(data.replace(struct.pack("<HHII", 259, 3, 1, 5), struct.pack("<HHII", 259, 3, 1, 6)), "old.tif")
    job = world.submit("old.tif")
    assert world.deliver_bodies([body(job)]) == []
    ended = world.job(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (State.FAILED, "unsupported")


def test_messages_of_unknown_job_or_attempt_are_dropped(world: World) -> None:
    job = world.submit()
    unknown = json.dumps({"step": "plan", "job": "f" * 32, "attempt": 1})
    later = json.dumps({"step": "plan", "job": job.id, "attempt": 2})
    assert world.deliver_bodies([unknown, later]) == []
    assert world.job(job).state is State.QUEUED


def test_dead_letter_fails_job_with_last_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.submit()
    with monkeypatch.context() as patch:
        patch.setattr(world.memory_archive, "stage", unavailable)
        world.deliver_bodies([body(job)])
    assert deliver_dead_letters(world, body(job)) == []
    ended = world.job(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (State.FAILED, "retries_exhausted")
    assert "MongoDB did not answer (mongodb_unavailable)" in ended.error.message
    # A dead letter of an ended attempt changes nothing.
    again = world.submit()
    assert deliver_dead_letters(world, body(job)) == []
    assert world.job(again).state is State.QUEUED


def test_dead_letter_of_completed_work_is_ignored(world: World) -> None:
    job = world.submit()
    world.deliver(world.memory_queue.sent.pop(0))
    chunk = world.memory_queue.sent[0].chunk
    world.deliver(world.memory_queue.sent.pop(0))
    assert deliver_dead_letters(world, body(job), body(job, "tile", chunk)) == []
    assert world.job(job).state is State.TILING
    assert deliver_dead_letters(world, body(job, "tile", world.memory_queue.sent[0].chunk)) == []
    assert world.job(job).state is State.FAILED


def test_invalid_dead_letter_stays_in_queue(world: World) -> None:
    assert deliver_dead_letters(world, "nonsense", "{}", '"text"') == ["message-0", "message-1", "message-2"]


def test_dead_s3_event_is_submitted_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(SLIDE, KEY)
    text = notification(KEY.replace(" ", "+").replace("slide+1", "slide%2B1"))
    with monkeypatch.context() as patch:
        patch.setattr(world.memory_archive, "locate", unavailable)
        assert deliver_s3_events(world, text) == ["message-0"]
        assert deliver_dead_letters(world, text) == ["message-0"]
    assert deliver_dead_letters(world, text) == []
    (job,) = jobs(world)
    assert world.finish(job).state is State.DONE


def test_s3_event_starts_same_job_as_webhook(world: World) -> None:
    world.put(SLIDE, KEY)
    text = notification(f"{COLLECTION}/{SESSION}/a+slide%2B1.svs")
    for _ in range(3):
        world.clock.advance(0.001)
        assert deliver_s3_events(world, text) == []
    (job,) = jobs(world)
    assert (job.source.key, job.state) == (KEY, State.QUEUED)
    assert world.submit(KEY).id == job.id
    assert len(world.memory_queue.sent) == 1
    assert world.finish(job).state is State.DONE


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}),
        notification(KEY, name="ObjectRemoved:Delete"),
        notification(f"direct/{KEY}"),
        notification(f"{COLLECTION}/{SESSION}/"),
        notification("lung/notes.txt"),
    ],
)
def test_other_s3_events_create_no_job(world: World, text: str) -> None:
    assert deliver_s3_events(world, text) == []
    assert jobs(world) == []


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("slide.svs", "invalid_object_key"),
        (f"{COLLECTION}/{'0' * 24}/a.svs", "no_such_session"),
        (f"{'0' * 24}/{SESSION}/a.svs", "no_such_collection"),
        (f"{COLLECTION}/{SESSION}/gone.svs", "no_such_source"),
        (f"{COLLECTION}/{SESSION}/text.svs", "not_a_tiff"),
        (f"{COLLECTION}/{SESSION}/empty.svs", "empty_source"),
    ],
)
def test_refused_s3_event_creates_one_failed_job(world: World, key: str, code: str) -> None:
    world.memory_slides.put(BUCKET, f"{COLLECTION}/{SESSION}/text.svs", b"text")
    world.memory_slides.put(BUCKET, f"{COLLECTION}/{SESSION}/empty.svs", b"")
    text = notification(key)
    assert deliver_s3_events(world, text, text) == []
    (job,) = jobs(world)
    assert job.error is not None
    assert (job.state, job.error.code, job.source.key) == (State.FAILED, code, key)
    assert world.memory_queue.sent == []
    world.minute()
    assert world.job(job).state is State.FAILED


def test_invalid_s3_event_is_not_lost(world: World) -> None:
    assert deliver_s3_events(
        world, "nonsense", '{"Records": [{}]}', notification(f"{COLLECTION}/{SESSION}/gone.svs")
    ) == [
        "message-0",
        "message-1",
    ]


def test_minute_timer_continues_after_failing_job(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = world.submit()
    world.put(SLIDE, "b.svs")
    second = world.submit("b.svs")
    world.deliver(world.memory_queue.sent.pop(0))
    world.memory_queue.sent.clear()
    world.clock.advance(500)
    real: Any = world.memory_queue.send

    errors = [MongoUnavailableError("away"), KeyError("a fault")]

    def failing_send(messages: list[Any]) -> None:
        if messages[0].job == first.id:
            raise errors.pop(0)
        real(messages)

    monkeypatch.setattr(world.memory_queue, "send", failing_send)
    while errors:
        world.clock.advance(5000)
        with caplog.at_level(logging.WARNING):
            world.minute()
    assert {message.job for message in world.memory_queue.sent} == {second.id}
    assert "it is retried in the next minute" in caplog.text
    assert "failed in the minute timer" in caplog.text


def test_lambda_remaining_time_limits_work(world: World) -> None:
    job = world.submit()
    answer = consumers.on_work(sqs_event([body(job)]), Context(60), world.services)
    assert answer == {"batchItemFailures": []}
    chunk = body(job, "tile", 0)
    answer = consumers.on_work(sqs_event([chunk]), Context(1), world.services)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}


def test_refused_s3_event_is_published_once_object_exists() -> None:
    # A refused job has no database yet; the same bytes are the same job.
    world = World()
    key = f"{COLLECTION}/{SESSION}/slide.svs"
    etag = hashlib.md5(SLIDE, usedforsecurity=False).hexdigest()
    body = notification(key, etag=etag).replace('"size": 1,', f'"size": {len(SLIDE)},')
    assert deliver_s3_events(world, body) == []
    (refused,) = jobs(world)
    assert (refused.state, refused.destination.database) == (State.FAILED, "")
    world.put(SLIDE, key)
    again = world.finish(world.submit(key))
    assert (again.id, again.state, again.attempt) == (refused.id, State.DONE, 2)
    assert len(world.tiles(again)) == again.tiles_total
