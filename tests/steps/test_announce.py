"""Pending notifications become deliveries: each outcome is announced, and none is lost."""

import json
from dataclasses import replace

import pytest

from chalicelib.core.errors import AwsUnavailableError, MongoUnavailableError
from chalicelib.core.errors import TooManySubscribersError as TooMany
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.model import MAX_SUBSCRIBERS, Job, State, Subscriber
from chalicelib.core.plan.messages import Message
from chalicelib.hooks.verify import VerifyParameters, verify
from chalicelib.steps.cleanup import end_with_error
from chalicelib.steps.deliver import GRACE_SECONDS, due_deliveries, late_notifications
from chalicelib.steps.submit import retry
from tests.slides import Slide, write
from tests.steps.callbacks import (
    ONE,
    TWO,
    announce_outcome,
    attempt_delivery,
    new_delivery,
    received_events,
    world_with_callbacks,
)
from tests.steps.jobs import cancel_job
from tests.world import Died


def test_second_callback_url_adds_subscriber_to_same_job() -> None:
    world = world_with_callbacks()
    first, second = world.submit(callback_url=ONE), world.submit(callback_url=TWO)
    third = world.submit(callback_url=ONE)
    assert first.id == second.id == third.id == world.submit().id
    assert third.subscribers == (Subscriber(ONE, 1), Subscriber(TWO, 1))
    assert world.finish(first).state is State.DONE
    world.run()
    assert sorted(received_events(world)) == [(ONE, "job.done"), (TWO, "job.done")]
    assert {each.state for each in world.memory_deliveries.of_job(first.id)} == {"delivered"}
    assert world.memory_jobs.pending_notifications(before=1e12, limit=9) == ()


def test_late_subscriber_is_notified_without_repeating_others() -> None:
    world = world_with_callbacks()
    job = world.finish(world.submit(callback_url=ONE))
    world.run()
    late = world.submit(callback_url=TWO)
    assert (late.id, late.state, late.attempt) == (job.id, State.DONE, 1)
    world.clock.advance(GRACE_SECONDS + 1)
    world.minute()
    world.run()
    assert received_events(world) == [(ONE, "job.done"), (TWO, "job.done")]
    world.submit(callback_url=TWO)
    world.clock.advance(GRACE_SECONDS + 1)
    world.minute()
    world.run()
    assert len(received_events(world)) == 2


def test_subscriber_of_new_attempt_gets_no_earlier_outcome() -> None:
    world = world_with_callbacks()
    job = world.submit()
    cancel_job(world, job)
    again = world.submit(callback_url=ONE)
    assert (again.attempt, again.subscribers) == (2, (Subscriber(ONE, 2),))
    announce_outcome(world, job, 1)
    assert world.memory_deliveries.of_job(job.id) == ()
    world.finish(job)
    world.run()
    assert received_events(world) == [(ONE, "job.done")]


def test_sixth_subscriber_is_refused_before_anything_starts() -> None:
    world = world_with_callbacks()
    job = world.submit()
    for number in range(MAX_SUBSCRIBERS):
        world.submit(callback_url=f"https://example.org/{number}")
    with pytest.raises(TooMany, match="already has 5 callback URLs"):
        world.submit(callback_url=ONE)
    cancel_job(world, job)
    with pytest.raises(TooMany):
        world.submit(callback_url=ONE)
    assert world.job(job).state is State.CANCELLED
    assert world.submit(callback_url="https://example.org/0").attempt == 2


