"""What can go wrong, as one tree. Every leaf has a stable `code` and a `hint` that says what to do.

    SlidehookError
    ├── RequestError            the call itself: refused at the door
    │   ├── InvalidRequestError · UnauthorizedError · ForbiddenError · TooManyTriesError · NotFoundError · ConflictError
    │   ├── MethodNotAllowedError · UnsupportedMediaError · BodyTooLargeError · KeyReusedError
    │   ├── NoSuchUploadError · PartsMissingError · BadAddressError · AnswerTooLargeError
    ├── SourceError             the object in S3
    │   ├── BucketNotAllowedError · SourceNotAllowedError · NoSuchSourceError · EmptySourceError · SourceChangedError
    │   ├── SourceGoneError
    ├── DestinationError        the place in SlideAtlas' catalogue
    │   ├── NoSuchCollectionError · NoSuchSessionError · ForeignSessionError · NoImageStoreError · NoSuchImageError
    │   ├── UnplacedKeyError
    ├── SlideError              the TIFF
    │   ├── NotTiffError · TruncatedError · NotTiledError · UnsupportedError · LimitError · CorruptTileError
    │   ├── TooManyBadTilesError
    ├── StagingError            what was written is not what was meant
    │   ├── TileConflictError · VerificationError · WorkLostError
    ├── NoProgressError         given up after as many tries as are allowed
    └── TransientError          worth another try: throttling, network, failover
        ├── AwsUnavailableError · MongoUnavailableError · OutOfTimeError · InspectionTimeError

`permanent` errors end a job at once; the others are tried again until the queue gives up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class SlidehookError(Exception):
    """Root of all errors that a user may see: a sentence, a stable code, and what to do about it."""

    code: ClassVar[str] = "internal"
    hint: ClassVar[str] = "Look at the log of the service; if this repeats, report it with the job's id."
    permanent: ClassVar[bool] = True

    def __init__(self, message: str, *, hint: str | None = None, pointer: str | None = None) -> None:
        super().__init__(message)
        self.advice = hint or self.hint
        self.pointer = pointer


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field of a request that is wrong: `pointer` is a JSON pointer (RFC 6901) into its body."""

    pointer: str
    detail: str


class RequestError(SlidehookError):
    code = "bad_request"
    hint = "Mend the request and send it again."


