"""Upload a local file to the incoming bucket, in parts. An interrupted upload is resumed, and a complete one is not
repeated."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from chalicelib.cli.api import is_loopback
from chalicelib.cli.failures import SilentError, SlideFailure, plain

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MIN_PART_BYTES = 8 * 1024 * 1024
PART_VARIETY_BYTES = 1024 * 1024
MAX_PARTS = 10_000
THREADS = 4
READ_BYTES = 1024 * 1024
NOT_FOUND = 404

# Called with the number of bytes since the previous call.
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The incoming bucket."""

    name: str
    client: "S3Client"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the file. `number` counts from 1."""

    number: int
    start: int
    size_bytes: int


def incoming_bucket(settings: dict[str, Any]) -> Bucket:
    """Return the bucket that the service names, with a client that uses the credentials of the user."""
    import boto3
    from botocore.session import Session

    endpoint = settings.get("aws_endpoint")
    session = Session()
    keys: dict[str, Any] = {}
    with _translate_aws_errors("the incoming bucket"):
        if endpoint and is_loopback(endpoint):
            # An emulator does not need the credentials of an instance role, and the lookup takes seconds.
            session.get_component("credential_provider").remove("iam-role")
            if session.get_credentials() is None:
                # The emulator accepts any key; boto3 requires one.
                keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        # Parts are sent with their MD5. With the checksums of boto3, S3 would require those of the parts of an earlier
        # run as well.
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 5},
            request_checksum_calculation="when_required",
        )
        maker = boto3.Session(botocore_session=session, region_name=settings.get("region"))
        return Bucket(settings["incoming_bucket"], maker.client("s3", endpoint_url=endpoint, config=config, **keys))


def upload(path: Path, bucket: Bucket, key: str, *, reading: Progress, sending: Progress) -> bool:
    """Upload the file to `key`. Return False if the same bytes are already stored.

    Parts of an interrupted run are reused. Raises SlideFailure if the file changes meanwhile or S3 refuses it, and
    SilentError if S3 does not respond.
    """
    before = _state(path)
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise SlideFailure(f"{path.name} is empty", code="empty_source")
    digest = file_digest(path, reading)
    with _translate_aws_errors(f"s3://{bucket.name}/{key}"):
        if _is_there(bucket, key, size_bytes, digest):
            sending(size_bytes)
            return False
        if size_bytes <= MIN_PART_BYTES:
            _put(path, bucket, key, digest, before)
            sending(size_bytes)
        else:
            _upload_parts(path, bucket, key, digest, before, sending)
    return True


def file_digest(path: Path, progress: Progress = lambda _: None) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()


def parts_of(size_bytes: int, digest: str) -> list[Part]:
    """Return the parts of a file of this size and digest. They are the same on every run.

    The part size depends on the digest. S3 does not return the metadata of an unfinished upload, but it returns the
    sizes of its parts: so the parts of another file under the same key are recognized.
    """
    part_bytes = max(MIN_PART_BYTES, -(-size_bytes // MAX_PARTS)) + int(digest[:16], 16) % PART_VARIETY_BYTES
    starts = range(0, size_bytes, part_bytes)
    return [Part(index + 1, start, min(part_bytes, size_bytes - start)) for index, start in enumerate(starts)]


def _is_there(bucket: Bucket, key: str, size_bytes: int, digest: str) -> bool:
    try:
        found = bucket.client.head_object(Bucket=bucket.name, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == NOT_FOUND:
            return False
        raise
    return found["ContentLength"] == size_bytes and found.get("Metadata", {}).get("sha256") == digest


def _put(path: Path, bucket: Bucket, key: str, digest: str, before: tuple[int, ...]) -> None:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest or _state(path) != before:
        raise _changed(path)
    bucket.client.put_object(
        Bucket=bucket.name, Key=key, Body=data, Metadata={"sha256": digest}, ContentMD5=_base64(_md5(data))
    )


def _upload_parts(
    path: Path, bucket: Bucket, key: str, digest: str, before: tuple[int, ...], progress: Progress
) -> None:
    parts = parts_of(path.stat().st_size, digest)
    upload_id, known = _begin_or_resume(parts, bucket, key, digest)

    def send(part: Part) -> "CompletedPartTypeDef":
        data = _data(path, part)
        md5 = _md5(data)
        etag = f'"{md5.hex()}"'
        if known.get(part.number) != (part.size_bytes, etag):
            etag = bucket.client.upload_part(
                Bucket=bucket.name, Key=key, UploadId=upload_id,
                PartNumber=part.number, Body=data, ContentMD5=_base64(md5),
            )["ETag"]  # fmt: skip
        return {"PartNumber": part.number, "ETag": etag}

    sent: list[CompletedPartTypeDef] = []
    with ThreadPoolExecutor(THREADS) as pool:
        futures = {pool.submit(send, part): part for part in parts}
        try:
            for future in as_completed(futures):
                sent.append(future.result())
                progress(futures[future].size_bytes)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    # Checked before the upload is completed: an object must not have the digest of other bytes.
    if _state(path) != before:
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)
        raise _changed(path)
    bucket.client.complete_multipart_upload(
        Bucket=bucket.name, Key=key, UploadId=upload_id,
        MultipartUpload={"Parts": sorted(sent, key=lambda part: part["PartNumber"])},
    )  # fmt: skip


def _begin_or_resume(
    parts: list[Part], bucket: Bucket, key: str, digest: str
) -> tuple[str, dict[int, tuple[int, str]]]:
    """Return the id of a new or resumed multipart upload, and (size, ETag) of its stored parts.

    Uploads of other files under this key are not changed: they may be active. The bucket's lifecycle rule aborts them.
    """
    pages = bucket.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket.name, Prefix=key)
    sizes = {part.number: part.size_bytes for part in parts}
    for each in (found for page in pages for found in page.get("Uploads", []) if found["Key"] == key):
        known = _parts_of_upload(bucket, key, each["UploadId"])
        if known and all(size_bytes == sizes.get(number) for number, (size_bytes, _) in known.items()):
            return each["UploadId"], known
    started = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key, Metadata={"sha256": digest})
    return started["UploadId"], {}


def _parts_of_upload(bucket: Bucket, key: str, upload_id: str) -> dict[int, tuple[int, str]]:
    pages = bucket.client.get_paginator("list_parts").paginate(Bucket=bucket.name, Key=key, UploadId=upload_id)
    return {part["PartNumber"]: (part["Size"], part["ETag"]) for page in pages for part in page.get("Parts", [])}


def _state(path: Path) -> tuple[int, ...]:
    """Return values that change when the file is written or replaced."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _changed(path: Path) -> SlideFailure:
    return SlideFailure(
        f"{path.name} changed while it was uploaded",
        code="file_changed",
        hint="Run the command again when the file is complete.",
    )


@contextmanager
def _translate_aws_errors(what: str) -> Iterator[None]:
    """Raise SlideFailure or SilentError for errors of boto3."""
    try:
        yield
    except ClientError as error:
        raise SlideFailure(
            f"S3 refused {what}: {plain(error)}",
            code="upload_refused",
            hint="Check that your AWS credentials allow it. Uploaded parts are kept: run the command again.",
        ) from error
    except (HTTPClientError, NoConnectionError) as error:
        raise SilentError(
            f"S3 does not respond for {what}: {plain(error)}", hint="Run the command again to continue."
        ) from error
    except (BotoCoreError, ValueError) as error:
        raise SilentError(
            f"S3 cannot be called for {what}: {plain(error)}", hint="Check your AWS credentials and settings."
        ) from error


def _data(path: Path, part: Part) -> bytes:
    with path.open("rb") as file:
        file.seek(part.start)
        data = file.read(part.size_bytes)
    if len(data) != part.size_bytes:
        raise _changed(path)
    return data


def _md5(data: bytes) -> bytes:
    """Return the MD5 digest. S3 checks a part against it and uses it as the ETag."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
