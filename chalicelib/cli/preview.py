"""What an upload would do: the plan of the server, made here, of a local file or of an object by a few range reads."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.cli.failures import SlideFailure, plain
from chalicelib.core.blocks import BlockStream
from chalicelib.core.errors import SlidehookError
from chalicelib.core.pyramid import Pyramid, plan_pyramid
from chalicelib.core.tiff import read_ifds


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a slide."""

    tile_size: int | None
    base_only: bool


def preview_file(path: Path, wanted: Wanted) -> dict[str, Any]:
    """Return what would be published of a local file. Raises SlideFailure if it would be refused."""
    with path.open("rb") as file:
        return _preview(file, path.stat().st_size, wanted, path.name)


def preview_object(client: Any, bucket: str, key: str, wanted: Wanted) -> dict[str, Any]:
    """Return what would be published of an object."""
    try:
        size_bytes = int(client.head_object(Bucket=bucket, Key=key)["ContentLength"])

        def fetch(start: int, stop: int) -> bytes:
            answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
            return cast(bytes, answer["Body"].read())

        stream: io.RawIOBase = BlockStream(fetch, size_bytes)
        return _preview(cast(BinaryIO, stream), size_bytes, wanted, key.rsplit("/", 1)[-1])
    except (ClientError, BotoCoreError) as error:
        raise SlideFailure(f"s3://{bucket}/{key} cannot be read: {plain(error)}", code="no_such_source") from error


def _preview(file: BinaryIO, size_bytes: int, wanted: Wanted, name: str) -> dict[str, Any]:
    try:
        pyramid = plan_pyramid(
            read_ifds(file, size_bytes=size_bytes),
            size_bytes=size_bytes, tile_size=wanted.tile_size, base_only=wanted.base_only,
        )  # fmt: skip
    except SlidehookError as error:
        raise SlideFailure(f"{name}: {plain(error)}", code=error.code, hint=error.advice) from error
    return _described(pyramid, size_bytes)


def _described(pyramid: Pyramid, size_bytes: int) -> dict[str, Any]:
    return {
        "size_bytes": size_bytes,
        "tile_size_px": pyramid.tile_size_px,
        "tiles": sum(level.tiles for level in pyramid.levels),
        "tile_bytes": sum(level.size_bytes for level in pyramid.levels),
        "levels": [
            {
                "level": level.level,
                "width_px": level.width_px,
                "height_px": level.height_px,
                "columns": level.columns,
                "rows": level.rows,
                "tiles": level.tiles,
                "made": level.made,
            }
            for level in pyramid.levels
        ],
    }
