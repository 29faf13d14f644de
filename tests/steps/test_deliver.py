"""The end of a job is told to whom it may concern: announced, delivered, tried again, replayed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.errors import AwsUnavailableError, MongoUnavailableError, NotFoundError, OutOfTimeError
from chalicelib.core.errors import TooManySubscribersError as TooMany
from chalicelib.core.jobs.deliveries import (
    KEEP_SECONDS,
    MAX_TRIES,
    NO_WORD,
    Answer,
    Delivery,
    PendingNotification,
    begun,
)
from chalicelib.core.jobs.model import MAX_SUBSCRIBERS, Job, State, Subscriber
from chalicelib.core.plan.messages import Message
from chalicelib.hooks.verify import VerifyParameters, verify
from chalicelib.steps.cleanup import cancel, end_with_error
from chalicelib.steps.deliver import GRACE_SECONDS, announce, deliver, due_deliveries, late_notifications, replay
from chalicelib.steps.submit import retry
from tests.slides import Slide, write
from tests.world import Died, World

SLIDE = write(Slide(width_px=300, height_px=200))
ONE, TWO = "https://one.example/hook", "https://two.example/hook"
SECRETS = (bytes(24),)


def world_with_callbacks(**settings: Any) -> World:
    world = World()
    world.settings = replace(world.settings, **({"callback_secrets": SECRETS} | settings))
    world.put(SLIDE)
    return world


def cancelled(world: World, job: Job) -> Job:
    return cancel(job.id, jobs=world.jobs, archive=world.archive, clock=world.clock)


def announced(world: World, job: Job, attempt: int = 1) -> None:
    announce(
        PendingNotification(job=job.id, attempt=attempt), callback_urls=world.settings.callback_urls,
        jobs=world.jobs, deliveries=world.deliveries, queue=world.queue, clock=world.clock,
    )  # fmt: skip


def tried(world: World, delivery: Delivery, *, jitter: float = 0.5) -> Delivery:
    deliver(
        delivery.job, delivery.id, callback_secrets=SECRETS, jitter=jitter,
        callbacks=world.callbacks, deliveries=world.deliveries, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    found = world.memory_deliveries.get(delivery.job, delivery.id)
    assert found is not None
    return found


def replayed(world: World, delivery: Delivery) -> Delivery:
    return replay(
        delivery.job, delivery.id, deliveries=world.deliveries, queue=world.queue, clock=world.clock
    )  # fmt: skip


def a_delivery(world: World, url: str = ONE) -> Delivery:
    """The delivery of a cancelled job, announced and not yet tried."""
    job = world.submit(callback_url=url)
    cancelled(world, job)
    world.memory_queue.sent.clear()
    announced(world, job)
    (made,) = world.memory_deliveries.of_job(job.id)
    return made


def heard(world: World) -> list[tuple[str, str]]:
    """What receivers got: URL and kind."""
    return [(url, json.loads(body)["type"]) for url, _, body in world.memory_callbacks.received]


# -- who is told -------------------------------------------------------------------------------------------------------


def test_second_callback_url_adds_subscriber_to_same_job() -> None:
    world = world_with_callbacks()
    first, second = world.submit(callback_url=ONE), world.submit(callback_url=TWO)
    third = world.submit(callback_url=ONE)
    assert first.id == second.id == third.id == world.submit().id
    assert third.subscribers == (Subscriber(ONE, 1), Subscriber(TWO, 1))
    assert world.finish(first).state is State.DONE
    world.run()
    assert sorted(heard(world)) == [(ONE, "job.done"), (TWO, "job.done")]
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
    assert heard(world) == [(ONE, "job.done"), (TWO, "job.done")]
    world.submit(callback_url=TWO)
    world.clock.advance(GRACE_SECONDS + 1)
    world.minute()
    world.run()
    assert len(heard(world)) == 2


def test_subscriber_of_new_attempt_gets_no_earlier_outcome() -> None:
    world = world_with_callbacks()
    job = world.submit()
    cancelled(world, job)
    again = world.submit(callback_url=ONE)
    assert (again.attempt, again.subscribers) == (2, (Subscriber(ONE, 2),))
    announced(world, job, 1)
    assert world.memory_deliveries.of_job(job.id) == ()
    world.finish(job)
    world.run()
    assert heard(world) == [(ONE, "job.done")]


def test_sixth_subscriber_is_refused_before_anything_starts() -> None:
    world = world_with_callbacks()
    job = world.submit()
    for number in range(MAX_SUBSCRIBERS):
        world.submit(callback_url=f"https://example.org/{number}")
    with pytest.raises(TooMany, match="takes no more"):
        world.submit(callback_url=ONE)
    cancelled(world, job)
    with pytest.raises(TooMany):
        world.submit(callback_url=ONE)
    assert world.job(job).state is State.CANCELLED
    assert world.submit(callback_url="https://example.org/0").attempt == 2


def test_subscribe_raises_after_repeated_conflicts() -> None:
    world = world_with_callbacks()
    world.submit()
    world.memory_jobs.subscribe = lambda *_: False  # type: ignore[method-assign]
    with pytest.raises(AwsUnavailableError):
        world.submit(callback_url=ONE)


def test_every_outcome_is_delivered() -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    cancelled(world, job)
    announced(world, job)
    retry(
        job.id, source_buckets=world.settings.source_buckets,
        slides=world.slides, jobs=world.jobs, archive=world.archive, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    end_with_error(
        world.job(job), MongoUnavailableError("away"), jobs=world.jobs, archive=world.archive, clock=world.clock
    )
    announced(world, job, 2)
    world.submit()
    world.put(write(Slide(width_px=300, height_px=200, seed=9)))  # and it ends superseded
    world.run()
    assert heard(world) == [(ONE, "job.cancelled"), (ONE, "job.failed"), (ONE, "job.superseded")]
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
    assert sorted(heard(world)) == [(ONE, "job.done"), (TWO, "job.done")]
    data = json.loads(world.memory_callbacks.received[0][2])["data"]
    assert (data["hook"], data["verification"]["intact"]) == ("verify", True)


def test_nothing_is_delivered_without_secret() -> None:
    world = world_with_callbacks(callback_secrets=(), callback_urls={"upload": ONE})
    job = world.finish(world.submit())
    world.clock.advance(100)
    world.minute()
    world.run()
    assert (heard(world), world.memory_deliveries.of_job(job.id)) == ([], ())
    # A message that is left from when there was one.
    assert world.deliver(Message(step="deliver", job=job.id, attempt=1, delivery="msg_1")) == []
    assert heard(world) == []


# -- nothing is lost ---------------------------------------------------------------------------------------------------


def deaths() -> int:
    """Return how many calls of ports the end of a job and its telling take."""
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    world.calls = 0
    world.finish(job)
    world.run()
    return world.calls


@pytest.mark.parametrize("after", [False, True])
def test_outcome_is_delivered_under_one_id_despite_worker_death(*, after: bool) -> None:
    for dies_at in range(1, deaths() + 1):
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
        assert set(heard(world)) == {(ONE, "job.done")}
        assert len({headers["webhook-id"] for _, headers, _ in world.memory_callbacks.received}) == 1


def test_timer_skips_recent_notifications_and_deliveries() -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    cancelled(world, job)
    assert late_notifications(jobs=world.jobs, clock=world.clock) == ()
    world.clock.advance(GRACE_SECONDS + 1)
    assert late_notifications(jobs=world.jobs, clock=world.clock) == (PendingNotification(job=job.id, attempt=1),)
    announced(world, job)
    assert late_notifications(jobs=world.jobs, clock=world.clock) == ()
    assert due_deliveries(deliveries=world.deliveries, clock=world.clock) == []
    world.clock.advance(GRACE_SECONDS + 1)
    (message,) = due_deliveries(deliveries=world.deliveries, clock=world.clock)
    assert (message.step, message.job) == ("deliver", job.id)


def test_repeated_announce_sends_no_second_message() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    job = world.memory_jobs.get(delivery.job)
    assert job is not None
    assert [message.delivery for message in world.memory_queue.sent] == [delivery.id]
    tried(world, delivery)
    announced(world, job)
    assert len(world.memory_queue.sent) == 1
    assert len(world.memory_deliveries.of_job(job.id)) == 1


def test_notification_of_forgotten_outcome_is_removed() -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    cancelled(world, job)
    world.memory_jobs._jobs[job.id] = replace(world.job(job), history=())
    announced(world, job)
    assert world.memory_jobs.pending_notifications(before=1e12, limit=9) == ()
    del world.memory_jobs._jobs[job.id]
    announced(world, job)
    assert world.memory_deliveries.of_job(job.id) == ()


def test_announce_with_stale_job_keeps_notification() -> None:
    world = world_with_callbacks()
    job = world.submit(callback_url=ONE)
    real = world.memory_jobs.get

    def ends_meanwhile(job_id: str) -> Job | None:
        found = real(job_id)
        world.memory_jobs.get = real  # type: ignore[method-assign]
        cancelled(world, job)
        return found

    world.memory_jobs.get = ends_meanwhile  # type: ignore[method-assign]
    announced(world, job)
    assert world.memory_jobs.pending_notifications(before=1e12, limit=9) == (
        PendingNotification(job=job.id, attempt=1),
    )
    announced(world, job)
    assert len(world.memory_deliveries.of_job(job.id)) == 1


# -- tries -------------------------------------------------------------------------------------------------------------


def test_refused_delivery_is_retried_by_delayed_message() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    world.memory_queue.sent.clear()
    world.memory_callbacks.answer = lambda _: Answer(status=500)
    after = tried(world, delivery)
    (message,) = world.memory_queue.sent
    assert (after.state, message.delivery, message.delay_seconds) == ("pending", delivery.id, 5)
    tried(world, delivery)
    assert len(heard(world)) == 1  # it is not due yet
    world.clock.advance(5)
    world.memory_callbacks.answer = lambda _: Answer(status=200)
    assert tried(world, delivery).state == "delivered"
    assert [made.status for made in tried(world, delivery).log] == [500, 200]
    assert len(heard(world)) == 2


def test_wait_longer_than_queue_delay_is_left_to_timer() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    world.memory_queue.sent.clear()
    world.memory_callbacks.answer = lambda _: Answer(status=503, retry_after="3600")
    assert tried(world, delivery).next_at == world.clock.now() + 3600
    assert world.memory_queue.sent == []
    world.clock.advance(3600 + GRACE_SECONDS + 1)
    assert [message.delivery for message in due_deliveries(deliveries=world.deliveries, clock=world.clock)] == [
        delivery.id
    ]


def test_delivery_fails_after_three_days() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    world.memory_callbacks.answer = lambda _: Answer(error="no connection")
    begun_at = world.clock.now()
    while (found := tried(world, delivery)).next_at is not None:
        world.clock.advance(found.next_at - world.clock.now())
    assert (found.state, len(heard(world))) == ("failed", MAX_TRIES)
    assert 75 * 3600 < world.clock.now() - begun_at < 76 * 3600
    assert found.expires_at > world.clock.now() + KEEP_SECONDS - 1


def test_concurrent_workers_deliver_once() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)

    def meanwhile(_: str) -> Answer:
        tried(world, delivery)
        return Answer(status=204)

    world.memory_callbacks.answer = meanwhile
    assert tried(world, delivery).state == "delivered"
    assert len(heard(world)) == 1


def test_losing_worker_makes_no_attempt() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    real = world.memory_deliveries.move
    world.memory_deliveries.move = lambda was, now: real(was, now) and False  # type: ignore[method-assign]
    tried(world, delivery)
    assert heard(world) == []


def test_interrupted_attempt_is_repeated_after_a_minute() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)

    def die(_: str) -> Answer:
        raise Died

    world.memory_callbacks.answer = die
    with pytest.raises(Died):
        tried(world, delivery)
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    assert tried(world, delivery).state == "pending"
    world.clock.advance(60)
    found = tried(world, delivery)
    assert (found.state, [made.error for made in found.log]) == ("delivered", [NO_WORD, None])


def test_interrupted_last_attempt_fails_delivery() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    dying = replace(begun(delivery, now=world.clock.now()), tries=MAX_TRIES)
    assert world.memory_deliveries.move(delivery, dying)
    world.clock.advance(60)
    assert tried(world, delivery).state == "failed"
    assert heard(world) == []


def test_delivery_is_not_attempted_without_time() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    world.clock.remaining = 20.0
    with pytest.raises(OutOfTimeError):
        tried(world, delivery)
    assert world.memory_deliveries.get(delivery.job, delivery.id) == delivery


def test_unknown_delivery_is_ignored() -> None:
    world = world_with_callbacks()
    deliver(
        "0" * 32, "msg_0", callback_secrets=SECRETS, jitter=0.5,
        callbacks=world.callbacks, deliveries=world.deliveries, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    assert heard(world) == []


# -- 410 and replay ----------------------------------------------------------------------------------------------------


def test_response_410_disables_deliveries_of_the_job_only() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    world.memory_callbacks.answer = lambda _: Answer(status=410)
    assert tried(world, delivery).state == "disabled"
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    job = world.submit()
    world.finish(job)
    world.run()
    assert {each.state for each in world.memory_deliveries.of_job(job.id)} == {"disabled"}
    assert len(heard(world)) == 1
    world.put(SLIDE, key="other.svs")
    world.finish(world.submit("other.svs", callback_url=ONE))
    world.run()
    assert heard(world)[1:] == [(ONE, "job.done")]


def test_response_410_disables_callback_url_of_the_hook() -> None:
    world = world_with_callbacks(callback_urls={"upload": ONE})
    world.memory_callbacks.answer = lambda _: Answer(status=410)
    for key in ("slide.svs", "other.svs"):
        world.put(SLIDE, key=key)
        world.finish(world.submit(key))
        world.run()
    assert len(heard(world)) == 1


@pytest.mark.parametrize("answers", [(410,), (204,), tuple([500] * MAX_TRIES)], ids=["disabled", "delivered", "failed"])
def test_delivery_can_be_replayed_in_any_state(answers: tuple[int, ...]) -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    for status in answers:
        world.memory_callbacks.answer = lambda _, status=status: Answer(status=status)  # type: ignore[misc]
        found = tried(world, delivery)
        world.clock.advance((found.next_at or world.clock.now()) - world.clock.now())
    assert found.next_at is None
    world.memory_queue.sent.clear()
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    again = replayed(world, delivery)
    assert (again.id, again.state) == (delivery.id, "pending")
    assert [message.delivery for message in world.memory_queue.sent] == [delivery.id]
    world.run()
    assert tried(world, delivery).state == "delivered"
    ids = {headers["webhook-id"] for _, headers, _ in world.memory_callbacks.received}
    assert ids == {delivery.id}
    assert len({body for _, _, body in world.memory_callbacks.received}) == 1


def test_accepted_replay_enables_callbacks_again() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    world.memory_callbacks.answer = lambda _: Answer(status=410)
    tried(world, delivery)
    replayed(world, delivery)
    assert tried(world, delivery).state == "disabled"  # it was asked, and is gone still
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    replayed(world, delivery)
    assert tried(world, delivery).state == "delivered"
    world.finish(world.submit())
    world.run()
    assert heard(world)[-1] == (ONE, "job.done")


def test_replay_of_unknown_or_changing_delivery_raises() -> None:
    world = world_with_callbacks()
    delivery = a_delivery(world)
    with pytest.raises(NotFoundError, match="no delivery msg_0"):
        replayed(world, replace(delivery, id="msg_0"))
    world.memory_deliveries.move = lambda *_: False  # type: ignore[method-assign]
    with pytest.raises(AwsUnavailableError):
        replayed(world, delivery)
