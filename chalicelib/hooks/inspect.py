"""The `inspect` hook: what an upload would do, answered at once. Nothing is written anywhere."""

from collections.abc import Collection

from pydantic import Field

from chalicelib.core.errors import BucketNotAllowedError
from chalicelib.core.jobs.model import OnBadTile, Options
from chalicelib.core.jobs.source import parse_s3_url
from chalicelib.hooks import Parameters, S3Url, TileSize
from chalicelib.ports.clock import Clock
from chalicelib.ports.slides import Slides
from chalicelib.steps.inspect import inspect as inspect_source

name = "inspect"


class InspectParameters(Parameters):
    """The options are those of `upload`, with the same meaning."""

    source: S3Url = Field(description="s3://bucket/key of a pyramidal TIFF")
    tile_size: TileSize | None = Field(
        default=None, description="edge of the published tiles in pixels; the file's own if left out"
    )
    base_only: bool = Field(default=False, description="publish the full resolution level only")
    on_bad_tile: OnBadTile = Field(
        default="blank",
        description="what stands for a tile that cannot be read: blank, nothing (skip), or fail",
    )


def inspect(
    parameters: InspectParameters,
    *,
    source_buckets: Collection[str],
    chunk_bytes: int,
    slides: Slides,
    clock: Clock,
) -> dict[str, object]:
    """Return what an upload would do. Raises SourceError for an object that cannot be read."""
    bucket, key = parse_s3_url(parameters.source)
    if bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {bucket!r} may not be read", pointer="/source")
    options = Options(
        tile_size=parameters.tile_size, base_only=parameters.base_only, on_bad_tile=parameters.on_bad_tile
    )
    return inspect_source(bucket, key, options, chunk_bytes=chunk_bytes, slides=slides, clock=clock)
