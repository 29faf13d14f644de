"""Deliver: send callbacks of ended attempts.

    announce    creates the deliveries of an ended attempt, one for each URL, and acknowledges its notification
    deliver     one try of a delivery
    replay      sends a delivery again on request

The write that ended the attempt stored a pending notification (ports.Jobs.move). A worker that stops leaves it, or a
pending delivery; the minute timer finds both. Doing it again makes the same deliveries, for their ids are derived.
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

# Longer than a call may take, with the writes around it.
TRY_SECONDS = 25.0
# The worker that ended the job handles a new notification, and a new delivery has a message: the timer skips both.
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
    """Make the deliveries of an attempt that has ended, and send each its message. Harmless to repeat."""
    job = jobs.get(notification.job)
    if job is None or not has_ended(job, notification.attempt):
        # It may be ending now. Its notification is handled later.
        return
    recorded = outcome_of(job, notification.attempt)
    made: list[Delivery] = []
    if recorded is not None:
        wanted = new_deliveries(job, recorded, hook_url=callback_urls.get(job.hook), now=clock.now())
        made = [deliveries.create(each) for each in wanted]
    jobs.acknowledge(notification, subscribers=len(job.subscribers))
    # One that was made before has had its message.
    queue.send([message_for(each) for each in made if each.version == 0])


def message_for(delivery: Delivery, *, delay_seconds: float = 0.0) -> Message:
    """Return the message that asks for the next try of a delivery."""
    return Message(
        step="deliver",
        job=delivery.job,
        attempt=delivery.attempt,
        delivery=delivery.id,
        delay_seconds=round(delay_seconds),
    )


def due_deliveries(*, deliveries: Deliveries, clock: Clock) -> Sequence[Message]:
    """Return messages for deliveries whose try is due and that seem to have none."""
    found = deliveries.due(before=clock.now() - GRACE_SECONDS, limit=BATCH)
    return [message_for(each) for each in found]


def late_notifications(*, jobs: Jobs, clock: Clock) -> Sequence[PendingNotification]:
    """Return the pending notifications that the worker that ended the job did not handle."""
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
    """Make the next try of a delivery if it is due. Of several workers one makes it.

    Raises OutOfTimeError if there is no time for a call.
    """
    delivery = deliveries.get(job, delivery_id)
    if delivery is None or not is_due(delivery, now=clock.now()):
        return
    if clock.remaining_seconds() < TRY_SECONDS:
        raise OutOfTimeError(f"no time is left for delivery {delivery.id}")
    if not delivery.by_hand and deliveries.is_disabled(delivery.scope, delivery.url):
        deliveries.move(delivery, disabled(delivery, now=clock.now()))
        return
    trying = begun(delivery, now=clock.now())
    # Before the request: another worker skips a started try until it has timed out.
    if not deliveries.move(delivery, trying) or trying.state != "pending":
        return
    answer = callbacks.post(trying.url, headers_of(trying, callback_secrets, now=clock.now()), trying.body.encode())
    after = answered(trying, answer, now=clock.now(), jitter=jitter)
    # First, so that a crash in between asks the receiver once more rather than never again.
    if after.state == "disabled":
        deliveries.disable(after.scope, after.url)
    elif after.state == "delivered" and trying.by_hand:
        deliveries.enable(after.scope, after.url)
    if deliveries.move(trying, after) and after.next_at is not None:
        wait = after.next_at - clock.now()
        if wait <= LONGEST_DELAY_SECONDS:
            queue.send([message_for(after, delay_seconds=max(1.0, wait))])


def replay(job: str, delivery_id: str, *, deliveries: Deliveries, queue: Queue, clock: Clock) -> Delivery:
    """Send a delivery in any state again under the same id, and return it. A URL that responded with 410
    and now takes it is called again from then on.

    Raises NotFoundError.
    """
    for _ in range(MOST_LOOKS):
        delivery = deliveries.get(job, delivery_id)
        if delivery is None:
            hint = f"They are listed at /jobs/{job:.64}/deliveries."
            raise NotFoundError(f"the job has no delivery {delivery_id:.64}", hint=hint)
        again = replayed(delivery, now=clock.now())
        if deliveries.move(delivery, again):
            queue.send([message_for(again)])
            return again
    raise AwsUnavailableError(f"delivery {delivery_id} is tried at this very moment")


# Two workers do not write a delivery more often in between.
MOST_LOOKS = 4