def test_subscribe_raises_after_repeated_conflicts(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_callbacks()
    world.submit()
    monkeypatch.setattr(world.memory_jobs, "subscribe", lambda *_: False)
    with pytest.raises(AwsUnavailableError):
        world.submit(callback_url=ONE)


def test_every_outcome_is_delivered() -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    cancel_job(world, job)
    announce_outcome(world, job)
    retry(
        job.id, source_buckets=world.settings.source_buckets,
        slides=world.slides, jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    end_with_error(
        world.job(job), MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock
    )
    announce_outcome(world, job, 2)
    world.submit()
    world.put(write(Slide(width_px=300, height_px=200, seed=9)))  # ends superseded
    world.run()
    assert received_events(world) == [(ONE, "job.cancelled"), (ONE, "job.failed"), (ONE, "job.superseded")]
    ids = [headers["webhook-id"] for _, headers, _ in world.memory_callbacks.received]
    assert len(set(ids)) == 3


def test_hook_callback_url_receives_outcomes_of_its_hook_only() -> None:
    world = world_with_callbacks(callback_urls={"verify": TWO})
    upload = world.finish(world.submit())
    job = verify(
        VerifyParameters(job=upload.id, callback_url=ONE), source_buckets=world.settings.source_buckets,
        jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    world.finish(job)
    world.run()
    assert sorted(received_events(world)) == [(ONE, "job.done"), (TWO, "job.done")]
    data = json.loads(world.memory_callbacks.received[0][2])["data"]
    assert (data["hook"], data["verification"]["intact"]) == ("verify", True)


def test_nothing_is_delivered_without_secret() -> None:
    world = world_with_callbacks(callback_secrets=(), callback_urls={"upload": ONE})
    job = world.finish(world.submit())
    world.clock.advance(100)
    world.minute()
    world.run()
    assert (received_events(world), world.memory_deliveries.of_job(job.id)) == ([], ())
    # A message from the time before the secret was removed.
    assert world.deliver(Message(step="deliver", job=job.id, attempt=1, delivery="msg_1")) == []
    assert received_events(world) == []


def port_calls() -> int:
    """Return the number of port calls from submission to delivery."""
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    world.calls = 0
    world.finish(job)
    world.run()
    return world.calls


@pytest.mark.parametrize("after", [False, True])
def test_outcome_is_delivered_under_one_id_despite_worker_death(*, after: bool) -> None:
    for dies_at in range(1, port_calls() + 1):
        world = world_with_callbacks()
        job = world.submit(callback_url=ONE)
        world.calls, world.dies_at, world.after = 0, dies_at, after
        world.finish(job)
        for _ in range(4):
            world.clock.advance(61)
            try:
                world.minute()
            except Died:
                continue
            world.run()
        assert {each.state for each in world.memory_deliveries.of_job(job.id)} == {"delivered"}, dies_at
        assert set(received_events(world)) == {(ONE, "job.done")}
        assert len({headers["webhook-id"] for _, headers, _ in world.memory_callbacks.received}) == 1


def test_timer_skips_recent_notifications_and_deliveries() -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    cancel_job(world, job)
    assert late_notifications(jobs=world.jobs, clock=world.clock) == ()
    world.clock.advance(GRACE_SECONDS + 1)
    assert late_notifications(jobs=world.jobs, clock=world.clock) == (PendingNotification(job=job.id, attempt=1),)
    announce_outcome(world, job)
    assert late_notifications(jobs=world.jobs, clock=world.clock) == ()
    assert due_deliveries(deliveries=world.deliveries, clock=world.clock) == []
    world.clock.advance(GRACE_SECONDS + 1)
    (message,) = due_deliveries(deliveries=world.deliveries, clock=world.clock)
    assert (message.step, message.job) == ("deliver", job.id)


def test_repeated_announce_sends_no_second_message() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    job = world.memory_jobs.get(delivery.job)
    assert job is not None
    assert [message.delivery for message in world.memory_queue.sent] == [delivery.id]
    attempt_delivery(world, delivery)
    announce_outcome(world, job)
    assert len(world.memory_queue.sent) == 1
    assert len(world.memory_deliveries.of_job(job.id)) == 1


def test_notification_of_forgotten_outcome_is_removed() -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    cancel_job(world, job)
    world.memory_jobs._jobs[job.id] = replace(world.job(job), history=())
    announce_outcome(world, job)
    assert world.memory_jobs.pending_notifications(before=1e12, limit=9) == ()
    del world.memory_jobs._jobs[job.id]
    announce_outcome(world, job)
    assert world.memory_deliveries.of_job(job.id) == ()


def test_announce_with_stale_job_keeps_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    real = world.memory_jobs.get

    def ends_meanwhile(job_id: str) -> Job | None:
        found = real(job_id)
        monkeypatch.setattr(world.memory_jobs, "get", real)
        cancel_job(world, job)
        return found

    monkeypatch.setattr(world.memory_jobs, "get", ends_meanwhile)
    announce_outcome(world, job)
    assert world.memory_jobs.pending_notifications(before=1e12, limit=9) == (
        PendingNotification(job=job.id, attempt=1),
    )
    announce_outcome(world, job)
    assert len(world.memory_deliveries.of_job(job.id)) == 1
