"""A local file into the incoming bucket: in parts, resumed where an earlier run stopped, never twice."""

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

# Called with the number of bytes that are done, besides those of the calls before.
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket that slides are brought to."""

    name: str
    client: "S3Client"


@dataclass(frozen=True, slots=True)
class Part:
    """A run of the file: `number` counts from 1."""

    number: int
    start: int
    size_bytes: int


def incoming_bucket(settings: dict[str, Any]) -> Bucket:
    """Return the bucket that the service names, under the user's own AWS credentials."""
    import boto3
    from botocore.session import Session

    endpoint = settings.get("aws_endpoint")
    session = Session()
    keys: dict[str, Any] = {}
    with _told("the incoming bucket"):
        if endpoint and is_loopback(endpoint):
            # No emulator on this machine asks for the keys of a cloud machine, and to look for one takes seconds.
            session.get_component("credential_provider").remove("iam-role")
            if session.get_credentials() is None:
                # It takes any key, but boto3 does not go without one.
                keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        # Parts are sent with their MD5. With boto3's own checksums S3 would ask for those of the parts that an earlier
        # run sent.
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 5},
            request_checksum_calculation="when_required",
        )
        maker = boto3.Session(botocore_session=session, region_name=settings.get("region"))
        return Bucket(settings["incoming_bucket"], maker.client("s3", endpoint_url=endpoint, config=config, **keys))


def upload(path: Path, bucket: Bucket, key: str, *, reading: Progress, sending: Progress) -> bool:
    """Bring the file to `key`; return False if the very same bytes are there already.

    Parts that an interrupted run left are used again. Raises SlideFailure if the file changes meanwhile or S3 refuses
    it, SilentError if S3 does not answer.
    """
    before = _state(path)
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise SlideFailure(f"{path.name} is empty", code="empty_source")
    digest = file_digest(path, reading)
    with _told(f"s3://{bucket.name}/{key}"):
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
    """Return the parts that a file of this size and digest is cut into: the same on every run.

    The size of the parts follows from the digest: S3 does not tell the metadata of an unfinished upload, but it tells
    the sizes of its parts, so that those of another file under the same key do not pass for ours.
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
    upload_id, known = _begun(parts, bucket, key, digest)

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
    # Before the object is complete: it must never stand under the digest of other bytes.
    if _state(path) != before:
        bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)
        raise _changed(path)
    bucket.client.complete_multipart_upload(
        Bucket=bucket.name, Key=key, UploadId=upload_id,
        MultipartUpload={"Parts": sorted(sent, key=lambda part: part["PartNumber"])},
    )  # fmt: skip


def _begun(parts: list[Part], bucket: Bucket, key: str, digest: str) -> tuple[str, dict[int, tuple[int, str]]]:
    """Return the multipart upload to go on with, and (size, ETag) of the parts that it has.

    Uploads of other files under this key are left alone, for somebody may be at it; the bucket forgets them in time.
    """
    pages = bucket.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket.name, Prefix=key)
    sizes = {part.number: part.size_bytes for part in parts}
    for each in (found for page in pages for found in page.get("Uploads", []) if found["Key"] == key):
        known = _parts_of_upload(bucket, key, each["UploadId"])
        if known and all(size_bytes == sizes.get(number) for number, (size_bytes, _) in known.items()):
            return each["UploadId"], known
    begun = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key, Metadata={"sha256": digest})
    return begun["UploadId"], {}


def _parts_of_upload(bucket: Bucket, key: str, upload_id: str) -> dict[int, tuple[int, str]]:
    pages = bucket.client.get_paginator("list_parts").paginate(Bucket=bucket.name, Key=key, UploadId=upload_id)
    return {part["PartNumber"]: (part["Size"], part["ETag"]) for page in pages for part in page.get("Parts", [])}


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when somebody writes to the file, or puts another in its place."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _changed(path: Path) -> SlideFailure:
    return SlideFailure(
        f"{path.name} changed while it was uploaded", code="file_changed", hint="Run again when it is complete."
    )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the errors of AWS into ours."""
    try:
        yield
    except ClientError as error:
        raise SlideFailure(
            f"S3 refused {what}: {plain(error)}",
            code="upload_refused",
            hint="Check that your AWS credentials may write there. What was sent is kept: run again to go on.",
        ) from error
    except (HTTPClientError, NoConnectionError) as error:
        raise SilentError(f"S3 does not answer for {what}: {plain(error)}", hint="Run again to go on.") from error
    except (BotoCoreError, ValueError) as error:
        raise SilentError(
            f"S3 cannot be asked for {what}: {plain(error)}", hint="Check your AWS credentials and settings."
        ) from error


def _data(path: Path, part: Part) -> bytes:
    with path.open("rb") as file:
        file.seek(part.start)
        data = file.read(part.size_bytes)
    if len(data) != part.size_bytes:
        raise _changed(path)
    return data


def _md5(data: bytes) -> bytes:
    """Return what S3 names a part after, and checks it against."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
