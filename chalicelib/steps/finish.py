"""Finish: check that all tiles are stored, publish the generation, and schedule the cleanup of the replaced one.

It may die between any two lines and be run again from the first: each looks before it acts.
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
    """Bring a job whose chunks are all done to `done`, or to `superseded` if readers already see something newer.

    Harmless to repeat. Raises VerificationError if the tiles are not what the chunks said they wrote, SourceError if
    the object is not what was pinned any more.
    """
    if job.state is State.TILING and job.all_chunks_done:
        # The last read may be long ago. Once only: what may be published already does not fail for it.
        slides.read(job.source, 0, 1)
        bad_tiles = tuple(bad for record in jobs.chunk_records(job) for bad in record.bad_tiles)
        begun = finishing(job, bad_tiles=bad_tiles, now=clock.now())
        if not jobs.move(job, begun):
            return
        job = begun
    if job.state is not State.FINISHING:
        return
    if archive.has_newer_publication(job):
        # What this job staged is dropped by the other one: there is nothing to verify any more.
        _supersede(job, jobs, archive, clock)
        return
    records = jobs.chunk_records(job)
    _refuse_too_many(job, records)
    verified = _verify(job, records, archive)
    switch = archive.publish(job, _facts(job, work), now=clock.now(), verified=verified)
    if not switch.won:
        _supersede(job, jobs, archive, clock)
        return
    # Before the job is done, so that a retry after a crash schedules the cleanup again.
    _schedule_cleanups(switch.replaced, jobs, clock)
    destination = job.destination
    published = Published(
        image=job.image, view=switch.view, image_store=destination.image_store, database=destination.database
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
        message=f"readers see, or are about to see, something newer than this version of {job.source}",
        hint="Nothing to do. To show these bytes after all, submit them again.",
    )
    jobs.move(job, superseded(job, newer, now=clock.now(), cleanup_at=clock.now() + LATE_SECONDS))


def _refuse_too_many(job: Job, records: Sequence[ChunkRecord]) -> None:
    """Raise TooManyBadTilesError if so many tiles are damaged that what is left is no slide. One never is too many."""
    bad = sum(record.tiles_bad for record in records)
    if bad > max(1, BAD_TILE_SHARE * job.tiles_total):
        first = job.bad_tiles[0]
        raise TooManyBadTilesError(
            f"{bad} of {job.tiles_total} tiles cannot be read, more than {BAD_TILE_SHARE:.0%};"
            f" the first, ({first.column}, {first.row}) of level {first.level} at byte {first.offset}: {first.reason}"
        )


def _verify(job: Job, records: Sequence[ChunkRecord], archive: Archive) -> CollectionStats:
    """Compare counts by level, and the digest of all tiles, with what was planned and what the chunks wrote; return
    what is there. Raises VerificationError."""
    depth = job.depth
    skipped = [sum(record.skipped[level.level] for record in records if record.skipped) for level in job.levels]
    planned = {
        depth - level.level: level.tiles - left_out
        for level, left_out in zip(job.levels, skipped, strict=True)
        if level.tiles > left_out
    }
    written = sum(record.digest for record in records) % SUM_MODULUS
    expected = CollectionStats(tiles_by_depth=planned, digest=written)
    staged_stats = archive.staged_stats(job, expected)
    for tiles_depth in sorted(planned.keys() | staged_stats.tiles_by_depth.keys()):
        wanted, found = planned.get(tiles_depth, 0), staged_stats.tiles_by_depth.get(tiles_depth, 0)
        if wanted != found:
            raise VerificationError(f"level {depth - tiles_depth} should have {wanted} tiles and has {found}")
    if written != staged_stats.digest:
        raise VerificationError("the stored tiles are not those that were written")
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
