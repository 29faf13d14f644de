"""Preview of an upload: the plan that the service would make, for a local file or, by a few range reads, an object."""

from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.cli.failures import SlideFailure, plain
from chalicelib.core.errors import SlidehookError, TruncatedError, UnsupportedError
from chalicelib.core.jobs.model import Options
from chalicelib.core.plan.analysis import analyze
from chalicelib.core.plan.estimate import described
from chalicelib.core.tiff.range_file import BlockStream

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# The default of the service.
CHUNK_BYTES = 32 * 1024 * 1024


def preview(file: BinaryIO, size_bytes: int, options: Options) -> dict[str, Any]:
    """Return the plan of a file as JSON. Raises SlideFailure if the service would refuse it."""
    try:
        file.seek(0)
        found = analyze(file, size_bytes=size_bytes, options=options)
        return described(found, size_bytes=size_bytes, chunk_bytes=CHUNK_BYTES)
    except SlidehookError as error:
        raise SlideFailure(str(error), code=error.code, hint=error.advice) from error


def unsupported_reason(file: BinaryIO, size_bytes: int, options: Options) -> str | None:
    """Return why the service would refuse a file, None if it would accept it or a conversion would not help.

    Raises SlideFailure for a file that a converter must not touch: it could publish the label instead of the slide.
    """
    try:
        file.seek(0)
        analyze(file, size_bytes=size_bytes, options=options)
    except TruncatedError:
        return None
    except UnsupportedError as error:
        if not error.convertible:
            raise SlideFailure(str(error), code=error.code, hint=error.advice) from error
        return str(error)
    except SlidehookError as error:
        return str(error)
    return None


def preview_object(client: "S3Client", bucket: str, key: str, options: Options) -> dict[str, Any]:
    """Return the plan of an object as JSON. Raises SlideFailure as `preview` does."""
    try:
        head = client.head_object(Bucket=bucket, Key=key)
        size_bytes = head["ContentLength"]

        def fetch(start: int, stop: int) -> bytes:
            answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=head["ETag"])
            return answer["Body"].read()

        stream = cast(BinaryIO, BlockStream(fetch, size_bytes))
        return preview(stream, size_bytes, options)
    except (ClientError, BotoCoreError) as error:
        raise SlideFailure(
            f"s3://{bucket}/{key} cannot be read: {plain(error)}",
            code="no_such_source",
            hint="Check the key, and that your AWS credentials may read it. The service uses its own credentials.",
        ) from error


def plan_text(plan: dict[str, Any]) -> list[str]:
    """Return the lines that describe a plan."""
    if "converter" in plan:
        return [f"  converted by {plan['converter']} first ({plan['reason']}); this decides the levels"]
    pixels = f"{plan['width_px']} x {plan['height_px']} px in {plan['size_bytes']} bytes"
    lines = [f"  {pixels}: {plan['tiles']} tiles of {plan['tile_size_px']} px"]
    slide = plan["slide"]
    facts = [
        f"{slide['mpp_x']:g} micrometres per pixel" if slide["mpp_x"] else "",
        f"{slide['magnification']:g} x" if slide["magnification"] else "",
        slide["vendor"] or "",
    ]
    if any(facts):
        lines.append(f"  {', '.join(each for each in facts if each)}")
    lines += [_level_text(level) for level in plan["levels"]]
    if plan["associated"]:
        lines.append(f"  {', '.join(plan['associated'])}: not published without --associated")
    estimate = plan["estimate"]
    lines.append(f"  about {estimate['seconds']:g} s and {estimate['dollars']:.4f} USD on AWS (without MongoDB)")
    return lines


METHODS = {"passthrough": "copied", "lossless-crop": "lossless crop", "re-encoded": "re-encoded"}


def _level_text(level: dict[str, Any]) -> str:
    method = level["method"]
    if method in METHODS:
        stored = level["stored"]
        method = f"{level['size_bytes']} bytes, {stored['compression']} in {stored['kind']}, {METHODS[method]}"
    sparse = f", {level['sparse']} not stored in the file" if level["sparse"] else ""
    return (
        f"  level {level['level']}: {level['width_px']} x {level['height_px']} px,"
        f" {level['columns']} x {level['rows']}, {level['tiles']} tiles{sparse}, {method}"
    )
