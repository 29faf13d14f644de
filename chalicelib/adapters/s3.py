"""S3: slides, multipart uploads and the work bucket."""

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

Response = TypeVar("Response")

PARTIAL_CONTENT = 206
# S3 returns "access denied" for a missing key if the caller may not list the bucket.
NOT_FOUND_CODES = frozenset({"NoSuchKey", "NoSuchBucket", "404", "NoSuchVersion", "AccessDenied", "403"})
CHANGED_CODES = frozenset({"PreconditionFailed", "412"})
INVALID_RANGE_CODES = frozenset({"InvalidRange", "416"})
NO_UPLOAD_CODES = frozenset({"NoSuchUpload", "404"})


class S3Slides:
    """ports.Slides in S3. Reads are pinned by ETag, because not all emulators support version ids."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        with translate_transient_errors(f"s3://{bucket}/{key}"):
            try:
                # The response to a range request has all headers of HEAD. This saves one request.
                response = self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{first_bytes - 1}")
                data = response["Body"].read()
            except ClientError as error:
                _raise_pin_error(error, bucket, key)
        size_bytes = int(response.get("ContentRange", f"/{response['ContentLength']}").rsplit("/", 1)[-1])
        if size_bytes == 0:
            raise _empty(bucket, key)
        version = response.get("VersionId")
        source = Source(
            bucket=bucket,
            key=key,
            etag=response["ETag"],
            size_bytes=size_bytes,
            version_id=None if version in (None, "null") else version,
            last_modified_at=response["LastModified"].timestamp(),
        )
        return source, data[:first_bytes]

    def read(self, source: Source, start: int, stop: int) -> bytes:
        if not 0 <= start < stop <= source.size_bytes:
            raise ValueError(f"bytes {start} to {stop} of {source}, which has {source.size_bytes}")
        with translate_transient_errors(str(source)):
            try:
                response = self._client.get_object(
                    Bucket=source.bucket, Key=source.key, Range=f"bytes={start}-{stop - 1}", IfMatch=source.etag
                )
                if response["ResponseMetadata"]["HTTPStatusCode"] != PARTIAL_CONTENT:
                    # An endpoint that ignores the range would send gigabytes.
                    response["Body"].close()
                    raise AwsUnavailableError(f"{source}: S3 returned the whole object for a range request")
                data = response["Body"].read()
            except ClientError as error:
                _raise_read_error(error, source)
        if len(data) != stop - start:
            raise AwsUnavailableError(
                f"{source}: S3 returned {len(data)} bytes of the {stop - start} requested from byte {start}"
            )
        return data

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        start = {"ContinuationToken": cursor} if cursor else {}
        with translate_transient_errors(f"the listing of s3://{bucket}/{prefix}"):
            try:
                response = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=limit, **start)  # type: ignore[arg-type]
            except ClientError as error:
                if error.response["Error"]["Code"] not in NOT_FOUND_CODES:
                    raise
                raise NoSuchSourceError(
                    f"the bucket s3://{bucket} does not exist, or the service may not list it", pointer="/source"
                ) from error
        objects = tuple(
            Source(
                bucket=bucket,
                key=each["Key"],
                etag=each["ETag"],
                size_bytes=each["Size"],
                last_modified_at=each["LastModified"].timestamp(),
            )
            for each in response.get("Contents", ())
        )
        return Listing(objects=objects, cursor=response.get("NextContinuationToken"))


def _empty(bucket: str, key: str) -> EmptySourceError:
    return EmptySourceError(f"s3://{bucket}/{key} is empty", pointer="/source")


def _raise_pin_error(error: ClientError, bucket: str, key: str) -> NoReturn:
    code = error.response["Error"]["Code"]
    if code in INVALID_RANGE_CODES:
        raise _empty(bucket, key) from error
    if code in NOT_FOUND_CODES:
        raise NoSuchSourceError(f"the object s3://{bucket}/{key} does not exist", pointer="/source") from error
    raise error


def _raise_read_error(error: ClientError, source: Source) -> NoReturn:
    code = error.response["Error"]["Code"]
    if code in CHANGED_CODES or code in INVALID_RANGE_CODES:
        raise SourceChangedError(f"{source} was overwritten while it was read") from error
    if code in NOT_FOUND_CODES:
        raise SourceGoneError(f"{source} was deleted while it was read") from error
    raise error


class S3Uploads:
    """ports.Uploads in a bucket. `signer` signs URLs for the endpoint that browsers use."""

    SECONDS = 3600

    def __init__(self, client: "S3Client", bucket: str, *, signer: "S3Client") -> None:
        self._client, self._signer = client, signer
        self._bucket = bucket

    def begin(self, key: str) -> str:
        with translate_transient_errors(f"the upload {key}"):
            return self._client.create_multipart_upload(Bucket=self._bucket, Key=key)["UploadId"]

    def presigned_urls(self, key: str, upload_id: str, numbers: Sequence[int]) -> Mapping[int, str]:
        part = {"Bucket": self._bucket, "Key": key, "UploadId": upload_id}
        return {
            number: self._signer.generate_presigned_url(
                "upload_part", Params={**part, "PartNumber": number}, ExpiresIn=self.SECONDS
            )
            for number in numbers
        }

    def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        response = self._call(key, lambda: self._client.list_parts(Bucket=self._bucket, Key=key, UploadId=upload_id))
        return tuple(
            Part(number=each["PartNumber"], size_bytes=each["Size"], etag=each["ETag"])
            for each in response.get("Parts", ())
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

    def _call(self, key: str, call: Callable[[], Response]) -> Response:
        with translate_transient_errors(f"the upload {key}"):
            try:
                return call()
            except ClientError as error:
                if error.response["Error"]["Code"] not in NO_UPLOAD_CODES:
                    raise
                raise NoSuchUploadError(f"the upload of {key} does not exist") from error


class S3Work:
    """ports.Work in a bucket. Whole objects are cached; the key of an object contains the digest of its content."""

    CACHED_OBJECTS = 4

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def put(self, key: str, data: bytes) -> None:
        # A file object, because http.client copies a bytes body once more.
        self._call(key, lambda: self._client.put_object(Bucket=self._bucket, Key=key, Body=io.BytesIO(data)))

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        if start == 0 and stop is None:
            return self._whole(key)
        if start < 0 or (stop is not None and stop <= start):
            # S3 ignores an invalid range and returns the whole object.
            raise ValueError(f"bytes {start} to {stop} of the work object {key}")
        return self._read(key, Range=f"bytes={start}-{'' if stop is None else stop - 1}")

    def _whole(self, key: str) -> bytes:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        data = self._read(key)
        with self._lock:
            self._cache[key] = data
            while len(self._cache) > self.CACHED_OBJECTS:
                self._cache.popitem(last=False)
        return data

    def _read(self, key: str, **options: str) -> bytes:
        arguments: dict[str, Any] = {"Bucket": self._bucket, "Key": key, **options}

        def read() -> bytes:
            return self._client.get_object(**arguments)["Body"].read()

        return self._call(key, read)

    def _call(self, key: str, call: Callable[[], Response]) -> Response:
        with translate_transient_errors(f"the work object {key}"):
            try:
                return call()
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code in INVALID_RANGE_CODES:
                    raise ValueError(f"the range begins after the end of the work object {key}") from error
                if code not in NOT_FOUND_CODES:
                    raise
                raise PlanExpiredError(f"the work object {key} does not exist") from error
