"""The `inspect` hook: describes what an upload would do. It reads the header of the slide and writes nothing."""

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from chalicelib.core.errors import BucketNotAllowedError, SlideError, SourceError
from chalicelib.core.jobs.model import OnBadTile, Options
from chalicelib.core.jobs.source import parse_s3_url
from chalicelib.core.web.auth import Caller, Scope
from chalicelib.hooks.base import Document, Hook, JobError, LevelDocument, Parameters
from chalicelib.hooks.fields import Count, Px, S3Url, TileSize
from chalicelib.ports.clock import Clock
from chalicelib.ports.slides import Slides
from chalicelib.steps.inspect import inspect as inspect_source
from chalicelib.steps.visibility import require_readable_source


class InspectParameters(Parameters):
    """The options are those of `upload`, with the same meaning."""

    source: S3Url = Field(description="s3://bucket/key of a pyramidal TIFF")
    tile_size: TileSize | None = Field(
        default=None, description="edge of the published tiles in pixels; the file's own tile size if omitted"
    )
    base_only: bool = Field(default=False, description="publish the full resolution level only")
    on_bad_tile: OnBadTile = Field(
        default="blank",
        description="what to publish for a tile that cannot be read: a blank tile, nothing (skip), or fail the job",
    )


class StoredLevel(Document):
    """How the file stores a level."""

    compression: str
    kind: Literal["tiles", "strips"]
    width_px: Px
    height_px: Px


class InspectedLevel(LevelDocument):
    """A level that would be published. `stored` is null for a level that would be downsampled from another one."""

    size_bytes: Count
    stored: StoredLevel | None
    beyond_end: Count


class InspectedSlide(Document):
    """Metadata of the slide; null where the file has none."""

    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    icc_profile_bytes: Count


class Estimate(Document):
    """The estimated cost of an upload."""

    seconds: float
    worker_seconds: float
    dollars: float


class Publishable(Document):
    """What an upload would publish."""

    verdict: Literal["publish"]
    source: str
    etag: str
    size_bytes: Count
    width_px: Px
    height_px: Px
    tile_size_px: Px
    slide: InspectedSlide
    tiles: Count
    tile_bytes: Count
    chunks: Count
    levels: list[InspectedLevel]
    associated: list[str]
    estimate: Estimate
    requests: Count


class Unpublishable(Document):
    """Why an upload would be refused."""

    verdict: Literal["refuse"]
    source: str
    etag: str
    size_bytes: Count
    reason: JobError
    requests: Count


def authorize(parameters: InspectParameters, caller: Caller) -> None:
    """Raises SourceNotAllowedError."""
    require_readable_source(caller, parameters.source, pointer="/source")


def inspect(
    parameters: InspectParameters,
    *,
    source_buckets: Collection[str],
    chunk_bytes: int,
    slides: Slides,
    clock: Clock,
) -> dict[str, object]:
    """Return a `Publishable` or `Unpublishable` as JSON. Raises SourceError for an object that cannot be read."""
    bucket, key = parse_s3_url(parameters.source)
    if bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {bucket!r} may not be read", pointer="/source")
    options = Options(
        tile_size=parameters.tile_size, base_only=parameters.base_only, on_bad_tile=parameters.on_bad_tile
    )
    return inspect_source(bucket, key, options, chunk_bytes=chunk_bytes, slides=slides, clock=clock)


hook = Hook(
    name="inspect",
    summary="Describe what an upload would do",
    parameters=InspectParameters,
    scope=Scope.SUBMIT,
    authorize=authorize,
    run=inspect,
    result=(Publishable, Unpublishable),
    errors=(SourceError, SlideError),
)
