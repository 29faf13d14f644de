"""Decides which step a message runs, and whether its work is still pending."""

from typing import Literal

from chalicelib.core.jobs.model import Job
from chalicelib.core.plan.messages import Message

Step = Literal["plan", "tile", "finish", "finish_verification"]


def step_of(message: Message, job: Job) -> Step:
    """Return the step that a message of a job runs. A verification ends with its own last step."""
    if message.step == "plan":
        return "plan"
    if message.step == "tile" and message.chunk is not None:
        return "tile"
    return "finish" if job.verifies is None else "finish_verification"


def is_pending(message: Message, job: Job) -> bool:
    """Return whether the work of a message is still to be done: another message may have done it."""
    if message.step == "plan":
        return job.plan_digest is None or job.tiling_at is None
    return message.chunk not in job.chunks_done
