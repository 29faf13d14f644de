"""A local file into the incoming bucket: in parts, resumed where an earlier run stopped, never twice."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.cli.failures import ServiceError, SlideFailure, plain

MIN_PART_BYTES = 8 * 1024 * 1024
MAX_PARTS = 10_000
THREADS = 4
READ_BYTES = 1024 * 1024
NOT_FOUND = 404

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Part:
    """A run of the file: `number` counts from 1."""

    number: int
    start: int
    size_bytes: int


def upload(path: Path, client: Any, bucket: str, key: str, progress: Progress) -> bool:
    """Bring the file to s3://bucket/key; return False if the very same bytes are there already.

    Parts that an interrupted run left are used again, if their checksums match. Raises SlideFailure if the file
    changes meanwhile, ServiceError if S3 does not take it.
    """
    before = path.stat()
    digest = file_digest(path)
    try:
        if _is_there(client, bucket, key, before.st_size, digest):
            progress(before.st_size)
            return False
        if before.st_size <= MIN_PART_BYTES:
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), Metadata={"sha256": digest})
            progress(before.st_size)
        else:
            _upload_parts(path, client, bucket, key, digest, progress)
    except (ClientError, BotoCoreError) as error:
        raise ServiceError(f"the upload to s3://{bucket}/{key} failed ({plain(error)}); run again to resume") from error
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise SlideFailure(
            f"{path} changed while it was uploaded", code="file_changed", hint="Run again when it is complete."
        )
    return True


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def parts_of(size_bytes: int) -> list[Part]:
    """Return the parts that a file of this size is cut into: the same on every run."""
    part_bytes = max(MIN_PART_BYTES, -(-size_bytes // MAX_PARTS))
    starts = range(0, size_bytes, part_bytes)
    return [Part(index + 1, start, min(part_bytes, size_bytes - start)) for index, start in enumerate(starts)]


def _is_there(client: Any, bucket: str, key: str, size_bytes: int, digest: str) -> bool:
    try:
        found = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == NOT_FOUND:
            return False
        raise
    return bool(found["ContentLength"] == size_bytes and found.get("Metadata", {}).get("sha256") == digest)


def _upload_parts(path: Path, client: Any, bucket: str, key: str, digest: str, progress: Progress) -> None:
    parts = parts_of(path.stat().st_size)
    upload_id, known = _begun(path, parts, client, bucket, key, digest)

    def send(part: Part) -> dict[str, Any]:
        etag = known.get(part.number)
        if etag is None:
            data = _data(path, part)
            answer = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=part.number, Body=data)
            etag = answer["ETag"]
        progress(part.size_bytes)
        return {"PartNumber": part.number, "ETag": etag}

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(send, part) for part in parts]
        try:
            sent = [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": sent})


def _begun(
    path: Path, parts: list[Part], client: Any, bucket: str, key: str, digest: str
) -> tuple[str, dict[int, str]]:
    """Return the multipart upload to go on with, and the ETags of the parts it has.

    An earlier upload of this key serves only if all its parts are those of this very file: its metadata name the
    digest of the file it was begun with. Others are left alone (somebody may be at it); the bucket forgets them.
    """
    found = client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
    for each in (upload for upload in found if upload["Key"] == key):
        pages = client.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=each["UploadId"])
        known = {part["PartNumber"]: part["ETag"] for page in pages for part in page.get("Parts", [])}
        if known and all(
            number <= len(parts) and etag == _etag(path, parts[number - 1]) for number, etag in known.items()
        ):
            return each["UploadId"], known
    begun = client.create_multipart_upload(Bucket=bucket, Key=key, Metadata={"sha256": digest})
    return begun["UploadId"], {}


def _data(path: Path, part: Part) -> bytes:
    with path.open("rb") as file:
        file.seek(part.start)
        return file.read(part.size_bytes)


def _etag(path: Path, part: Part) -> str:
    """Return what S3 calls a part with this content."""
    return f'"{hashlib.md5(_data(path, part), usedforsecurity=False).hexdigest()}"'
