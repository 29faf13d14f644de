"""The `sync` hook: what lies under a prefix is compared with what readers see, and what is missing is submitted."""

from collections.abc import Collection
from functools import partial
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from chalicelib.core.jobs.model import Job, Options
from chalicelib.core.jobs.source import Source, parse_prefix
from chalicelib.core.jobs.sync import Sync, new_sync
from chalicelib.core.web.s3_notifications import Arrival
from chalicelib.hooks.upload import ObjectIdText, SlideOptions, UploadParameters, arrive, upload
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.slides import Slides
from chalicelib.ports.syncs import Syncs
from chalicelib.steps import sync as steps

name = "sync"


def _prefix(url: str) -> str:
    parse_prefix(url)
    return url


class SyncParameters(SlideOptions):
    """With collection and session all slides under the prefix go there; without, each key names its own, as an upload
    to the incoming bucket does, and is published as such."""

    model_config = ConfigDict(
        json_schema_extra={"dependentRequired": {"collection": ["session"], "session": ["collection"]}}
    )

    prefix: Annotated[
        str,
        AfterValidator(_prefix),
        WithJsonSchema({"type": "string", "pattern": r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9](/[\s\S]{0,1024})?$"}),
    ] = Field(description="s3://bucket/prefix of the slides")
    collection: ObjectIdText | None = Field(default=None, description="id of the collection")
    session: ObjectIdText | None = Field(default=None, description="id of a session of that collection")

    @model_validator(mode="after")
    def _names_both_or_none(self) -> Self:
        if (self.collection is None) is not (self.session is None):
            raise ValueError("name both `collection` and `session`, or none of them")
        if self.collection is None and self.options() != Options():
            raise ValueError("options go with `collection` and `session`: what each key names is published without")
        return self


def sync(
    parameters: SyncParameters,
    *,
    source_buckets: Collection[str],
    archive: Archive,
    syncs: Syncs,
    queue: Queue,
    clock: Clock,
) -> Sync:
    """Return the sync for a call, running: begun now, or the run that is at it.

    Raises BucketNotAllowedError, DestinationError.
    """
    bucket, prefix = parse_prefix(parameters.prefix)
    place = None
    if parameters.collection is not None and parameters.session is not None:
        place = archive.locate(parameters.collection, parameters.session, None)
    asked = new_sync(bucket, prefix, place, parameters.options(), now=clock.now())
    return steps.begin(asked, source_buckets=source_buckets, syncs=syncs, queue=queue)


def scheduled(
    bucket: str,
    *,
    every_seconds: float,
    source_buckets: Collection[str],
    syncs: Syncs,
    queue: Queue,
    clock: Clock,
) -> None:
    """Begin the sync of a whole bucket whose keys name the places, if it is due."""
    asked = new_sync(bucket, "", None, Options(), now=clock.now())
    if steps.is_due(syncs.get(asked.id), every_seconds=every_seconds, now=clock.now()):
        steps.begin(asked, source_buckets={*source_buckets, bucket}, syncs=syncs, queue=queue)


def go_on(
    sync: Sync,
    *,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    syncs: Syncs,
    clock: Clock,
) -> None:
    """Bring a sync forward, as far as there is time."""
    submit = partial(
        _submit, source_buckets=source_buckets, slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock
    )
    steps.work(sync, submit, slides=slides, jobs=jobs, archive=archive, syncs=syncs, clock=clock)


def _submit(
    sync: Sync,
    source: Source,
    *,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Submit an object as the sync asks for. Raises what an upload does, where nobody keeps it as a failed job."""
    if sync.place is None:
        arrival = Arrival(
            bucket=source.bucket,
            key=source.key,
            etag=source.etag,
            size_bytes=source.size_bytes,
            version_id=None,
            at=source.last_modified_at,
        )
        return arrive(
            arrival, source_buckets=source_buckets,
            slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
        )  # fmt: skip
    options = sync.options
    parameters = UploadParameters(
        source=f"s3://{source.bucket}/{source.key}",
        collection=sync.place.collection,
        session=sync.place.session,
        tile_size=options.tile_size,
        base_only=options.base_only,
        overwrite=options.overwrite,
        on_bad_tile=options.on_bad_tile,
        associated=options.associated,
    )
    return upload(
        parameters, source_buckets=source_buckets,
        slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
    )  # fmt: skip
