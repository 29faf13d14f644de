"""What calls say that bring a local slide to the incoming bucket."""

from typing import Annotated

from pydantic import AfterValidator, Field

from chalicelib.core.web.multipart_upload import MAX_PARTS, MAX_UPLOAD_BYTES, collection_of, safe_name
from chalicelib.hooks import Parameters
from chalicelib.hooks.upload import ObjectIdText

MAX_URLS = 50


def _key(text: str) -> str:
    collection_of(text)
    return text


SizeBytes = Annotated[int, Field(ge=1, le=MAX_UPLOAD_BYTES, description="size of the file")]


class BeginParameters(Parameters):
    """A file, and where its slide is to go."""

    file_name: Annotated[str, Field(max_length=1000), AfterValidator(safe_name)] = Field(
        description="name of the file; folders and control characters are left out"
    )
    size_bytes: SizeBytes
    collection: ObjectIdText = Field(description="id of the collection")
    session: ObjectIdText = Field(description="id of a session of that collection")


class UploadNamed(Parameters):
    """An upload that was begun."""

    key: Annotated[str, Field(max_length=1024), AfterValidator(_key)] = Field(description="`key` of its beginning")
    upload_id: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="`upload_id` of its beginning")


class PartsParameters(UploadNamed):
    """`numbers` are the parts that are sent next. Without them only those are told that have arrived."""

    numbers: Annotated[list[Annotated[int, Field(ge=1, le=MAX_PARTS)]], Field(max_length=MAX_URLS)] = Field(
        default=[], description="numbers of parts, from 1"
    )


class CompleteParameters(UploadNamed):
    """All parts have been sent."""

    size_bytes: SizeBytes
