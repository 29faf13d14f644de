"""Deliveries: attempts, their schedule, status 410, and replay."""

from dataclasses import replace
from functools import partial

import pytest

from chalicelib.core.errors import AwsUnavailableError, NotFoundError, OutOfTimeError
from chalicelib.core.jobs.deliveries import KEEP_SECONDS, MAX_TRIES, NO_RESULT, Answer, begun
from chalicelib.steps.deliver import GRACE_SECONDS, deliver, due_deliveries
from tests.steps.callbacks import (
    ONE,
    SECRETS,
    attempt_delivery,
    new_delivery,
    received_events,
    replay_delivery,
    world_with_callbacks,
)
from tests.steps.jobs import SLIDE
from tests.world import Died


def test_refused_delivery_is_retried_by_delayed_message() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    world.memory_queue.sent.clear()
    world.memory_callbacks.answer = lambda _: Answer(status=500)
    after = attempt_delivery(world, delivery)
    (message,) = world.memory_queue.sent
    assert (after.state, message.delivery, message.delay_seconds) == ("pending", delivery.id, 5)
    attempt_delivery(world, delivery)
    assert len(received_events(world)) == 1  # not due yet
    world.clock.advance(5)
    world.memory_callbacks.answer = lambda _: Answer(status=200)
    assert attempt_delivery(world, delivery).state == "delivered"
    assert [made.status for made in attempt_delivery(world, delivery).log] == [500, 200]
    assert len(received_events(world)) == 2


def test_wait_longer_than_queue_delay_is_left_to_timer() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    world.memory_queue.sent.clear()
    world.memory_callbacks.answer = lambda _: Answer(status=503, retry_after="3600")
    assert attempt_delivery(world, delivery).next_at == world.clock.now() + 3600
    assert world.memory_queue.sent == []
    world.clock.advance(3600 + GRACE_SECONDS + 1)
    assert [message.delivery for message in due_deliveries(deliveries=world.deliveries, clock=world.clock)] == [
        delivery.id
    ]


def test_delivery_fails_after_three_days() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    world.memory_callbacks.answer = lambda _: Answer(error="no connection")
    begun_at = world.clock.now()
    while (found := attempt_delivery(world, delivery)).next_at is not None:
        world.clock.advance(found.next_at - world.clock.now())
    assert (found.state, len(received_events(world))) == ("failed", MAX_TRIES)
    assert 75 * 3600 < world.clock.now() - begun_at < 76 * 3600
    assert found.expires_at > world.clock.now() + KEEP_SECONDS - 1


def test_concurrent_workers_deliver_once() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)

    def concurrent_attempt(_: str) -> Answer:
        attempt_delivery(world, delivery)
        return Answer(status=204)

    world.memory_callbacks.answer = concurrent_attempt
    assert attempt_delivery(world, delivery).state == "delivered"
    assert len(received_events(world)) == 1


def test_losing_worker_makes_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    real = world.memory_deliveries.move
    monkeypatch.setattr(world.memory_deliveries, "move", lambda was, now: real(was, now) and False)
    attempt_delivery(world, delivery)
    assert received_events(world) == []


def test_interrupted_attempt_is_repeated_after_a_minute() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)

    def die(_: str) -> Answer:
        raise Died

    world.memory_callbacks.answer = die
    with pytest.raises(Died):
        attempt_delivery(world, delivery)
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    assert attempt_delivery(world, delivery).state == "pending"
    world.clock.advance(60)
    found = attempt_delivery(world, delivery)
    assert (found.state, [made.error for made in found.log]) == ("delivered", [NO_RESULT, None])


def test_interrupted_last_attempt_fails_delivery() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    dying = replace(begun(delivery, now=world.clock.now()), tries=MAX_TRIES)
    assert world.memory_deliveries.move(delivery, dying)
    world.clock.advance(60)
    assert attempt_delivery(world, delivery).state == "failed"
    assert received_events(world) == []


def test_delivery_is_not_attempted_without_time() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    world.clock.remaining = 20.0
    with pytest.raises(OutOfTimeError):
        attempt_delivery(world, delivery)
    assert world.memory_deliveries.get(delivery.job, delivery.id) == delivery


def test_unknown_delivery_is_ignored() -> None:
    world = world_with_callbacks()
    deliver(
        "0" * 32, "msg_0", callback_secrets=SECRETS, jitter=0.5,
        callbacks=world.callbacks, deliveries=world.deliveries, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    assert received_events(world) == []


def test_response_410_disables_deliveries_of_the_job_only() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    world.memory_callbacks.answer = lambda _: Answer(status=410)
    assert attempt_delivery(world, delivery).state == "disabled"
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    job = world.submit()
    world.finish(job)
    world.run()
    assert {each.state for each in world.memory_deliveries.of_job(job.id)} == {"disabled"}
    assert len(received_events(world)) == 1
    world.put(SLIDE, key="other.svs")
    world.finish(world.submit("other.svs", callback_url=ONE))
    world.run()
    assert received_events(world)[1:] == [(ONE, "job.done")]


def test_response_410_disables_callback_url_of_the_hook() -> None:
    world = world_with_callbacks(callback_urls={"upload": ONE})
    world.memory_callbacks.answer = lambda _: Answer(status=410)
    for key in ("slide.svs", "other.svs"):
        world.put(SLIDE, key=key)
        world.finish(world.submit(key))
        world.run()
    assert len(received_events(world)) == 1


def _respond(response: Answer, _: str) -> Answer:
    return response


@pytest.mark.parametrize("answers", [(410,), (204,), tuple([500] * MAX_TRIES)], ids=["disabled", "delivered", "failed"])
def test_delivery_can_be_replayed_in_any_state(answers: tuple[int, ...]) -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    for status in answers:
        response = Answer(status=status)
        world.memory_callbacks.answer = partial(_respond, response)
        found = attempt_delivery(world, delivery)
        world.clock.advance((found.next_at or world.clock.now()) - world.clock.now())
    assert found.next_at is None
    world.memory_queue.sent.clear()
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    again = replay_delivery(world, delivery)
    assert (again.id, again.state) == (delivery.id, "pending")
    assert [message.delivery for message in world.memory_queue.sent] == [delivery.id]
    world.run()
    assert attempt_delivery(world, delivery).state == "delivered"
    ids = {headers["webhook-id"] for _, headers, _ in world.memory_callbacks.received}
    assert ids == {delivery.id}
    assert len({body for _, _, body in world.memory_callbacks.received}) == 1


def test_accepted_replay_enables_callbacks_again() -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    world.memory_callbacks.answer = lambda _: Answer(status=410)
    attempt_delivery(world, delivery)
    replay_delivery(world, delivery)
    assert attempt_delivery(world, delivery).state == "disabled"  # the receiver responds with 410 again
    world.memory_callbacks.answer = lambda _: Answer(status=204)
    replay_delivery(world, delivery)
    assert attempt_delivery(world, delivery).state == "delivered"
    world.finish(world.submit())
    world.run()
    assert received_events(world)[-1] == (ONE, "job.done")


def test_replay_of_unknown_or_changing_delivery_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_callbacks()
    delivery = new_delivery(world)
    with pytest.raises(NotFoundError, match="no delivery msg_0"):
        replay_delivery(world, replace(delivery, id="msg_0"))
    monkeypatch.setattr(world.memory_deliveries, "move", lambda *_: False)
    with pytest.raises(AwsUnavailableError):
        replay_delivery(world, delivery)
