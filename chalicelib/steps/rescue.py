"""Rescue, each minute: nothing stays without a message, nothing is left behind.

A job is judged by its last progress, never by its age: a long queue is no reason to fail. A message too many is
harmless, so the messages of a silent job are sent again, at growing intervals.
"""

from collections.abc import Iterator
from itertools import takewhile

from chalicelib.core.errors import RetriesExhaustedError
from chalicelib.core.jobs.backoff import MAX_RESCUES, SILENCE_SECONDS, silence_seconds
from chalicelib.core.jobs.model import LIVE, Job, State
from chalicelib.core.plan.messages import Message, messages_for, plan_key, step_message
from chalicelib.core.plan.plan_format import load_plan
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.work import Work

BATCH = 100
# What is left of an invocation then belongs to what comes after.
RESERVE_SECONDS = 30.0


def silent_jobs(*, jobs: Jobs, clock: Clock) -> Iterator[Job]:
    """Return the live jobs without progress for longer than their interval, as long as there is time.

    All of them, however many: those that were rescued often are silent for long and not to be rescued yet, and would
    keep a new one from being seen. The states take turns, the longest silent of each come first.
    """
    before = clock.now() - SILENCE_SECONDS
    lasts: dict[State, Job | None] = dict.fromkeys(sorted(LIVE))
    while lasts:
        for state, last in tuple(lasts.items()):
            if clock.remaining_seconds() < RESERVE_SECONDS:
                return
            page = jobs.silent(state, before=before, limit=BATCH, after=last)
            if len(page) < BATCH:
                del lasts[state]
            else:
                lasts[state] = page[-1]
            due = (job for job in page if clock.now() - job.updated_at >= silence_seconds(job.rescues))
            yield from takewhile(lambda _: clock.remaining_seconds() >= RESERVE_SECONDS, due)


def rescue(job: Job, *, jobs: Jobs, work: Work, queue: Queue, clock: Clock) -> None:
    """Send a silent job the messages that bring it forward from where it is.

    Raises RetriesExhaustedError if that was done too often already, PlanExpiredError if its plan is gone.
    """
    if job.rescues >= MAX_RESCUES:
        last = f"; the last error was: {job.last_transient_error.message}" if job.last_transient_error else ""
        raise RetriesExhaustedError(f"the job made no progress in {job.rescues} retries{last}")
    # Read first: a job whose plan is lost is not counted as rescued.
    messages = _messages(job, work)
    if jobs.count_rescue(job, now=clock.now()):
        queue.send(messages)


def _messages(job: Job, work: Work) -> list[Message]:
    if job.state in (State.QUEUED, State.PLANNING):
        return [step_message(job, "plan")]
    if job.state is State.FINISHING:
        return [step_message(job, "finish")]
    return messages_for(job, load_plan(work.get(plan_key(job, job.plan_digest or ""))))


def retries_exhausted(job: Job, message: Message) -> RetriesExhaustedError:
    """Return the error that ends a job whose message reached the dead-letter queue, with the last transient error."""
    last = job.last_transient_error
    what = f"chunk {message.chunk}" if message.step == "tile" else f"the step '{message.step}'"
    reason = f"{last.message} ({last.code})" if last else "the worker stopped each time without an error"
    return RetriesExhaustedError(f"{what} failed after the maximum number of retries: {reason}")
