"""What an upload would do, in plain values: for the `inspect` hook, and for the command line's dry run."""

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.core.jobs.model import Job, LevelSummary, State
from chalicelib.core.plan.analysis import Analysis
from chalicelib.core.plan.chunks import build_plan
from chalicelib.core.plan.progress_map import Cost
from chalicelib.core.plan.pyramid import Level, Pyramid
from chalicelib.core.plan.read_windows import WINDOW_BYTES

# Tiles of 256 px a second. Copying waits for the database, however many workers there are; what is decoded and encoded
# waits for a worker's core. Measured by `make bench` (docs/performance.md), rounded down.
COPIED_PER_SECOND = 6000.0
CUT_PER_SECOND = 3000.0
ENCODED_PER_SECOND = 1000.0
REFERENCE_TILE_PX = 256
WORKERS = 10  # as infra/deploy/resources.yaml lets MongoDB be asked by
START_SECONDS = 2.0
# US dollars in us-east-1, on demand, as of 2026; MongoDB, which is not AWS', is not in it.
DOLLARS_PER_WORKER_SECOND = 1769 / 1024 * 0.0000166667
DOLLARS_PER_READ = 0.0000004
DOLLARS_PER_MESSAGE = 3 * 0.0000004  # sent, received, deleted
DOLLARS_PER_TABLE_WRITE = 0.000000625
WRITES_PER_CHUNK, WRITES_PER_JOB = 2, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What publishing costs: seconds from the call, seconds of workers, US dollars at AWS."""

    seconds: float
    worker_seconds: float
    dollars: float


def described(analyze: Analysis, *, size_bytes: int, chunk_bytes: int) -> dict[str, object]:
    """Return how a slide of `size_bytes` would be published, ready for JSON."""
    pyramid, slide = analyze.pyramid, analyze.slide
    plan, _ = build_plan(pyramid, chunk_bytes=chunk_bytes)
    estimate = estimated(pyramid, chunks=len(plan.chunks), source_bytes=plan.source_bytes)
    return {
        "size_bytes": size_bytes,
        "width_px": pyramid.width_px,
        "height_px": pyramid.height_px,
        "tile_size_px": pyramid.tile_size_px,
        "slide": {
            "mpp_x": slide.mpp_x,
            "mpp_y": slide.mpp_y,
            "magnification": slide.magnification,
            "vendor": slide.vendor,
            "icc_profile_bytes": slide.icc_profile_bytes,
        },
        "tiles": plan.tiles,
        "tile_bytes": plan.source_bytes,
        "chunks": len(plan.chunks),
        "levels": [_level(level) for level in pyramid.levels],
        "associated": [name for name, _ in pyramid.associated],
        "estimate": {
            "seconds": round(estimate.seconds, 1),
            "worker_seconds": round(estimate.worker_seconds, 1),
            "dollars": round(estimate.dollars, 6),
        },
    }


def _level(level: Level) -> dict[str, object]:
    ifd = level.ifd
    return {
        "level": level.level,
        "width_px": level.width_px,
        "height_px": level.height_px,
        "columns": level.columns,
        "rows": level.rows,
        "tiles": level.tiles,
        "sparse": level.sparse,
        "size_bytes": level.size_bytes,
        "method": level.method,
        "stored": None
        if ifd is None
        else {
            "compression": ifd.compression_name,
            "kind": "tiles" if ifd.is_tiled else "strips",
            "width_px": ifd.tile_width_px,
            "height_px": ifd.tile_height_px,
        },
        "beyond_end": level.beyond,
    }


def estimated(pyramid: Pyramid, *, chunks: int, source_bytes: int) -> Estimate:
    """Return what publishing a pyramid takes, in `chunks` messages that read `source_bytes`."""
    stored = sum(level.tiles for level in pyramid.levels) * _area(pyramid.tile_size_px) / COPIED_PER_SECOND
    worked = _worked(pyramid.levels, pyramid.tile_size_px)
    waited = max(stored, worked / min(WORKERS, max(1, chunks)))
    return Estimate(
        seconds=START_SECONDS + waited,
        worker_seconds=START_SECONDS + worked,
        dollars=_dollars(START_SECONDS + worked, chunks=chunks, source_bytes=source_bytes),
    )


def spent(job: Job) -> Cost:
    """Return what a job has cost so far: as an estimate has it, for what is done, with a start for each attempt."""
    complete = job.state in (State.FINISHING, State.DONE)
    share = 1.0 if complete else job.tiles_done / max(1, job.tiles_total)
    worker_seconds = START_SECONDS * job.attempt + _worked(job.levels, job.tile_size_px) * share
    chunks = job.chunks_total if complete else len(job.chunks_done)
    read = job.bytes_total if complete else job.bytes_done
    return Cost(worker_seconds=worker_seconds, dollars=_dollars(worker_seconds, chunks=chunks, source_bytes=read))


def _area(tile_size_px: int) -> float:
    return (tile_size_px / REFERENCE_TILE_PX) ** 2


def _worked(levels: Iterable[Level | LevelSummary], tile_size_px: int) -> float:
    """Return how many seconds workers are at all tiles of these levels."""
    rates = {
        "passthrough": COPIED_PER_SECOND,
        "lossless-crop": CUT_PER_SECOND,
        "re-encoded": ENCODED_PER_SECOND,
        "downsampled": ENCODED_PER_SECOND,
    }
    return sum(level.tiles * _area(tile_size_px) / rates[level.method] for level in levels)


def _dollars(worker_seconds: float, *, chunks: int, source_bytes: int) -> float:
    reads = source_bytes / WINDOW_BYTES + 3 * chunks
    return (
        worker_seconds * DOLLARS_PER_WORKER_SECOND
        + reads * DOLLARS_PER_READ
        + (chunks + 2) * DOLLARS_PER_MESSAGE
        + (chunks * WRITES_PER_CHUNK + WRITES_PER_JOB) * DOLLARS_PER_TABLE_WRITE
    )
