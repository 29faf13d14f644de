"""What an upload would do: the plan of the server, made here, of a file or of an object by a few range reads."""

from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.cli.failures import SlideFailure, plain
from chalicelib.core.blocks import BlockStream
from chalicelib.core.errors import SlidehookError
from chalicelib.core.pyramid import Pyramid, plan_pyramid
from chalicelib.core.tiff import read_ifds

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def preview(file: BinaryIO, size_bytes: int, *, tile_size: int | None, base_only: bool) -> dict[str, Any]:
    """Return what would be published of a file. Raises SlideFailure if it would be refused."""
    try:
        file.seek(0)
        ifds = read_ifds(file, size_bytes=size_bytes)
        pyramid = plan_pyramid(ifds, size_bytes=size_bytes, tile_size=tile_size, base_only=base_only)
    except SlidehookError as error:
        raise SlideFailure(str(error), code=error.code, hint=error.advice) from error
    return _described(pyramid, size_bytes)


def preview_object(
    client: "S3Client", bucket: str, key: str, *, tile_size: int | None, base_only: bool
) -> dict[str, Any]:
    """Return what would be published of an object."""
    try:
        head = client.head_object(Bucket=bucket, Key=key)
        size_bytes = head["ContentLength"]

        def fetch(start: int, stop: int) -> bytes:
            answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=head["ETag"])
            return answer["Body"].read()

        stream = cast(BinaryIO, BlockStream(fetch, size_bytes))
        return preview(stream, size_bytes, tile_size=tile_size, base_only=base_only)
    except (ClientError, BotoCoreError) as error:
        raise SlideFailure(
            f"s3://{bucket}/{key} cannot be read: {plain(error)}",
            code="no_such_source",
            hint="Check the key, and that your own AWS credentials may read it; the service has its own.",
        ) from error


def _described(pyramid: Pyramid, size_bytes: int) -> dict[str, Any]:
    return {
        "size_bytes": size_bytes,
        "width_px": pyramid.width_px,
        "height_px": pyramid.height_px,
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
                "sparse": level.sparse,
                "size_bytes": level.size_bytes,
                "made": level.made,
            }
            for level in pyramid.levels
        ],
    }


def plan_text(plan: dict[str, Any]) -> list[str]:
    """Return a plan in lines for a reader."""
    if "converter" in plan:
        return [f"  first converted by {plan['converter']} ({plan['reason']}); its levels are known after that"]
    pixels = f"{plan['width_px']} x {plan['height_px']} px in {plan['size_bytes']} bytes"
    lines = [f"  {pixels}: {plan['tiles']} tiles of {plan['tile_size_px']} px"]
    for level in plan["levels"]:
        how = f"{level['size_bytes']} bytes, passed through" if level["made"] == "passthrough" else level["made"]
        sparse = f", {level['sparse']} left out by the file" if level["sparse"] else ""
        lines.append(
            f"  level {level['level']}: {level['width_px']} x {level['height_px']} px,"
            f" {level['columns']} x {level['rows']}, {level['tiles']} tiles{sparse}, {how}"
        )
    return lines
