"""The events of a job. Each change of a job is an event, with the worker that made it and the request that caused it.

| event           | recorded when                                                                  |
|-----------------|--------------------------------------------------------------------------------|
| submitted       | the job is new                                                                 |
| requeued        | the next attempt starts: submitted again, retried, forced, or a repair         |
| planning        | a worker starts to read the header of the file                                 |
| planned         | levels, chunks, tiles and bytes are known                                      |
| chunk           | a chunk is done: its tiles, bytes and seconds; `chunks` counts all done chunks |
| transient_error | a transient error occurred; the step is retried                                |
| rescued         | the job was silent, and its messages were sent again                           |
| finishing       | all chunks are done                                                            |
| published, verified, failed, cancelled, superseded | the attempt has ended                       |
| cleaned_up      | a generation was discarded and its tiles are deleted                           |

The number of events is limited. A slide with many chunks records every n-th chunk, and an error that all chunks meet
is recorded for some of them.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from chalicelib.core.jobs.model import ENDED, ChunkRecord, Job, Problem, State

EventName = Literal[
    "submitted", "requeued", "planning", "planned", "chunk", "transient_error", "rescued", "finishing",
    "published", "verified", "failed", "cancelled", "superseded", "cleaned_up",
]  # fmt: skip
EVENT_NAMES = frozenset(get_args(EventName))

# The newest events of a job are kept, up to this number.
MAX_EVENTS = 1000
MAX_MESSAGE = 500
MAX_CHUNK_EVENTS = 500
MAX_ERROR_EVENTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event. `worker` is the function instance that made the change, `request_id` the request, S3 event or sync that
    caused it, and `entrypoint` the handler that received it."""

    job: str
    at: float
    attempt: int
    event: EventName
    worker: str = ""
    request_id: str | None = None
    entrypoint: str | None = None
    chunk: int | None = None
    chunks: int | None = None
    levels: int | None = None
    tiles: int | None = None
    tiles_bad: int | None = None
    source_bytes: int | None = None
    seconds: float | None = None
    code: str | None = None
    message: str | None = None
    hint: str | None = None


def new_job_event(job: Job, *, at: float) -> Event:
    """Return the event of a new job. A job that was refused when it was submitted has already ended."""
    return _end_event(job, at=at) if job.state in ENDED else _event(job, "submitted", at=at)


def move_event(was: Job, now: Job, *, at: float) -> Event | None:
    """Return the event of a state move; None if the move is not recorded."""
    if now.attempt > was.attempt:
        restart = ", from the beginning" if now.generation > was.generation else ""
        return _event(now, "requeued", at=at, message=f"after {was.state}{restart}")
    if was.state in ENDED:
        if now.generation == was.generation:
            return None
        return _event(
            now, "cleaned_up", at=at, message=f"the staged tiles of generation {was.generation} are discarded"
        )
    match now.state:
        case State.PLANNING:
            return _event(now, "planning", at=at)
        case State.TILING:
            return _event(
                now, "planned", at=at, levels=len(now.levels), chunks=now.chunks_total, tiles=now.tiles_total,
                source_bytes=now.bytes_total, seconds=now.updated_at - was.updated_at,
            )  # fmt: skip
        case State.FINISHING:
            return _event(now, "finishing", at=at, tiles_bad=now.tiles_bad or None)
    return _end_event(now, at=at)


def chunk_event(job: Job, record: ChunkRecord, *, at: float) -> Event | None:
    """Return the event of a finished chunk, None if this one is not recorded. `job` is the job after it."""
    done = len(job.chunks_done)
    if done % _stride(job, MAX_CHUNK_EVENTS) and not job.all_chunks_done:
        return None
    return _event(
        job, "chunk", at=at, chunk=record.number, chunks=done, tiles=record.tiles,
        tiles_bad=record.tiles_bad or None, source_bytes=record.source_bytes, seconds=record.seconds,
    )  # fmt: skip


def transient_error_event(job: Job, error: Problem, *, chunk: int | None, at: float) -> Event | None:
    """Return the event of a transient error, None if this one is not recorded. `job` is the job before it."""
    is_known = job.last_transient_error is not None and job.last_transient_error.code == error.code
    if is_known and chunk is not None and chunk % _stride(job, MAX_ERROR_EVENTS):
        return None
    return _event(job, "transient_error", at=at, chunk=chunk, **_problem_fields(error))


def rescue_event(job: Job, *, at: float) -> Event:
    """Return the event of a rescue. `job` is the job before it."""
    return _event(
        job, "rescued", at=at, message=f"silent in state {job.state}: messages sent again ({job.rescues + 1})"
    )


def _end_event(job: Job, *, at: float) -> Event:
    seconds = at - job.started_at
    if job.state is State.DONE and job.findings is not None:
        kinds = ("missing", "altered", "doubled", "unexpected")
        counts = ", ".join(f"{count} {kind}" for kind in kinds if (count := getattr(job.findings, kind)))
        return _event(job, "verified", at=at, tiles=job.tiles_total, seconds=seconds, message=counts or "intact")
    if job.state is State.DONE:
        return _event(job, "published", at=at, tiles=job.tiles_total, tiles_bad=job.tiles_bad or None, seconds=seconds)
    event: EventName = "failed"
    if job.state is not State.FAILED:
        event = "cancelled" if job.state is State.CANCELLED else "superseded"
    return _event(job, event, at=at, seconds=seconds, **_problem_fields(job.error))


def _event(job: Job, event: EventName, *, at: float, **facts: object) -> Event:
    return Event(job=job.id, at=at, attempt=job.attempt, event=event, **facts)  # type: ignore[arg-type]


def _problem_fields(problem: Problem | None) -> dict[str, str]:
    if problem is None:
        return {}
    return {"code": problem.code, "message": problem.message[:MAX_MESSAGE], "hint": problem.hint[:MAX_MESSAGE]}


def _stride(job: Job, most: int) -> int:
    """Return n so that at most `most` chunks are recorded if every n-th is."""
    return max(1, -(-job.chunks_total // most))
