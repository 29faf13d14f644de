"""All errors that a user may see, as one tree. Every class has a stable `code` and a `hint` that says what to do.

    SlidehookError
    ├── RequestError            the request is refused
    │   ├── InvalidRequestError · UnauthorizedError · ForbiddenError · RateLimitedError · NotFoundError · ConflictError
    │   ├── MethodNotAllowedError · UnsupportedMediaError · BodyTooLargeError · KeyReusedError
    │   ├── NoSuchUploadError · PartsMissingError · BadAddressError · ResponseTooLargeError · CallbacksDisabledError
    ├── SourceError             the object in S3
    │   ├── BucketNotAllowedError · SourceNotAllowedError · NoSuchSourceError · EmptySourceError · SourceChangedError
    │   ├── SourceGoneError
    ├── DestinationError        the destination in SlideAtlas' catalog
    │   ├── NoSuchCollectionError · NoSuchSessionError · ForeignSessionError · NoImageStoreError · NoSuchImageError
    │   ├── InvalidObjectKeyError
    ├── SlideError              the TIFF file
    │   ├── NotTiffError · TruncatedError · UnsupportedError · LimitError · CorruptTileError · TooManyBadTilesError
    ├── StagingError            the stored tiles are not the tiles of the plan
    │   ├── TileConflictError · VerificationError · PlanExpiredError
    ├── SchemaError             the stored data
    │   ├── SchemaTooNewError · MigrationConflictError
    ├── RetriesExhaustedError   the job failed after the maximum number of retries
    └── TransientError          a retry may succeed: throttling, network, failover
        ├── AwsUnavailableError · MongoUnavailableError · OutOfTimeError · InspectionTimeoutError

An error with `permanent` set ends a job at once. The others are retried until the queue moves the message to the
dead-letter queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class SlidehookError(Exception):
    """Root of all errors that a user may see.

    `str(error)` says what happened to which thing, `advice` says what to do, and `pointer` is the JSON pointer
    (RFC 6901) of the field of the request that caused the error, if there is one.
    """

    code: ClassVar[str] = "internal"
    hint: ClassVar[str] = "Check the log of the service. If the error repeats, report it with the job id."
    permanent: ClassVar[bool] = True

    def __init__(self, message: str, *, hint: str | None = None, pointer: str | None = None) -> None:
        super().__init__(message)
        self.advice = hint or self.hint
        self.pointer = pointer


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """An invalid field of a request. `pointer` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    detail: str


class RequestError(SlidehookError):
    code = "bad_request"
    hint = "Correct the request and send it again."


