"""The `upload` hook: one source becomes one published slide."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from chalicelib.core.errors import BucketNotAllowedError, SlidehookError, TransientError
from chalicelib.core.jobs.model import Destination, Job, OnBadTile, Options, failed, new_job, problem
from chalicelib.core.jobs.source import OBJECT_ID, Source, destination_of_key, parse_s3_url
from chalicelib.core.web.s3_notifications import Arrival
from chalicelib.hooks import CallbackUrl, Parameters, S3Url, TileSize, validated
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.slides import Slides
from chalicelib.steps.submit import submit

name = "upload"


def _object_id(text: str) -> str:
    if not OBJECT_ID.fullmatch(text.lower()):
        raise ValueError("must be an ObjectId: 24 hexadecimal digits")
    return text.lower()


ObjectIdText = Annotated[
    str, AfterValidator(_object_id), WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}$"})
]


class SlideOptions(Parameters):
    """How a slide is published."""

    tile_size: TileSize | None = Field(
        default=None, description="edge of the published tiles in pixels; the file's own if left out"
    )
    base_only: bool = Field(default=False, description="publish the full resolution level only")
    overwrite: bool = Field(
        default=False, description="replace a slide of the same file name that came from another source"
    )
    on_bad_tile: OnBadTile = Field(
        default="blank",
        description="what stands for a tile that cannot be read: blank, nothing (skip), or fail the job",
    )
    associated: bool = Field(
        default=False, description="publish label, macro and thumbnail beside the slide; they can show a patient's name"
    )

    def options(self) -> Options:
        return Options(
            tile_size=self.tile_size,
            base_only=self.base_only,
            overwrite=self.overwrite,
            on_bad_tile=self.on_bad_tile,
            associated=self.associated,
        )


class UploadParameters(SlideOptions):
    """`source` is `s3://bucket/key` in a bucket that may be read; the ids are ObjectIds of SlideAtlas."""

    source: S3Url = Field(description="s3://bucket/key of a pyramidal TIFF")
    collection: ObjectIdText = Field(description="id of the collection")
    session: ObjectIdText = Field(description="id of a session of that collection")
    mongo_collection: ObjectIdText | None = Field(
        default=None, description="id of an image to replace, with its tile collection; a new one if left out"
    )
    force: bool = Field(default=False, description="do it again, also when readers see the result already")
    callback_url: CallbackUrl | None = Field(default=None, description="https URL that is told of each end of the job")


def upload(
    parameters: UploadParameters,
    *,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job for a call. Raises SourceError or DestinationError; nothing is left behind then."""
    bucket, key = parse_s3_url(parameters.source)
    if bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {bucket!r} may not be read", pointer="/source")
    destination = archive.locate(parameters.collection, parameters.session, parameters.mongo_collection)
    return submit(
        name, bucket, key, destination, parameters.options(), force=parameters.force,
        callback_url=parameters.callback_url,
        slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
    )  # fmt: skip


def arrive(
    arrival: Arrival,
    *,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Submit an object that has arrived: its key names collection and session.

    Nobody waits for an answer here, so what would be refused at the door becomes a failed job that can be seen. Raises
    TransientError.
    """
    collection = session = ""
    try:
        collection, session = destination_of_key(arrival.key)
        address = {"source": f"s3://{arrival.bucket}/{arrival.key}", "collection": collection, "session": session}
        parameters = validated(UploadParameters, address)
        return upload(
            parameters, source_buckets=source_buckets,
            slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
        )  # fmt: skip
    except TransientError:
        raise
    except SlidehookError as error:
        return _refused(arrival, collection, session, error, jobs=jobs, clock=clock)


def _refused(
    arrival: Arrival, collection: str, session: str, error: SlidehookError, *, jobs: Jobs, clock: Clock
) -> Job:
    """Keep an arrival that cannot be submitted as a failed job. The same arrival again is the same job."""
    now = clock.now()
    source = Source(
        bucket=arrival.bucket,
        key=arrival.key,
        etag=arrival.etag,
        size_bytes=arrival.size_bytes,
        version_id=arrival.version_id,
        last_modified_at=arrival.at,
    )
    nowhere = Destination(collection=collection, session=session, image_store="", database="")
    job = new_job(name, source, nowhere, Options(), now=now)
    ended = failed(job, problem(error), now=now, sweep_at=None)
    return jobs.create(ended)
