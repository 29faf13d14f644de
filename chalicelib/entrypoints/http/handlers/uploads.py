"""Multipart uploads: a page sends a local slide to the incoming bucket by presigned URLs."""

from chalice.app import Response

from chalicelib.core.errors import NoSuchUploadError
from chalicelib.core.web.multipart_upload import collection_of
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.responses import json_response
from chalicelib.entrypoints.http.schemas.uploads import (
    BeginParameters,
    CompleteParameters,
    PartsParameters,
    UploadNamed,
)
from chalicelib.steps.multipart import begin, complete
from chalicelib.steps.visibility import require_visible_destination

# A presigned URL is a credential.
NO_STORE = {"Cache-Control": "no-store"}


def begin_upload(call: Call, *, body: BeginParameters) -> Response:
    require_visible_destination(call.caller, body.collection, body.session, archive=call.services.archive)
    begun = call.bind(begin)(body.file_name, body.size_bytes, collection=body.collection, session=body.session)
    document = {
        "key": begun.key,
        "upload_id": begun.upload_id,
        "part_bytes": begun.part_bytes,
        "parts": begun.parts,
        "source": _source(call, begun.key),
    }
    return json_response(document, status=201, headers=NO_STORE)


def list_parts(call: Call, *, body: PartsParameters) -> Response:
    _require_visible(call, body)
    uploads = call.services.uploads
    stored = uploads.parts(body.key, body.upload_id)
    urls = uploads.presigned_urls(body.key, body.upload_id, body.numbers)
    document = {
        "stored": [{"number": part.number, "size_bytes": part.size_bytes} for part in stored],
        "addresses": [{"number": number, "url": url} for number, url in sorted(urls.items())],
    }
    return json_response(document, headers=NO_STORE)


def complete_upload(call: Call, *, body: CompleteParameters) -> Response:
    _require_visible(call, body)
    bucket = call.services.settings.incoming_bucket
    etag = call.bind(complete)(body.key, body.upload_id, body.size_bytes, bucket=bucket)
    return json_response({"source": _source(call, body.key), "etag": etag, "size_bytes": body.size_bytes})


def abort_upload(call: Call, *, body: UploadNamed) -> Response:
    _require_visible(call, body)
    call.services.uploads.abort(body.key, body.upload_id)
    return json_response({"aborted": body.key})


def _require_visible(call: Call, upload: UploadNamed) -> None:
    """Raise NoSuchUploadError unless the caller may see the collection of an upload."""
    if not call.caller.sees(collection_of(upload.key)):
        raise NoSuchUploadError(f"there is no upload of {upload.key} with this id")


def _source(call: Call, key: str) -> str:
    return f"s3://{call.services.settings.incoming_bucket}/{key}"
