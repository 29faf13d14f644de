"""A local slide on its way to the incoming bucket: what a page needs to send it there by itself, in parts."""

from typing import TypeVar

from chalice.app import Request, Response

from chalicelib.core.errors import NoSuchUploadError
from chalicelib.core.web.multipart_upload import collection_of
from chalicelib.entrypoints.http.auth import may_submit, see_place
from chalicelib.entrypoints.http.responses import answered, body_of
from chalicelib.hooks import validated
from chalicelib.hooks.multipart import BeginParameters, CompleteParameters, PartsParameters, UploadNamed
from chalicelib.services import Services
from chalicelib.steps.multipart import begin, complete

Kind = TypeVar("Kind", bound=UploadNamed)

# An address lets whoever has it write a part.
SECRET = {"Cache-Control": "no-store"}


def begin_upload(request: Request, system: Services) -> Response:
    caller = may_submit(request, system, limited=True)
    asked = validated(BeginParameters, body_of(request))
    see_place(caller, system, asked.collection, asked.session)
    begun = begin(
        asked.file_name,
        asked.size_bytes,
        collection=asked.collection,
        session=asked.session,
        archive=system.archive,
        uploads=system.uploads,
    )
    found = {
        "key": begun.key,
        "upload_id": begun.upload_id,
        "part_bytes": begun.part_bytes,
        "parts": begun.parts,
        "source": _source(system, begun.key),
    }
    return answered(found, status=201, headers=SECRET)


def list_parts(request: Request, system: Services) -> Response:
    """Which parts have arrived, and where those that are asked for may be sent."""
    asked = _asked(PartsParameters, request, system)
    stored = system.uploads.parts(asked.key, asked.upload_id)
    addresses = system.uploads.addresses(asked.key, asked.upload_id, asked.numbers)
    found = {
        "stored": [{"number": part.number, "size_bytes": part.size_bytes} for part in stored],
        "addresses": [{"number": number, "url": url} for number, url in sorted(addresses.items())],
    }
    return answered(found, headers=SECRET)


def complete_upload(request: Request, system: Services) -> Response:
    asked = _asked(CompleteParameters, request, system)
    etag = complete(
        asked.key,
        asked.upload_id,
        asked.size_bytes,
        bucket=system.settings.incoming_bucket,
        uploads=system.uploads,
        slides=system.slides,
    )
    return answered({"source": _source(system, asked.key), "etag": etag, "size_bytes": asked.size_bytes})


def abort_upload(request: Request, system: Services) -> Response:
    asked = _asked(UploadNamed, request, system)
    system.uploads.abort(asked.key, asked.upload_id)
    return answered({"aborted": asked.key})


def _asked(kind: type[Kind], request: Request, system: Services) -> Kind:
    """Return what is said of an upload that the caller may go on with. Raises NoSuchUploadError for another's."""
    caller = may_submit(request, system, limited=True)
    asked = validated(kind, body_of(request))
    if not caller.sees(collection_of(asked.key)):
        raise NoSuchUploadError(f"there is no such upload of {asked.key}")
    return asked


def _source(system: Services, key: str) -> str:
    return f"s3://{system.settings.incoming_bucket}/{key}"