class InvalidRequestError(RequestError):
    """The body does not match the schema of the hook. `problems` lists every invalid field."""

    code = "invalid_request"
    hint = "Correct the fields listed and send the request again."

    def __init__(self, message: str, problems: Sequence[FieldProblem] = (), *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class BodyTooLargeError(RequestError):
    code = "body_too_large"
    hint = "Send a short JSON object. Upload the slide to S3."


class MethodNotAllowedError(RequestError):
    code = "method_not_allowed"
    hint = "Use one of the methods in the `Allow` header."


class UnsupportedMediaError(RequestError):
    code = "unsupported_media_type"
    hint = "Send JSON with the header 'Content-Type: application/json'."


class UnauthorizedError(RequestError):
    code = "unauthorized"
    hint = "Send the header 'Authorization: Bearer <token>' with a valid token."


class SignatureError(UnauthorizedError):
    """The signature of a webhook, or one of its headers, does not conform to Standard Webhooks."""

    code = "bad_signature"
    hint = "Sign `id.timestamp.body` with a secret of this service, as Standard Webhooks 1.0.0 specifies."


class ForbiddenError(RequestError):
    """The caller is authenticated, but its token does not allow the request."""

    code = "forbidden"
    hint = "Ask the administrator of the service for a token with the required scope."


class RateLimitedError(RequestError):
    code = "rate_limited"
    hint = "Wait for the time in the `Retry-After` header, then try again."


class NotFoundError(RequestError):
    code = "not_found"
    hint = "Check the URL."


class BadAddressError(RequestError):
    """A URL that a tile protocol defines as invalid, with a status other than 404."""

    code = "bad_address"
    hint = "Request only tiles, levels and sizes that the slide's description lists."


class ResponseTooLargeError(RequestError):
    code = "response_too_large"
    hint = "Publish the slide again with smaller tiles (`tile_size`)."


class NoSuchUploadError(NotFoundError):
    code = "no_such_upload"
    hint = "The upload was completed, aborted, or is older than a week. Start a new upload."


class ConflictError(RequestError):
    code = "conflict"
    hint = "Get the job, check its state, and send a request that the state allows."


class ReplayedError(ConflictError):
    """A signed webhook whose id was accepted before, with the same or another body."""

    code = "replayed"
    hint = "The first request was accepted: no action is needed. A new message needs a new id and a new signature."


class NotCancellableError(ConflictError):
    code = "not_cancellable"
    hint = "Get the job and check its state. An ended job can be retried; a published slide can be replaced."


class NotRetryableError(ConflictError):
    code = "not_retryable"
    hint = "Get the job, check its state, and send a request that the state allows."


class NotVerifiableError(ConflictError):
    code = "not_verifiable"
    hint = "Verify a job that is `done` and whose slide is still published."


class KeyReusedError(RequestError):
    """The Idempotency-Key was used for a different request."""

    code = "idempotency_key_reused"
    hint = "Use a new key for each request. Repeat a request with the same key and the same body."


class KeyInUseError(ConflictError):
    """The first request with this Idempotency-Key has no response yet."""

    code = "idempotency_key_in_use"
    hint = "The first request is still running. Send the request again in a second."


class TooManySubscribersError(ConflictError):
    code = "too_many_subscribers"
    hint = "Forward callbacks from one of the existing receivers, or poll the job's status."


class CallbacksDisabledError(RequestError):
    code = "callbacks_disabled"
    hint = "Set SLIDEHOOK_CALLBACK_SECRETS, which signs callbacks, or omit `callback_url`."


class PartsMissingError(ConflictError):
    code = "parts_missing"
    hint = "Upload the missing parts, then complete the upload."


class SourceError(SlidehookError):
    code = "bad_source"
    hint = "Check the bucket and the key."


class BucketNotAllowedError(SourceError):
    code = "bucket_not_allowed"
    hint = "Upload the slide to a bucket that the service is configured to read."


class SourceNotAllowedError(BucketNotAllowedError):
    """The token is limited to collections, and the key is not in one of them."""

    code = "source_not_allowed"
    hint = "Use a key below <collection id>/ or direct/<collection id>/ of a collection that the token allows."


class NoSuchSourceError(SourceError):
    code = "no_such_source"
    hint = "Check the bucket and the key (keys are case-sensitive), and that the upload is complete."


class EmptySourceError(SourceError):
    code = "empty_source"
    hint = "The object is empty. Upload the slide again."


class SourceChangedError(SourceError):
    """The object was overwritten while the job read it. The new object is another source, with its own job."""

    code = "source_changed"
    hint = "The newer object has its own job. If it does not, submit the slide again."


class SourceGoneError(SourceError):
    code = "source_gone"
    hint = "The object was deleted while the job ran. Upload the slide again."


class DestinationError(SlidehookError):
    code = "bad_destination"
    hint = "Check the collection id and the session id."


class NoSuchCollectionError(DestinationError):
    code = "no_such_collection"
    hint = "Check the collection id. Collections are created in SlideAtlas."


class NoSuchSessionError(DestinationError):
    code = "no_such_session"
    hint = "Check the session id. Sessions are created in SlideAtlas, or by the command line for a folder."


class ForeignSessionError(DestinationError):
    code = "session_not_in_collection"
    hint = "Check the session id, or use the collection that the session belongs to."


class NoImageStoreError(DestinationError):
    code = "no_image_store"
    hint = "Set the `image_store` of the collection to one that exists in `databases` of the admin database."


class NoSuchImageError(DestinationError):
    code = "no_such_image"
    hint = "Use the id of an image in a session of the collection, or omit `mongo_collection`."


class InvalidObjectKeyError(DestinationError):
    code = "invalid_object_key"
    hint = "Upload the slide to <collection id>/<session id>/<file name>."


class SlideError(SlidehookError):
    code = "bad_slide"
    hint = "Open the file in another viewer to check that it is intact."


class NotTiffError(SlideError):
    code = "not_a_tiff"
    hint = "Convert the file to a tiled pyramidal TIFF. `ptif_upload.py --bindir` converts with vips or bfconvert."


class TruncatedError(SlideError):
    code = "truncated"
    hint = "Upload the file again, and compare its size with the scanner's copy."


class UnsupportedError(SlideError):
    """A TIFF layout that is not supported.

    `convertible` is False if a converter could publish another image of the file, such as the label, as the slide.
    """

    code = "unsupported"
    hint = "Convert the file to a JPEG-tiled pyramidal TIFF. `ptif_upload.py --bindir` converts with vips or bfconvert."

    def __init__(self, message: str, *, hint: str | None = None, convertible: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.convertible = convertible


class LimitError(SlideError):
    code = "over_limit"
    hint = "The file declares a size above the limit of the service. Check that it is intact."


class CorruptTileError(SlideError):
    code = "corrupt_tile"
    hint = "Upload the file again. If the scanner's copy is damaged too, scan or convert the slide again."


class TooManyBadTilesError(SlideError):
    code = "too_many_bad_tiles"
    hint = "The job lists the first bad tiles. Upload the file again. If the scanner's copy is damaged too, scan again."


class StagingError(SlidehookError):
    code = "bad_staging"
    hint = "Submit the slide again. All tiles are written again."


class TileConflictError(StagingError):
    """Two different contents for the same tile of a generation."""

    code = "tile_conflict"


class VerificationError(StagingError):
    code = "verification_failed"


class PlanExpiredError(StagingError):
    """The plan, or an intermediate object of it, is missing in the work bucket."""

    code = "plan_expired"


class RetriesExhaustedError(SlidehookError):
    code = "retries_exhausted"
    hint = "Check the last error and the log, fix the cause, and submit the slide again."


class SchemaError(SlidehookError):
    code = "bad_schema"
    hint = "Check the schema versions with `slidehook migrate --dry-run`."


class SchemaTooNewError(SchemaError):
    code = "schema_too_new"
    hint = "A later release has written the data. Install that release or a newer one."


class MigrationConflictError(SchemaError):
    code = "migration_conflict"
    hint = "Wait for the other migration to end, then run `slidehook migrate` again. It continues where it was stopped."


class TransientError(SlidehookError):
    code = "transient"
    hint = "The service retries automatically."
    permanent = False


class AwsUnavailableError(TransientError):
    """S3, SQS or DynamoDB is unavailable or throttles requests."""

    code = "aws_unavailable"


class MongoUnavailableError(TransientError):
    """MongoDB is unavailable, or a failover is in progress."""

    code = "mongodb_unavailable"


class OutOfTimeError(TransientError):
    code = "out_of_time"


class InspectionTimeoutError(TransientError):
    code = "inspection_timeout"
    hint = "Try again, or upload the slide. A job has more time to read the header than an inspection."
