"""What one step asks another to do, and where it finds what was left for it."""

from dataclasses import dataclass, field
from typing import Literal

from chalicelib.core.jobs.model import Job
from chalicelib.core.plan.chunks import Plan

Step = Literal["plan", "tile", "finish", "sync", "deliver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`plan` or `finish` a job, or `tile` one chunk of it; or go on with a `sync`, whose id stands for a job's and
    whose run for the attempt; or `deliver` what is told of an attempt's end. For an attempt that is over the others ask
    for nothing. `delay_seconds` is how long the queue keeps it first, up to 15 minutes.

    `group` is whose it is (a collection; empty: nobody's): a queue is fair among groups, so that a slide of one is not
    kept waiting by the bulk import of another. A message that was received does not know it any more.
    """

    do: Step
    job: str
    attempt: int
    chunk: int | None = None
    delivery: str | None = None
    group: str = field(default="", compare=False)
    delay_seconds: int = field(default=0, compare=False)


def ask(job: Job, do: Step, chunk: int | None = None) -> Message:
    """Return the message that asks for a step of the job's attempt."""
    return Message(do=do, job=job.id, attempt=job.attempt, chunk=chunk, group=job.destination.collection)


# SQS keeps none for longer.
LONGEST_DELAY_SECONDS = 900


def messages_for(job: Job, plan: Plan) -> list[Message]:
    """Return the messages that bring a tiling job forward from here: its ready chunks, or `finish`."""
    ready = plan.ready(job.chunks_done)
    if not ready:
        return [ask(job, "finish")]
    return [ask(job, "tile", chunk.number) for chunk in ready]


def plan_key(job: Job, plan_digest: str) -> str:
    """The key of the plan's head in the work bucket. It names its content's digest, so what it names never changes."""
    return f"jobs/{job.id}/{plan_digest}/plan.json"


def records_key(job: Job, plan_digest: str) -> str:
    return f"jobs/{job.id}/{plan_digest}/records.bin"


def coverage_key(job: Job, plan_digest: str) -> str:
    """The key of what each chunk of the plan covers (core.plan.progress_map): what a map is made of."""
    return f"jobs/{job.id}/{plan_digest}/coverage.bin"


def beside_key(job: Job, plan_digest: str) -> str:
    """The key of what is published beside the tiles: the colour profile and associated images."""
    return f"jobs/{job.id}/{plan_digest}/beside.json"


def pixels_key(job: Job, level: int, column: int, row: int) -> str:
    """The key of a made tile's halved pixels that one stage hands on to the next."""
    return f"jobs/{job.id}/{job.plan_digest}/pixels/{level}/{column}_{row}"
