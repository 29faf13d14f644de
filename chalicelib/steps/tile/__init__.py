"""Tile: read one chunk of a slide from S3 and store its tiles in MongoDB.

Several threads read, complete and insert, each one window of the source at a time. Network and database work
concurrently, and the windows limit the memory.
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
    """Store the tiles of chunk `number`, mark it as done, and send the messages of chunks that have become ready.

    `threads` is the number of threads that read and write, `cores` the number of threads that decode and encode. Safe
    to retry and to run concurrently, because the id of a tile is derived from its content. Raises SourceError if the
    object has changed since it was pinned, CorruptTileError for a damaged tile with the option `on_bad_tile=fail`,
    OutOfTimeError, TileConflictError, PlanExpiredError.
    """
    if job.state is not State.TILING:
        return
    plan = load_plan(work.get(plan_key(job, job.plan_digest or "")))
    if number in job.chunks_done:
        # A repeated message: the worker may have stopped before it sent the next messages.
        _send_next_stage(job, plan, number, queue)
        return
    started_at = clock.now()
    context = ChunkContext(job, plan, plan.chunks[number], threads, cores, slides, archive, work, clock)
    _process(context)
    # The chunk is marked as done after MongoDB has acknowledged all tiles. A crash in between repeats the chunk.
    record = ChunkRecord(
        number=number,
        tiles=len(context.tile_ids),
        source_bytes=context.chunk.source_bytes,
        digest=digest_sum(context.tile_ids),
        ended_at=(ended_at := clock.now()),
        seconds=ended_at - started_at,
        tiles_bad=len(context.bad_tiles),
        skipped=tuple(context.skipped) if any(context.skipped) else (),
        bad_tiles=tuple(sorted(context.bad_tiles, key=lambda bad: (bad.level, bad.row, bad.column))[:MAX_BAD_TILES]),
        **_faults(context),
    )
    after = jobs.finish_chunk(job, record)
    if after is not None:
        _send_next_stage(after, plan, number, queue)


def _faults(context: ChunkContext) -> dict[str, Any]:
    """Return the additional fields of the chunk record of a verification."""
    if not context.faults:
        return {}
    kinds = [found.fault for found in context.faults]
    return {
        **{kind: kinds.count(kind) for kind in FAULTS},
        "surplus": sum(found.documents - 1 for found in context.faults if found.fault == "doubled"),
        "faults": tuple(sorted(context.faults, key=lambda found: (found.level, found.row, found.column))[:MAX_FAULTS]),
    }


def _process(context: ChunkContext) -> None:
    if context.chunk.kind == "copy":
        copy(context)
        return
    # Imported here, because workers that copy do not need codecs and numpy.
    if context.chunk.kind == "crop":
        from chalicelib.steps.tile.crop import crop

        crop(context)
    else:
        from chalicelib.steps.tile.make import make

        make(context)


def _send_next_stage(job: Job, plan: Plan, number: int, queue: Queue) -> None:
    """Send the messages of the next stage, or of `finish`, if chunk `number` was the last one of its stage."""
    ready = plan.ready(job.chunks_done)
    if not ready or ready[0].stage > plan.chunks[number].stage:
        queue.send(messages_for(job, plan))
