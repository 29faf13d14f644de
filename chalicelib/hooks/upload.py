"""The `upload` hook: publishes one object of S3 as a slide."""

from collections.abc import Collection

from pydantic import Field

from chalicelib.core.errors import DestinationError, SlideError, SourceError
from chalicelib.core.jobs.model import Job, OnBadTile, Options
from chalicelib.core.web.auth import Caller, Scope
from chalicelib.hooks.base import Hook, Parameters
from chalicelib.hooks.fields import CallbackUrl, ObjectIdText, S3Url, TileSize
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.slides import Slides
from chalicelib.steps.submit import submit_upload
from chalicelib.steps.visibility import (
    require_readable_source,
    require_replaceable_image,
    require_visible_destination,
)


class SlideOptions(Parameters):
    """How a slide is published."""

    tile_size: TileSize | None = Field(
        default=None, description="edge of the published tiles in pixels; the file's own tile size if omitted"
    )
    base_only: bool = Field(default=False, description="publish the full resolution level only")
    overwrite: bool = Field(
        default=False, description="replace a slide of the same file name that was published from another source"
    )
    on_bad_tile: OnBadTile = Field(
        default="blank",
        description="what to publish for a tile that cannot be read: a blank tile, nothing (skip), or fail the job",
    )
    associated: bool = Field(
        default=False,
        description="publish the associated images (label, macro, thumbnail); they can show a patient's name",
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
    """`source` is `s3://bucket/key` in an allowed source bucket; the ids are ObjectIds of SlideAtlas."""

    source: S3Url = Field(description="s3://bucket/key of a pyramidal TIFF")
    collection: ObjectIdText = Field(description="id of the collection")
    session: ObjectIdText = Field(description="id of a session of that collection")
    mongo_collection: ObjectIdText | None = Field(
        default=None, description="id of an image to replace, with its tile collection; a new image if omitted"
    )
    force: bool = Field(default=False, description="run the job again even if its slide is published")
    callback_url: CallbackUrl | None = Field(
        default=None, description="https URL that receives an event each time the job ends"
    )


def authorize(parameters: UploadParameters, caller: Caller, *, archive: Archive) -> None:
    """Raises NoSuchCollectionError, NoSuchSessionError, SourceNotAllowedError, NoSuchImageError."""
    require_visible_destination(caller, parameters.collection, parameters.session, archive=archive)
    require_readable_source(caller, parameters.source, pointer="/source")
    if parameters.mongo_collection is not None:
        place = archive.locate(parameters.collection, parameters.session, None)
        require_replaceable_image(caller, place.image_store, parameters.mongo_collection, archive=archive)


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
    """Return the job of a call. Raises SourceError or DestinationError; nothing is stored then."""
    return submit_upload(
        parameters.source, parameters.collection, parameters.session, parameters.options(),
        mongo_collection=parameters.mongo_collection, force=parameters.force, callback_url=parameters.callback_url,
        source_buckets=source_buckets, slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
    )  # fmt: skip


hook = Hook(
    name="upload",
    summary="Publish a slide",
    parameters=UploadParameters,
    scope=Scope.SUBMIT,
    authorize=authorize,
    run=upload,
    result=Job,
    errors=(SourceError, DestinationError, SlideError),
)
