"""Rescue: each minute, send the messages of jobs without progress again.

The time since the last progress counts, not the age of a job, because a queue can be long. Messages are idempotent and
are sent again at growing intervals.
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
# The part of an invocation that is reserved for the tasks after the rescues.
RESERVE_SECONDS = 30.0


def silent_jobs(*, jobs: Jobs, clock: Clock) -> Iterator[Job]:
    """Yield the live jobs without progress for longer than their interval, until RESERVE_SECONDS remain.

    All pages are read, because jobs with long intervals would hide the others. The states alternate page by page, the
    longest silent jobs of each first.
    """
    before = clock.now() - SILENCE_SECONDS
    last_jobs: dict[State, Job | None] = dict.fromkeys(sorted(LIVE))
    while last_jobs:
        for state, last in tuple(last_jobs.items()):
            if clock.remaining_seconds() < RESERVE_SECONDS:
                return
            page = jobs.silent(state, before=before, limit=BATCH, after=last)
            if len(page) < BATCH:
                del last_jobs[state]
            else:
                last_jobs[state] = page[-1]
            due = (job for job in page if clock.now() - job.updated_at >= silence_seconds(job.rescues))
            yield from takewhile(lambda _: clock.remaining_seconds() >= RESERVE_SECONDS, due)


def rescue(job: Job, *, jobs: Jobs, work: Work, queue: Queue, clock: Clock) -> None:
    """Send the messages of the current step of a silent job again.

    Raises RetriesExhaustedError after MAX_RESCUES rescues, PlanExpiredError if the plan does not exist.
    """
    if job.rescues >= MAX_RESCUES:
        last = f"; the last error was: {job.last_transient_error.message}" if job.last_transient_error else ""
        raise RetriesExhaustedError(f"the job made no progress in {job.rescues} retries{last}")
    # Before the job is counted as rescued, because the plan may not exist.
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
    """Return the error for a job whose message is in the dead-letter queue, with the last transient error."""
    last = job.last_transient_error
    unit = f"chunk {message.chunk}" if message.step == "tile" else f"the step '{message.step}'"
    reason = f"{last.message} ({last.code})" if last else "the worker stopped each time without an error"
    return RetriesExhaustedError(f"{unit} failed after the maximum number of retries: {reason}")
