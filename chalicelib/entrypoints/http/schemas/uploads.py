"""Multipart uploads of local slides to the incoming bucket."""

from typing import Annotated

from pydantic import AfterValidator, Field

from chalicelib.core.web.multipart_upload import MAX_PARTS, MAX_UPLOAD_BYTES, collection_of, safe_name
from chalicelib.hooks.base import Document, Parameters
from chalicelib.hooks.fields import Count, ObjectIdText

MAX_URLS = 50


def _key(text: str) -> str:
    collection_of(text)
    return text


SizeBytes = Annotated[int, Field(ge=1, le=MAX_UPLOAD_BYTES, description="size of the file")]


class BeginParameters(Parameters):
    """A file and the destination of its slide."""

    file_name: Annotated[str, Field(max_length=1000), AfterValidator(safe_name)] = Field(
        description="name of the file; folders and control characters are removed"
    )
    size_bytes: SizeBytes
    collection: ObjectIdText = Field(description="id of the collection")
    session: ObjectIdText = Field(description="id of a session of that collection")


class UploadNamed(Parameters):
    """A multipart upload."""

    key: Annotated[str, Field(max_length=1024), AfterValidator(_key)] = Field(description="`key` of the upload")
    upload_id: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="`upload_id` of the upload")


class PartsParameters(UploadNamed):
    """`numbers` are the parts to get presigned URLs for. Without them, only stored parts are listed."""

    numbers: Annotated[list[Annotated[int, Field(ge=1, le=MAX_PARTS)]], Field(max_length=MAX_URLS)] = Field(
        default=[], description="numbers of parts, from 1"
    )


class CompleteParameters(UploadNamed):
    """A multipart upload whose parts are all stored."""

    size_bytes: SizeBytes


class UploadDocument(Document):
    """A multipart upload that was started. `source` is the parameter of a hook once the upload is complete."""

    key: str
    upload_id: str
    part_bytes: Annotated[int, Field(ge=1)]
    parts: Annotated[int, Field(ge=1)]
    source: str


class StoredPart(Document):
    """A part that is stored."""

    number: Annotated[int, Field(ge=1)]
    size_bytes: Count


class PartAddress(Document):
    """The presigned URL of a part, for a PUT request. It is valid for an hour and requires no other credentials."""

    number: Annotated[int, Field(ge=1)]
    url: str


class UploadParts(Document):
    """The stored parts, and presigned URLs for further parts."""

    stored: list[StoredPart]
    addresses: list[PartAddress]


class UploadCompleted(Document):
    """The object that the parts became."""

    source: str
    etag: str
    size_bytes: Count


class UploadAborted(Document):
    """The key of the upload that was aborted."""

    aborted: str
