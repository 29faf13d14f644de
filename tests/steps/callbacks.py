"""Jobs with callback URLs, and the events that their receivers get."""

import json
from dataclasses import replace
from typing import Any

from chalicelib.core.jobs.deliveries import Delivery, PendingNotification
from chalicelib.core.jobs.model import Job
from chalicelib.steps.deliver import announce, deliver, replay
from tests.steps.jobs import SLIDE, cancel_job
from tests.world import World

ONE, TWO = "https://one.example/hook", "https://two.example/hook"
SECRETS = (bytes(24),)


def world_with_callbacks(**settings: Any) -> World:
    world = World()
    world.settings = replace(world.settings, **({"callback_secrets": SECRETS} | settings))
    world.put(SLIDE)
    return world


def announce_outcome(world: World, job: Job, attempt: int = 1) -> None:
    announce(
        PendingNotification(job=job.id, attempt=attempt), callback_urls=world.settings.callback_urls,
        jobs=world.jobs, deliveries=world.deliveries, queue=world.queue, clock=world.clock,
    )  # fmt: skip


def attempt_delivery(world: World, delivery: Delivery, *, jitter: float = 0.5) -> Delivery:
    deliver(
        delivery.job, delivery.id, callback_secrets=SECRETS, jitter=jitter,
        callbacks=world.callbacks, deliveries=world.deliveries, queue=world.queue, clock=world.clock,
    )  # fmt: skip
    found = world.memory_deliveries.get(delivery.job, delivery.id)
    assert found is not None
    return found


def replay_delivery(world: World, delivery: Delivery) -> Delivery:
    return replay(
        delivery.job, delivery.id, deliveries=world.deliveries, queue=world.queue, clock=world.clock
    )  # fmt: skip


def new_delivery(world: World, url: str = ONE) -> Delivery:
    """Return the announced delivery of a cancelled job, without an attempt."""
    job = world.submit(callback_url=url)
    cancel_job(world, job)
    world.memory_queue.sent.clear()
    announce_outcome(world, job)
    (made,) = world.memory_deliveries.of_job(job.id)
    return made


def received_events(world: World) -> list[tuple[str, str]]:
    """Return (URL, event type) of each received callback."""
    return [(url, json.loads(body)["type"]) for url, _, body in world.memory_callbacks.received]