class InvalidRequestError(RequestError):
    """The body is not what the hook takes. `problems` names every field that is wrong."""

    code = "invalid_request"
    hint = "Correct the fields listed and send the request again."

    def __init__(self, message: str, problems: Sequence[FieldProblem] = (), *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class BodyTooLargeError(RequestError):
    code = "body_too_large"
    hint = "A hook takes a short JSON object; the slide itself belongs in S3."


class MethodNotAllowedError(RequestError):
    code = "method_not_allowed"
    hint = "The header `Allow` names the methods of this address."


class UnsupportedMediaError(RequestError):
    code = "unsupported_media_type"
    hint = "Send JSON, with 'Content-Type: application/json'."


class UnauthorizedError(RequestError):
    code = "unauthorized"
    hint = "Send 'Authorization: Bearer <token>' with a token that this service knows."


class SignatureError(UnauthorizedError):
    """A webhook's signature, or what belongs to it, is not as Standard Webhooks says."""

    code = "bad_signature"
    hint = "Sign `id.timestamp.body` with a secret that this service knows, as Standard Webhooks 1.0.0 says."


class ForbiddenError(RequestError):
    """The caller is known, and may not do this."""

    code = "forbidden"
    hint = "Ask whoever runs the service for a token with this scope."


class TooManyTriesError(RequestError):
    code = "too_many_tries"
    hint = "Wait a minute."


class NotFoundError(RequestError):
    code = "not_found"
    hint = "Check the address."


class BadAddressError(RequestError):
    """An address that a dialect knows as wrong, where it does not want "not found"."""

    code = "bad_address"
    hint = "Ask for what the slide's description lists."


class AnswerTooLargeError(RequestError):
    code = "answer_too_large"
    hint = "Publish the slide again with smaller tiles (`tile_size`)."


class NoSuchUploadError(NotFoundError):
    code = "no_such_upload"
    hint = "It was completed or given up, or is older than a week: begin the upload again."


class ConflictError(RequestError):
    code = "conflict"
    hint = "Look at the job's state and decide anew."


class ReplayedError(ConflictError):
    """A signed webhook that was accepted before, or another one under its id."""

    code = "replayed"
    hint = "Nothing to do if it was sent once; a new attempt is signed anew, and a new message has a new id."


class NotCancellableError(ConflictError):
    code = "not_cancellable"
    hint = "Look at the job's state: what has ended can be submitted again, and what is published can be replaced."


class NotRetryableError(ConflictError):
    code = "not_retryable"
    hint = "Look at the job's state and decide anew."


class NotVerifiableError(ConflictError):
    code = "not_verifiable"
    hint = "Verify a job whose slide readers see: one that is `done`, and was not replaced since."


class KeyReusedError(RequestError):
    """An Idempotency-Key that stands for another call already."""

    code = "idempotency_key_reused"
    hint = "Give each call a key of its own, and repeat a call with its very body."


class KeyInUseError(ConflictError):
    """The first call with this Idempotency-Key has no answer yet."""

    code = "idempotency_key_in_use"
    hint = "The first call is still at work: ask again in a second."


class TooManySubscribersError(ConflictError):
    code = "too_many_subscribers"
    hint = "Let one of the receivers that the job has tell the others, or follow the job's status."


class CallbacksOffError(RequestError):
    code = "callbacks_off"
    hint = "Set SLIDEHOOK_CALLBACK_SECRETS, which callbacks are signed with, or leave `callback_url` out."


class PartsMissingError(ConflictError):
    code = "parts_missing"
    hint = "Send the parts that are missing, and complete the upload then."


class SourceError(SlidehookError):
    code = "bad_source"
    hint = "Check the bucket and the key."


class BucketNotAllowedError(SourceError):
    code = "bucket_not_allowed"
    hint = "Put the slide into a bucket that this service is configured to read."


class SourceNotAllowedError(BucketNotAllowedError):
    """The caller is limited to some collections, and the key names none of them."""

    code = "source_not_allowed"
    hint = "Name an object below <collection id>/ or direct/<collection id>/ of a collection that the token is for."


class NoSuchSourceError(SourceError):
    code = "no_such_source"
    hint = "Check the bucket and the key (keys are case-sensitive), and that the upload has finished."


class EmptySourceError(SourceError):
    code = "empty_source"
    hint = "The object has no bytes: upload the slide again."


class SourceChangedError(SourceError):
    """The object was overwritten while it was read: its new bytes are another source with a job of its own."""

    code = "source_changed"
    hint = "Nothing to do: the newer object has a job of its own, or submit it again."


class SourceGoneError(SourceError):
    code = "source_gone"
    hint = "The object was deleted while the job ran: upload the slide again."


class DestinationError(SlidehookError):
    code = "bad_destination"
    hint = "Check the ids of collection and session."


class NoSuchCollectionError(DestinationError):
    code = "no_such_collection"
    hint = "Check the collection's id; collections are made in SlideAtlas."


class NoSuchSessionError(DestinationError):
    code = "no_such_session"
    hint = "Check the session's id; sessions are made in SlideAtlas or by the command line for a folder."


class ForeignSessionError(DestinationError):
    code = "session_not_in_collection"
    hint = "Name the collection that the session belongs to, or another session."


class NoImageStoreError(DestinationError):
    code = "no_image_store"
    hint = "Give the collection an `image_store` that exists in `databases` of the admin database."


class NoSuchImageError(DestinationError):
    code = "no_such_image"
    hint = "Name an image that a session of the collection shows, or leave `mongo_collection` out."


class UnplacedKeyError(DestinationError):
    code = "key_names_no_session"
    hint = "Upload to <collection id>/<session id>/<file name>."


class SlideError(SlidehookError):
    code = "bad_slide"
    hint = "Open the file in another viewer to see whether it is intact."


class NotTiffError(SlideError):
    code = "not_a_tiff"
    hint = "Convert the file to a tiled pyramidal TIFF first: ptif_upload.py --bindir does that with vips or bfconvert."


class TruncatedError(SlideError):
    code = "truncated"
    hint = "The file ends too early: upload it again, and compare its size with the scanner's copy."


class NotTiledError(SlideError):
    code = "not_tiled"
    hint = "Convert it to a tiled TIFF: ptif_upload.py --bindir does that with vips or bfconvert."


class UnsupportedError(SlideError):
    """`convertible` is False if a converter could take another image of the file, such as the label, for the slide."""

    code = "unsupported"
    hint = "Convert it to a JPEG-tiled pyramidal TIFF: ptif_upload.py --bindir does that with vips or bfconvert."

    def __init__(self, message: str, *, hint: str | None = None, convertible: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.convertible = convertible


class LimitError(SlideError):
    code = "over_limit"
    hint = "The file claims more than this service takes; it is most likely damaged."


class CorruptTileError(SlideError):
    code = "corrupt_tile"
    hint = "Upload the file again; if the tile is damaged in the scanner's copy too, scan or convert it again."


class TooManyBadTilesError(SlideError):
    code = "too_many_bad_tiles"
    hint = (
        "The status lists the first of them. Upload the file again; if the scanner's copy is damaged too, scan again."
    )


class StagingError(SlidehookError):
    code = "bad_staging"
    hint = "Submit the slide again: its tiles are written anew."


class TileConflictError(StagingError):
    """Two different contents for one tile of one generation."""

    code = "tile_conflict"


class VerificationError(StagingError):
    code = "verification_failed"


class WorkLostError(StagingError):
    """What an earlier step left for this one is not there any more."""

    code = "work_lost"


class NoProgressError(SlidehookError):
    code = "no_progress"
    hint = "Look at the last error and at the log; mend the cause and submit the slide again."


class TransientError(SlidehookError):
    code = "transient"
    hint = "It is tried again by itself."
    permanent = False


class AwsUnavailableError(TransientError):
    """S3, SQS or DynamoDB does not answer, or asks for patience."""

    code = "aws_unavailable"


class MongoUnavailableError(TransientError):
    """MongoDB does not answer, or is between two primaries."""

    code = "mongodb_unavailable"


class OutOfTimeError(TransientError):
    code = "out_of_time"


class InspectionTimeError(TransientError):
    code = "inspection_time"
    hint = "Try again, or upload the slide: planning it may take longer than an inspection."
