"""S3: the slides, and the work bucket."""

import io
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from botocore.exceptions import ClientError

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.core.errors import (
    AwsUnavailableError,
    EmptySourceError,
    NoSuchSourceError,
    NoSuchUploadError,
    PlanExpiredError,
    SourceChangedError,
    SourceGoneError,
)
from chalicelib.core.jobs.source import Source
from chalicelib.core.web.multipart_upload import Part
from chalicelib.ports.slides import Listing

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Answer = TypeVar("Answer")

PARTIAL_CONTENT = 206
GONE = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NoSuchVersion", "AccessDenied", "403"})
CHANGED = frozenset({"PreconditionFailed", "412"})
EMPTY = frozenset({"InvalidRange", "416"})
NO_UPLOAD = frozenset({"NoSuchUpload", "404"})


class S3Slides:
    """ports.Slides over S3. Reads are pinned by ETag, which AWS and every emulator honour (version ids they do not)."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        with translate_transient_errors(f"s3://{bucket}/{key}"):
            try:
                # One request instead of HEAD and GET: the response to a range request has all headers of HEAD.
                answer = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{first_bytes - 1}")
                data = answer["Body"].read()
            except ClientError as error:
                _refuse_pin(error, bucket, key)
        size_bytes = int(answer.get("ContentRange", f"/{answer['ContentLength']}").rsplit("/", 1)[-1])
        if size_bytes == 0:
            raise _empty(bucket, key)
        version = answer.get("VersionId")
        source = Source(
            bucket=bucket,
            key=key,
            etag=answer["ETag"],
            size_bytes=size_bytes,
            version_id=None if version in (None, "null") else version,
            last_modified_at=answer["LastModified"].timestamp(),
        )
        return source, data[:first_bytes]

    def read(self, source: Source, start: int, stop: int) -> bytes:
        if not 0 <= start < stop <= source.size_bytes:
            raise ValueError(f"bytes {start} to {stop} of {source}, which has {source.size_bytes}")
        with translate_transient_errors(str(source)):
            try:
                answer = self._client.get_object(
                    Bucket=source.bucket, Key=source.key, Range=f"bytes={start}-{stop - 1}", IfMatch=source.etag
                )
                if answer["ResponseMetadata"]["HTTPStatusCode"] != PARTIAL_CONTENT:
                    # An endpoint that ignores ranges would send gigabytes.
                    answer["Body"].close()
                    raise AwsUnavailableError(f"{source}: the storage answered a range request with the whole object")
                data = answer["Body"].read()
            except ClientError as error:
                _refuse_read(error, source)
        if len(data) != stop - start:
            raise AwsUnavailableError(f"{source}: {len(data)} bytes came of the {stop - start} from byte {start}")
        return data

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        start = {"ContinuationToken": cursor} if cursor else {}
        with translate_transient_errors(f"the listing of s3://{bucket}/{prefix}"):
            try:
                answer = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=limit, **start)  # type: ignore[arg-type]
            except ClientError as error:
                if error.response["Error"]["Code"] not in GONE:
                    raise
                raise NoSuchSourceError(
                    f"there is no bucket s3://{bucket}, or it may not be listed", pointer="/source"
                ) from error
        objects = tuple(
            Source(
                bucket=bucket,
                key=each["Key"],
                etag=each["ETag"],
                size_bytes=each["Size"],
                last_modified_at=each["LastModified"].timestamp(),
            )
            for each in answer.get("Contents", ())
        )
        return Listing(objects=objects, cursor=answer.get("NextContinuationToken"))


def _empty(bucket: str, key: str) -> EmptySourceError:
    return EmptySourceError(f"s3://{bucket}/{key} is empty", pointer="/source")


def _refuse_pin(error: ClientError, bucket: str, key: str) -> NoReturn:
    code = error.response["Error"]["Code"]
    if code in EMPTY:
        raise _empty(bucket, key) from error
    if code in GONE:
        # Without the right to list, S3 says "access denied" for a key that does not exist.
        raise NoSuchSourceError(f"there is no object s3://{bucket}/{key}", pointer="/source") from error
    raise error


def _refuse_read(error: ClientError, source: Source) -> NoReturn:
    code = error.response["Error"]["Code"]
    if code in CHANGED or code in EMPTY:
        raise SourceChangedError(f"{source} was overwritten while it was read") from error
    if code in GONE:
        raise SourceGoneError(f"{source} was deleted while it was read") from error
    raise error


class S3Uploads:
    """ports.Uploads over a bucket. `signer` makes addresses as a browser reaches them (wiring)."""

    SECONDS = 3600

    def __init__(self, client: "S3Client", bucket: str, *, signer: "S3Client") -> None:
        self._client, self._signer = client, signer
        self._bucket = bucket

    def begin(self, key: str) -> str:
        with translate_transient_errors(f"the upload {key}"):
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]

    def addresses(self, key: str, upload_id: str, numbers: Sequence[int]) -> Mapping[int, str]:
        part = {"Bucket": self._bucket, "Key": key, "UploadId": upload_id}
        return {
            number: self._signer.generate_presigned_url(
                "upload_part", Params={**part, "PartNumber": number}, ExpiresIn=self.SECONDS
            )
            for number in numbers
        }

    def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        answer = self._call(key, lambda: self._client.list_parts(Bucket=self._bucket, Key=key, UploadId=upload_id))
        return tuple(
            Part(number=each["PartNumber"], size_bytes=each["Size"], etag=each["ETag"])
            for each in answer.get("Parts", ())
        )

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        named: Any = {"Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]}
        self._call(
            key,
            lambda: self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload=named
            ),
        )

    def abort(self, key: str, upload_id: str) -> None:
        with suppress(NoSuchUploadError):
            self._call(
                key, lambda: self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            )

    def _call(self, key: str, call: Callable[[], Answer]) -> Answer:
        with translate_transient_errors(f"the upload {key}"):
            try:
                return call()
            except ClientError as error:
                if error.response["Error"]["Code"] not in NO_UPLOAD:
                    raise
                raise NoSuchUploadError(f"there is no such upload of {key}") from error


class S3Work:
    """ports.Work over a bucket. Whole objects that were read once are kept: their keys name their content."""

    KEPT = 4

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def put(self, key: str, data: bytes) -> None:
        # As a file: bytes would be copied behind the request's header.
        self._call(key, lambda: self._client.put_object(Bucket=self._bucket, Key=key, Body=io.BytesIO(data)))

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        if start == 0 and stop is None:
            return self._whole(key)
        if start < 0 or (stop is not None and stop <= start):
            # S3 takes what is no range for the whole object.
            raise ValueError(f"bytes {start} to {stop} of the work object {key}")
        return self._read(key, Range=f"bytes={start}-{'' if stop is None else stop - 1}")

    def _whole(self, key: str) -> bytes:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = self._read(key)
        with self._lock:
            self._kept[key] = data
            while len(self._kept) > self.KEPT:
                self._kept.popitem(last=False)
        return data

    def _read(self, key: str, **options: str) -> bytes:
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Key": key, **options}

        def read() -> bytes:
            return self._client.get_object(**arguments)["Body"].read()

        return self._call(key, read)

    def _call(self, key: str, call: Callable[[], Answer]) -> Answer:
        with translate_transient_errors(f"the work object {key}"):
            try:
                return call()
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in EMPTY:
                    raise ValueError(f"a part of the work object {key} that begins behind its end") from error
                if code not in GONE:
                    raise
                raise PlanExpiredError(f"the work object {key} is gone") from error
