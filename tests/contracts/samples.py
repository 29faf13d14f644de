"""Values that the contract suites speak about."""

from dataclasses import replace
from typing import Any

from chalicelib.core.ids import tile_id
from chalicelib.core.jobs.model import ChunkRecord, Destination, Job, Options, Problem, State, new_job
from chalicelib.core.jobs.source import Source
from chalicelib.ports.archive import ImageFacts, Tile

COLLECTION = "0000000000000000000c0001"
OTHER_COLLECTION = "0000000000000000000c0002"
SESSION = "0000000000000000000e0001"
OTHER_SESSION = "0000000000000000000e0002"
STORE = "0000000000000000000d0001"
OTHER_STORE = "0000000000000000000d0002"
NAMED_IMAGE = "0000000000000000000a0001"

BUSY = Problem(code="mongodb_unavailable", message="MongoDB did not answer", hint="It is tried again by itself.")


def a_source(key: str = "slide.svs", etag: str = '"one"', at: float = 500.0) -> Source:
    return Source(bucket="slides", key=key, etag=etag, size_bytes=4096, version_id="v1", last_modified_at=at)


def a_job(
    key: str = "slide.svs",
    *,
    source: Source | None = None,
    session: str = SESSION,
    database: str = "tiles",
    mongo_collection: str | None = None,
    overwrite: bool = False,
    now: float = 1700000000.123456,
    **changes: Any,
) -> Job:
    """A queued job of the slide `key`, with `changes` to its fields."""
    destination = Destination(
        collection=COLLECTION,
        session=session,
        image_store=STORE,
        database=database,
        mongo_collection=mongo_collection,
    )
    job = new_job("upload", source or a_source(key), destination, Options(overwrite=overwrite), now=now)
    return replace(job, **changes)


def a_tiling_job(key: str = "slide.svs", **changes: Any) -> Job:
    planned = {"state": State.TILING, "chunks_total": 3, "tiles_total": 30, "bytes_total": 3000}
    return a_job(key, **{**planned, **changes})


def an_ended_job(key: str = "slide.svs", **changes: Any) -> Job:
    return a_job(key, **{"state": State.FAILED, "ended_at": 1700000100.5, **changes})


def a_record(number: int, *, tiles: int = 10, source_bytes: int = 1000, at: float = 1700000050.75) -> ChunkRecord:
    return ChunkRecord(number=number, tiles=tiles, source_bytes=source_bytes, digest=2**96 - 1 - number, ended_at=at)


def a_tile(name: str, jpeg: bytes = b"jpeg") -> Tile:
    return Tile(name, len(name) - len(".jpg"), jpeg, tile_id(name, jpeg))


def some_tiles(mark: bytes = b"") -> list[Tile]:
    """A quadtree of two levels: the root and its four tiles. Other `mark`, other contents."""
    return [a_tile(name, name.encode() + mark) for name in ("t.jpg", "tq.jpg", "tr.jpg", "tt.jpg", "ts.jpg")]


def facts_of(job: Job) -> ImageFacts:
    return ImageFacts(file_name=job.source.file_name, width_px=500, height_px=400, tile_size_px=256, levels=2)
