"""Messages between steps, and the keys of the objects that a step leaves in the work bucket for another."""

from dataclasses import dataclass, field
from typing import Literal

from chalicelib.core.jobs.model import Job
from chalicelib.core.plan.chunks import Plan

Step = Literal["plan", "tile", "finish", "sync", "deliver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that runs one step.

    `plan` and `finish` belong to a job, `tile` to a chunk of it. `sync` continues a sync: `job` is then the id of the
    sync and `attempt` its run. `deliver` sends a callback. A message of an attempt that has ended is dropped, except
    `deliver`. The queue delays the message by `delay_seconds`, up to 15 minutes.

    `group` is the collection of the job, or empty. SQS serves groups fairly, so that the bulk import of one collection
    does not delay a slide of another. A received message has no group.
    """

    step: Step
    job: str
    attempt: int
    chunk: int | None = None
    delivery: str | None = None
    group: str = field(default="", compare=False)
    delay_seconds: int = field(default=0, compare=False)


def step_message(job: Job, step: Step, chunk: int | None = None) -> Message:
    """Return the message that runs a step of the job's current attempt."""
    return Message(step=step, job=job.id, attempt=job.attempt, chunk=chunk, group=job.destination.collection)


# The maximum delay of SQS.
LONGEST_DELAY_SECONDS = 900


def messages_for(job: Job, plan: Plan) -> list[Message]:
    """Return the next messages of a tiling job: one for each ready chunk, or `finish` if all are done."""
    ready = plan.ready(job.chunks_done)
    if not ready:
        return [step_message(job, "finish")]
    return [step_message(job, "tile", chunk.number) for chunk in ready]


def plan_key(job: Job, plan_digest: str) -> str:
    """The key of the plan's head in the work bucket. It names its content's digest, so what it names never changes."""
    return f"jobs/{job.id}/{plan_digest}/plan.json"


def records_key(job: Job, plan_digest: str) -> str:
    return f"jobs/{job.id}/{plan_digest}/records.bin"


def coverage_key(job: Job, plan_digest: str) -> str:
    """The key of what each chunk of the plan covers (core.plan.progress_map): what a map is made of."""
    return f"jobs/{job.id}/{plan_digest}/coverage.bin"


def associated_data_key(job: Job, plan_digest: str) -> str:
    """The key of the ICC profile and the associated images."""
    # The name of the object is that of earlier versions: a job may be planned by one and finished by another.
    return f"jobs/{job.id}/{plan_digest}/beside.json"


def pixels_key(job: Job, level: int, column: int, row: int) -> str:
    """The key of a made tile's halved pixels that one stage hands on to the next."""
    return f"jobs/{job.id}/{job.plan_digest}/pixels/{level}/{column}_{row}"
