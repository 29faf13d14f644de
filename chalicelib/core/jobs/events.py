"""What happens to a job, as lines: each change of its item is one, and says who made it and who asked for it.

| line       | told when                                                                                  |
|------------|--------------------------------------------------------------------------------------------|
| submitted  | the job is new                                                                             |
| again      | its next attempt begins: submitted again, retried, by force, or to repair what was spoilt   |
| planning   | the file's header is about to be read                                                      |
| planned    | levels, chunks, tiles and bytes are known                                                  |
| chunk      | a chunk is done: its tiles, bytes and seconds; `chunks` counts those done so far            |
| trouble    | a transient error was met; it is tried again                                               |
| rescued    | it was silent, and was sent its messages again                                             |
| finishing  | all chunks are done                                                                        |
| published, verified, failed, cancelled, superseded | the attempt has ended                              |
| swept      | what it had staged is given up and dropped                                                  |

So that a job's lines stay few, a slide of very many chunks tells of every n-th, and an error that all chunks meet is
told for some of them.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from chalicelib.core.jobs.model import ENDED, ChunkRecord, Job, Problem, State

Happening = Literal[
    "submitted", "again", "planning", "planned", "chunk", "trouble", "rescued", "finishing",
    "published", "verified", "failed", "cancelled", "superseded", "swept",
]  # fmt: skip
HAPPENINGS = frozenset(get_args(Happening))

# So many of a job's lines are kept: the newest.
MAX_EVENTS = 1000
MAX_MESSAGE = 500
CHUNK_LINES = 500
TROUBLED_CHUNKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line. `worker` is the function instance that did it; `asked_by` the request, arrival or sync that it goes
    back to, and `door` where that came in."""

    job: str
    at: float
    attempt: int
    event: Happening
    worker: str = ""
    asked_by: str | None = None
    door: str | None = None
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


def of_new(job: Job, *, at: float) -> Event:
    """Return the line of a job that is new. One that was refused on its arrival has ended at once."""
    return _of_end(job, at=at) if job.state in ENDED else _line(job, "submitted", at=at)


def of_move(was: Job, now: Job, *, at: float) -> Event | None:
    """Return the line of a move; None for those that nobody has to know of."""
    if now.attempt > was.attempt:
        anew = ", from the beginning" if now.generation > was.generation else ""
        return _line(now, "again", at=at, message=f"after {was.state}{anew}")
    if was.state in ENDED:
        if now.generation == was.generation:
            return None
        return _line(now, "swept", at=at, message=f"what generation {was.generation} had staged is dropped")
    match now.state:
        case State.PLANNING:
            return _line(now, "planning", at=at)
        case State.TILING:
            return _line(
                now, "planned", at=at, levels=len(now.levels), chunks=now.chunks_total, tiles=now.tiles_total,
                source_bytes=now.bytes_total, seconds=now.updated_at - was.updated_at,
            )  # fmt: skip
        case State.FINISHING:
            return _line(now, "finishing", at=at, tiles_bad=now.tiles_bad or None)
    return _of_end(now, at=at)


def of_chunk(job: Job, record: ChunkRecord, *, at: float) -> Event | None:
    """Return the line of a chunk that is done, if this one is told; `job` is the job after it."""
    done = len(job.chunks_done)
    if done % _stride(job, CHUNK_LINES) and not job.all_chunks_done:
        return None
    return _line(
        job, "chunk", at=at, chunk=record.number, chunks=done, tiles=record.tiles,
        tiles_bad=record.tiles_bad or None, source_bytes=record.source_bytes, seconds=record.seconds,
    )  # fmt: skip


def of_trouble(job: Job, trouble: Problem, *, chunk: int | None, at: float) -> Event | None:
    """Return the line of a transient error, if this one is told; `job` is the job before it."""
    is_known = job.trouble is not None and job.trouble.code == trouble.code
    if is_known and chunk is not None and chunk % _stride(job, TROUBLED_CHUNKS):
        return None
    return _line(job, "trouble", at=at, chunk=chunk, **_said(trouble))


def of_rescue(job: Job, *, at: float) -> Event:
    """Return the line of a rescue; `job` is the job before it."""
    return _line(job, "rescued", at=at, message=f"{job.state} and silent: sent again, for the {job.rescues + 1}. time")


def _of_end(job: Job, *, at: float) -> Event:
    seconds = at - job.started_at
    if job.state is State.DONE and job.findings is not None:
        kinds = ("missing", "altered", "doubled", "unexpected")
        told = ", ".join(f"{count} {kind}" for kind in kinds if (count := getattr(job.findings, kind)))
        return _line(job, "verified", at=at, tiles=job.tiles_total, seconds=seconds, message=told or "intact")
    if job.state is State.DONE:
        return _line(job, "published", at=at, tiles=job.tiles_total, tiles_bad=job.tiles_bad or None, seconds=seconds)
    event: Happening = "failed"
    if job.state is not State.FAILED:
        event = "cancelled" if job.state is State.CANCELLED else "superseded"
    return _line(job, event, at=at, seconds=seconds, **_said(job.error))


def _line(job: Job, event: Happening, *, at: float, **facts: object) -> Event:
    return Event(job=job.id, at=at, attempt=job.attempt, event=event, **facts)  # type: ignore[arg-type]


def _said(problem: Problem | None) -> dict[str, str]:
    if problem is None:
        return {}
    return {"code": problem.code, "message": problem.message[:MAX_MESSAGE], "hint": problem.hint[:MAX_MESSAGE]}


def _stride(job: Job, most: int) -> int:
    """Return of how many chunks one is told, so that at most so many are."""
    return max(1, -(-job.chunks_total // most))
