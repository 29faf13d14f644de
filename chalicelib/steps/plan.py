"""Plan: read the header of a slide, divide its tiles into chunks, create the staging collection, send the chunks."""

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from chalicelib.core.jobs.model import Job, LevelSummary, State
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.transitions import planning, tiling
from chalicelib.core.plan.associated_data import dump_associated_data
from chalicelib.core.plan.chunks import build_plan
from chalicelib.core.plan.messages import associated_data_key, coverage_key, messages_for, plan_key, records_key
from chalicelib.core.plan.plan_format import dump_plan, load_plan, plan_digest
from chalicelib.core.plan.progress_map import coverage
from chalicelib.core.plan.pyramid import Pyramid
from chalicelib.core.tiff.range_file import BlockStream
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.slides import Slides
from chalicelib.ports.work import Work

if TYPE_CHECKING:
    from chalicelib.core.plan.analysis import Analysis


def plan(
    job: Job,
    *,
    chunk_bytes: int,
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    work: Work,
    queue: Queue,
    clock: Clock,
) -> None:
    """Plan a queued job: it becomes `tiling`. Safe to retry.

    Raises SlideError for a file that cannot be published, SourceError if the object has changed since it was pinned.
    """
    if job.state is State.TILING:
        # A repeated message: the worker may have stopped before it sent the chunks.
        queue.send(messages_for(job, load_plan(work.get(plan_key(job, job.plan_digest or "")))))
        return
    if job.state not in (State.QUEUED, State.PLANNING):
        return
    started = planning(job, now=clock.now())
    if not jobs.move(job, started):
        return
    # Imported here, because workers that copy or finish do not need parser and codecs.
    from chalicelib.core.imaging.raster import blank

    analysis = analyzed(started, slides)
    pyramid = analysis.pyramid
    chunked, records = build_plan(pyramid, chunk_bytes=chunk_bytes, blank=blank(pyramid.tile_size_px))
    head = dump_plan(chunked)
    digest = plan_digest(head, records)
    # Stored before the job is `tiling`, because the chunks read them. A crash in between repeats the plan, which is
    # deterministic.
    work.put(plan_key(started, digest), head)
    work.put(records_key(started, digest), records)
    work.put(coverage_key(started, digest), coverage(chunked, records))
    work.put(associated_data_key(started, digest), dump_associated_data(analysis.associated_data))
    if started.verifies is None:
        archive.stage(started)
    planned = tiling(
        started,
        plan_digest=digest,
        tile_size_px=pyramid.tile_size_px,
        levels=_summary(pyramid),
        chunks_total=len(chunked.chunks),
        tiles_total=chunked.tiles,
        bytes_total=chunked.source_bytes,
        slide=analysis.slide,
        now=clock.now(),
    )
    if jobs.move(started, planned):
        queue.send(messages_for(planned, chunked))


def analyzed(job: Job, slides: Slides) -> "Analysis":
    """Return the analysis of the job's source with its options. Reads a few ranges. Raises SlideError, SourceError."""
    from chalicelib.core.plan.analysis import analyze

    return analyze(header_stream(job.source, slides), size_bytes=job.source.size_bytes, options=job.options)


def header_stream(source: Source, slides: Slides) -> BinaryIO:
    """Return a stream of the object that reads blocks on demand."""
    stream: io.RawIOBase = BlockStream(lambda start, stop: slides.read(source, start, stop), source.size_bytes)
    return cast(BinaryIO, stream)


def _summary(pyramid: Pyramid) -> tuple[LevelSummary, ...]:
    return tuple(
        LevelSummary(
            level=level.level,
            width_px=level.width_px,
            height_px=level.height_px,
            columns=level.columns,
            rows=level.rows,
            tiles=level.tiles,
            sparse=level.sparse,
            method=level.method,
        )
        for level in pyramid.levels
    )
