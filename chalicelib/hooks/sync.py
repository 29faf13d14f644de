"""The `sync` hook: compares a prefix of S3 with the published slides and submits new and changed ones."""

from collections.abc import Collection
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from chalicelib.core.errors import BucketNotAllowedError, DestinationError
from chalicelib.core.jobs.model import Options
from chalicelib.core.jobs.source import DIRECT_PREFIX, parse_prefix
from chalicelib.core.jobs.sync import Sync, new_sync
from chalicelib.core.web.auth import Caller, Scope, collection_of_key
from chalicelib.hooks.base import Hook
from chalicelib.hooks.fields import ObjectIdText
from chalicelib.hooks.upload import SlideOptions
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.queue import Queue
from chalicelib.ports.syncs import Syncs
from chalicelib.steps.sync import begin
from chalicelib.steps.visibility import require_readable_source, require_visible_destination


def _prefix(url: str) -> str:
    parse_prefix(url)
    return url


class SyncParameters(SlideOptions):
    """With `collection` and `session`, all slides below the prefix are published there. Without them, each key names
    its own destination, as for an upload to the incoming bucket."""

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
    def _has_both_or_none(self) -> Self:
        if (self.collection is None) is not (self.session is None):
            raise ValueError("`collection` and `session` require each other")
        if self.collection is None and self.options() != Options():
            raise ValueError("options require `collection` and `session`")
        return self


def authorize(parameters: SyncParameters, caller: Caller, *, archive: Archive) -> None:
    """Raises NoSuchCollectionError, NoSuchSessionError, SourceNotAllowedError."""
    prefix = parse_prefix(parameters.prefix)[1].removeprefix(DIRECT_PREFIX)
    collection = parameters.collection or collection_of_key(prefix)
    require_visible_destination(caller, collection, parameters.session, archive=archive)
    require_readable_source(caller, parameters.prefix, pointer="/prefix")


def sync(
    parameters: SyncParameters,
    *,
    source_buckets: Collection[str],
    archive: Archive,
    syncs: Syncs,
    queue: Queue,
    clock: Clock,
) -> Sync:
    """Return the sync of a call: a new run, or the one that is running.

    Raises BucketNotAllowedError, DestinationError.
    """
    bucket, prefix = parse_prefix(parameters.prefix)
    place = None
    if parameters.collection is not None and parameters.session is not None:
        place = archive.locate(parameters.collection, parameters.session, None)
    requested = new_sync(bucket, prefix, place, parameters.options(), now=clock.now())
    return begin(requested, source_buckets=source_buckets, syncs=syncs, queue=queue)


hook = Hook(
    name="sync",
    summary="Submit new and changed slides of a prefix",
    parameters=SyncParameters,
    scope=Scope.SUBMIT,
    authorize=authorize,
    run=sync,
    result=Sync,
    errors=(BucketNotAllowedError, DestinationError),
)
