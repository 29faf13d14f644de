"""Finish: verify the staged tiles, publish the generation, and schedule the cleanup of the replaced one.

The step can be interrupted at any line and run again from the start.
"""

from collections.abc import Sequence

from chalicelib.core.errors import TooManyBadTilesError, VerificationError
from chalicelib.core.ids import SUM_MODULUS
from chalicelib.core.jobs.backoff import GRACE_SECONDS, LATE_SECONDS
from chalicelib.core.jobs.model import ChunkRecord, Job, Problem, Published, State
from chalicelib.core.jobs.transitions import done, finishing, superseded
from chalicelib.core.plan.associated_data import AssociatedData, load_associated_data
from chalicelib.core.plan.messages import associated_data_key
from chalicelib.core.plan.pyramid import BAD_TILE_SHARE
from chalicelib.ports.archive import Archive, AssociatedImage, CollectionStats, ImageFacts
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.slides import Slides
from chalicelib.ports.work import Work


def finish(job: Job, *, slides: Slides, jobs: Jobs, archive: Archive, work: Work, clock: Clock) -> None:
    """Publish a finished generation: the job becomes `done`, or `superseded` if a newer generation is published.

    Safe to retry. Raises VerificationError if the staged tiles differ from the chunk records, TooManyBadTilesError if
    too many tiles are damaged, SourceError if the object has changed since it was pinned.
    """
    if job.state is State.TILING and job.all_chunks_done:
        # The object may have changed since the last chunk. A finishing job is not checked again, because it may already
        # be published.
        slides.read(job.source, 0, 1)
        bad_tiles = tuple(bad for record in jobs.chunk_records(job) for bad in record.bad_tiles)
        started = finishing(job, bad_tiles=bad_tiles, now=clock.now())
        if not jobs.move(job, started):
            return
        job = started
    if job.state is not State.FINISHING:
        return
    if archive.has_newer_publication(job):
        # The newer job drops the staging collection of this one, so that it cannot be verified.
        _supersede(job, jobs, archive, clock)
        return
    records = jobs.chunk_records(job)
    _check_bad_tiles(job, records)
    verified = _verify(job, records, archive)
    result = archive.publish(job, _facts(job, work), now=clock.now(), verified=verified)
    if not result.won:
        _supersede(job, jobs, archive, clock)
        return
    # Before the job is done, so that a retry after a crash schedules the cleanup again.
    _schedule_cleanups(result.replaced, jobs, clock)
    destination = job.destination
    published = Published(
        image=job.image, view=result.view, image_store=destination.image_store, database=destination.database
    )
    jobs.move(job, done(job, published, now=clock.now()))


def _schedule_cleanups(replaced: Sequence[str], jobs: Jobs, clock: Clock) -> None:
    for each in replaced:
        jobs.schedule_cleanup(each, clock.now() + GRACE_SECONDS)


def _supersede(job: Job, jobs: Jobs, archive: Archive, clock: Clock) -> None:
    # An earlier run of this step may have switched a view and stopped before it scheduled the cleanups.
    _schedule_cleanups(archive.replaced(job), jobs, clock)
    newer = Problem(
        code="newer_generation",
        message=f"a newer generation than this version of {job.source} is published or is being published",
        hint="No action is needed. To publish this version, submit it again.",
    )
    jobs.move(job, superseded(job, newer, now=clock.now(), cleanup_at=clock.now() + LATE_SECONDS))


def _check_bad_tiles(job: Job, records: Sequence[ChunkRecord]) -> None:
    """Raise TooManyBadTilesError if more than one tile and more than BAD_TILE_SHARE of all tiles are damaged."""
    bad = sum(record.tiles_bad for record in records)
    if bad > max(1, BAD_TILE_SHARE * job.tiles_total):
        first = job.bad_tiles[0]
        raise TooManyBadTilesError(
            f"{bad} of {job.tiles_total} tiles are damaged, more than {BAD_TILE_SHARE:.0%}. The first is"
            f" ({first.column}, {first.row}) of level {first.level} at byte {first.offset}: {first.reason}"
        )


def _verify(job: Job, records: Sequence[ChunkRecord], archive: Archive) -> CollectionStats:
    """Compare the staged tiles with the plan (tiles by level) and the chunk records (digest). Return their stats.

    Raises VerificationError if they differ.
    """
    depth = job.depth
    skipped = [sum(record.skipped[level.level] for record in records if record.skipped) for level in job.levels]
    planned = {
        depth - level.level: level.tiles - skipped_tiles
        for level, skipped_tiles in zip(job.levels, skipped, strict=True)
        if level.tiles > skipped_tiles
    }
    written = sum(record.digest for record in records) % SUM_MODULUS
    expected = CollectionStats(tiles_by_depth=planned, digest=written)
    staged_stats = archive.staged_stats(job, expected)
    for tiles_depth in sorted(planned.keys() | staged_stats.tiles_by_depth.keys()):
        expected_tiles, staged_tiles = planned.get(tiles_depth, 0), staged_stats.tiles_by_depth.get(tiles_depth, 0)
        if expected_tiles != staged_tiles:
            raise VerificationError(
                f"level {depth - tiles_depth} has {staged_tiles} staged tiles; the plan has {expected_tiles}"
            )
    if written != staged_stats.digest:
        raise VerificationError("the staged tiles differ from the tiles that were written")
    return staged_stats


def _facts(job: Job, work: Work) -> ImageFacts:
    base, slide = job.levels[0], job.slide
    associated_data = AssociatedData()
    if slide.icc_profile_bytes or slide.associated:
        associated_data = load_associated_data(work.get(associated_data_key(job, job.plan_digest or "")))
    return ImageFacts(
        file_name=job.source.file_name,
        width_px=base.width_px,
        height_px=base.height_px,
        tile_size_px=job.tile_size_px,
        levels=job.depth,
        levels_published=len(job.levels),
        slide=slide,
        icc_profile=associated_data.icc_profile,
        associated=tuple(AssociatedImage(name=name, jpeg=jpeg) for name, jpeg in associated_data.pictures),
    )
