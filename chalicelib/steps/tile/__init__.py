"""Tile: bring one chunk of a slide from S3 to MongoDB.

Reading, splicing and inserting run on a few threads, a window of the source each, so that neither the database nor the
network waits for the other, and memory is bounded by the windows.
"""

from typing import Any, get_args

from chalicelib.core.ids import digest_sum
from chalicelib.core.jobs.model import ChunkRecord, Job, State
from chalicelib.core.jobs.transitions import MAX_BAD_TILES
from chalicelib.core.jobs.verification import MAX_FAULTS, Fault
from chalicelib.core.plan.chunks import Plan
from chalicelib.core.plan.messages import messages_for, plan_key
from chalicelib.core.plan.plan_format import load_plan
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.slides import Slides
from chalicelib.ports.work import Work
from chalicelib.steps.tile.chunk_context import ChunkContext
from chalicelib.steps.tile.copy import copy

FAULTS = get_args(Fault)


def tile(
    job: Job,
    number: int,
    *,
    threads: int,
    cores: int,
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    work: Work,
    queue: Queue,
    clock: Clock,
) -> None:
    """Store the tiles of chunk `number` and mark it done; send what has become ready by it.

    `threads` read and write at once, `cores` of them decode and encode.
    Safe to retry and to run concurrently: the same bytes have the same ids. Raises SourceError if
    the object is not what was pinned, CorruptTileError for a damaged tile if the job is not to survive one,
    OutOfTimeError, TileConflictError, PlanExpiredError.
    """
    if job.state is not State.TILING:
        return
    plan = load_plan(work.get(plan_key(job, job.plan_digest or "")))
    if number in job.chunks_done:
        # It came again: the one who did it may have died before the next messages were sent.
        _forward(job, plan, number, queue)
        return
    begun_at = clock.now()
    context = ChunkContext(job, plan, plan.chunks[number], threads, cores, slides, archive, work, clock)
    _work_through(context)
    # Only after the database acknowledged every tile the chunk is marked: a crash in between repeats the tiles.
    record = ChunkRecord(
        number=number,
        tiles=len(context.ids),
        source_bytes=context.chunk.source_bytes,
        digest=digest_sum(context.ids),
        ended_at=(ended_at := clock.now()),
        seconds=ended_at - begun_at,
        tiles_bad=len(context.bad),
        skipped=tuple(context.skipped) if any(context.skipped) else (),
        bad_tiles=tuple(sorted(context.bad, key=lambda bad: (bad.level, bad.row, bad.column))[:MAX_BAD_TILES]),
        **_faults(context),
    )
    after = jobs.finish_chunk(job, record)
    if after is not None:
        _forward(after, plan, number, queue)


def _faults(context: ChunkContext) -> dict[str, Any]:
    """What the record of a verification's chunk says more."""
    if not context.faults:
        return {}
    kinds = [found.fault for found in context.faults]
    return {
        **{kind: kinds.count(kind) for kind in FAULTS},
        "surplus": sum(found.documents - 1 for found in context.faults if found.fault == "doubled"),
        "faults": tuple(sorted(context.faults, key=lambda found: (found.level, found.row, found.column))[:MAX_FAULTS]),
    }


def _work_through(context: ChunkContext) -> None:
    if context.chunk.kind == "copy":
        copy(context)
        return
    # Codecs and numpy are paid for by those who decode only.
    if context.chunk.kind == "crop":
        from chalicelib.steps.tile.crop import crop

        crop(context)
    else:
        from chalicelib.steps.tile.make import make

        make(context)


def _forward(job: Job, plan: Plan, number: int, queue: Queue) -> None:
    """Send the next stage, or `finish`, if chunk `number` was the last one of its stage."""
    ready = plan.ready(job.chunks_done)
    if not ready or ready[0].stage > plan.chunks[number].stage:
        queue.send(messages_for(job, plan))
