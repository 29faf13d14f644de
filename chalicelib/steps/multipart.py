"""Multipart: upload a local slide to the incoming bucket by presigned URLs.

The client sends the parts to S3, not through the service. S3 deletes incomplete uploads after some days.
"""

from dataclasses import dataclass

from chalicelib.core.errors import NoSuchSourceError, NoSuchUploadError, PartsMissingError
from chalicelib.core.web.multipart_upload import Part, direct_key, missing_parts, part_bytes, part_count
from chalicelib.ports.archive import Archive
from chalicelib.ports.slides import Slides
from chalicelib.ports.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A multipart upload of `parts` parts. Each has `part_bytes` bytes, the last one the remaining bytes."""

    key: str
    upload_id: str
    part_bytes: int
    parts: int


def begin(name: str, size_bytes: int, *, collection: str, session: str, archive: Archive, uploads: Uploads) -> Begun:
    """Create a multipart upload of a slide. Raises DestinationError if its destination does not exist."""
    archive.locate(collection, session, None)
    key = direct_key(collection, session, name)
    return Begun(key=key, upload_id=uploads.begin(key), part_bytes=part_bytes(size_bytes), parts=part_count(size_bytes))


def complete(key: str, upload_id: str, size_bytes: int, *, bucket: str, uploads: Uploads, slides: Slides) -> str:
    """Complete an upload and return the ETag of the object. Safe to retry.

    Raises PartsMissingError if parts are missing, NoSuchUploadError if the upload does not exist.
    """
    try:
        parts = uploads.parts(key, upload_id)
        _require_all_parts(parts, size_bytes)
        uploads.complete(key, upload_id, parts)
    except NoSuchUploadError:
        # A retry after a lost response: the upload may be complete already.
        try:
            source, _ = slides.pin(bucket, key, first_bytes=1)
        except NoSuchSourceError:
            source = None
        if source is None or source.size_bytes != size_bytes:
            raise
        return source.etag
    source, _ = slides.pin(bucket, key, first_bytes=1)
    return source.etag


def _require_all_parts(parts: tuple[Part, ...], size_bytes: int) -> None:
    missing = missing_parts(parts, size_bytes)
    if missing:
        numbers = ", ".join(map(str, missing[:10])) + (" and more" if len(missing) > 10 else "")
        raise PartsMissingError(f"{len(missing)} of {part_count(size_bytes)} parts are missing: {numbers}")
