"""Deliver: send callbacks of ended attempts.

    announce    creates the deliveries of an ended attempt, one for each URL, and acknowledges its notification
    deliver     makes one try of a delivery
    replay      sends a delivery again on request

The write that ends an attempt stores a pending notification (ports.Jobs.move). If a worker stops, the notification or
the delivery stays pending, and the minute timer processes it. All functions are safe to retry, because the ids of
deliveries are derived.
"""

from collections.abc import Mapping, Sequence

from chalicelib.core.errors import AwsUnavailableError, NotFoundError, OutOfTimeError
from chalicelib.core.jobs.deliveries import (
    Delivery,
    PendingNotification,
    answered,
    begun,
    disabled,
    has_ended,
    headers_of,
    is_due,
    new_deliveries,
    outcome_of,
    replayed,
)
from chalicelib.core.plan.messages import LONGEST_DELAY_SECONDS, Message
from chalicelib.ports.callbacks import Callbacks
from chalicelib.ports.clock import Clock
from chalicelib.ports.deliveries import Deliveries
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue

# Longer than a request and its writes can take.
TRY_SECONDS = 25.0
# The timer skips newer notifications and deliveries. The worker that ended the job, or a message, processes them.
GRACE_SECONDS = 20.0
BATCH = 100


def announce(
    notification: PendingNotification,
    *,
    callback_urls: Mapping[str, str],
    jobs: Jobs,
    deliveries: Deliveries,
    queue: Queue,
    clock: Clock,
) -> None:
    """Create the deliveries of an ended attempt, send a message for each, and acknowledge the notification.

    Safe to retry.
    """
    job = jobs.get(notification.job)
    if job is None or not has_ended(job, notification.attempt):
        # The attempt may be ending now. The timer processes its notification.
        return
    recorded = outcome_of(job, notification.attempt)
    stored: list[Delivery] = []
    if recorded is not None:
        new = new_deliveries(job, recorded, hook_url=callback_urls.get(job.hook), now=clock.now())
        stored = [deliveries.create(each) for each in new]
    jobs.acknowledge(notification, subscribers=len(job.subscribers))
    # A delivery that has been tried already had its message.
    queue.send([message_for(each) for each in stored if each.version == 0])


def message_for(delivery: Delivery, *, delay_seconds: float = 0.0) -> Message:
    """Return the message for the next try of a delivery."""
    return Message(
        step="deliver",
        job=delivery.job,
        attempt=delivery.attempt,
        delivery=delivery.id,
        delay_seconds=round(delay_seconds),
    )


def due_deliveries(*, deliveries: Deliveries, clock: Clock) -> Sequence[Message]:
    """Return messages for deliveries that have been due for GRACE_SECONDS. Their messages may be lost."""
    found = deliveries.due(before=clock.now() - GRACE_SECONDS, limit=BATCH)
    return [message_for(each) for each in found]


def late_notifications(*, jobs: Jobs, clock: Clock) -> Sequence[PendingNotification]:
    """Return the notifications that have been pending for GRACE_SECONDS. Their workers may have stopped."""
    return jobs.pending_notifications(before=clock.now() - GRACE_SECONDS, limit=BATCH)


def deliver(
    job: str,
    delivery_id: str,
    *,
    callback_secrets: Sequence[bytes],
    jitter: float,
    callbacks: Callbacks,
    deliveries: Deliveries,
    queue: Queue,
    clock: Clock,
) -> None:
    """Make the next try of a delivery if it is due. Safe to run concurrently: one worker makes the try.

    Raises OutOfTimeError if the remaining time is too short for a request.
    """
    delivery = deliveries.get(job, delivery_id)
    if delivery is None or not is_due(delivery, now=clock.now()):
        return
    if clock.remaining_seconds() < TRY_SECONDS:
        raise OutOfTimeError(f"the remaining time is too short for delivery {delivery.id}")
    if not delivery.by_hand and deliveries.is_disabled(delivery.scope, delivery.url):
        deliveries.move(delivery, disabled(delivery, now=clock.now()))
        return
    started = begun(delivery, now=clock.now())
    # Stored before the request: other workers skip a started try until it has timed out.
    if not deliveries.move(delivery, started) or started.state != "pending":
        return
    answer = callbacks.post(started.url, headers_of(started, callback_secrets, now=clock.now()), started.body.encode())
    after = answered(started, answer, now=clock.now(), jitter=jitter)
    # Stored before the delivery, so that a crash in between repeats the try.
    if after.state == "disabled":
        deliveries.disable(after.scope, after.url)
    elif after.state == "delivered" and started.by_hand:
        deliveries.enable(after.scope, after.url)
    if deliveries.move(started, after) and after.next_at is not None:
        wait = after.next_at - clock.now()
        if wait <= LONGEST_DELAY_SECONDS:
            queue.send([message_for(after, delay_seconds=max(1.0, wait))])


def replay(job: str, delivery_id: str, *, deliveries: Deliveries, queue: Queue, clock: Clock) -> Delivery:
    """Send a delivery again, in any state and with the same id. Return it.

    If the receiver responds with 2xx, a URL that was disabled by 410 is enabled again. Raises NotFoundError if the
    delivery does not exist, AwsUnavailableError if concurrent tries change it.
    """
    for _ in range(MAX_WRITES):
        delivery = deliveries.get(job, delivery_id)
        if delivery is None:
            hint = f"List the deliveries at /jobs/{job:.64}/deliveries."
            raise NotFoundError(f"the job has no delivery {delivery_id:.64}", hint=hint)
        again = replayed(delivery, now=clock.now())
        if deliveries.move(delivery, again):
            queue.send([message_for(again)])
            return again
    raise AwsUnavailableError(f"delivery {delivery_id} is being sent")


# Concurrent workers write a delivery at most three times in between.
MAX_WRITES = 4
