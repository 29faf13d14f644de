"""What one step asks another to do, and where it finds what was left for it."""

from dataclasses import dataclass
from typing import Literal

from chalicelib.core.chunk import Plan
from chalicelib.core.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`plan` or `finish` a job, or `tile` one chunk of it. For an attempt that is over it asks for nothing."""

    do: Literal["plan", "tile", "finish"]
    job: str
    attempt: int
    chunk: int | None = None


def messages_for(job: Job, plan: Plan) -> list[Message]:
    """Return the messages that bring a tiling job forward from here: its ready chunks, or `finish`."""
    ready = plan.ready(job.chunks_done)
    if not ready:
        return [Message(do="finish", job=job.id, attempt=job.attempt)]
    return [Message(do="tile", job=job.id, attempt=job.attempt, chunk=chunk.number) for chunk in ready]


def plan_key(job: Job, plan_digest: str) -> str:
    """The key of the plan's head in the work bucket. It names its content's digest, so what it names never changes."""
    return f"jobs/{job.id}/{plan_digest}/plan.json"


def records_key(job: Job, plan_digest: str) -> str:
    return f"jobs/{job.id}/{plan_digest}/records.bin"


def beside_key(job: Job, plan_digest: str) -> str:
    """The key of what is published beside the tiles: the colour profile and associated images."""
    return f"jobs/{job.id}/{plan_digest}/beside.json"


def pixels_key(job: Job, level: int, column: int, row: int) -> str:
    """The key of a made tile's halved pixels that one stage hands on to the next."""
    return f"jobs/{job.id}/{job.plan_digest}/pixels/{level}/{column}_{row}"
