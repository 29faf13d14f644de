"""Direct: a local slide is brought to the incoming bucket in parts, by addresses that S3 takes them at.

The service sees no byte of it. What is begun and never completed, S3 forgets by itself after some days.
"""

from dataclasses import dataclass

from chalicelib.core.errors import NoSuchSourceError, NoSuchUploadError, PartsMissingError
from chalicelib.core.web.multipart_upload import Part, direct_key, missing_parts, part_bytes, part_count
from chalicelib.ports.archive import Archive
from chalicelib.ports.slides import Slides
from chalicelib.ports.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An upload to be sent in `parts` parts of `part_bytes`, the last of which is what remains."""

    key: str
    upload_id: str
    part_bytes: int
    parts: int


def begin(name: str, size_bytes: int, *, collection: str, session: str, archive: Archive, uploads: Uploads) -> Begun:
    """Begin the upload of a slide. Raises DestinationError if it could not be published there."""
    archive.locate(collection, session, None)
    key = direct_key(collection, session, name)
    return Begun(key=key, upload_id=uploads.begin(key), part_bytes=part_bytes(size_bytes), parts=part_count(size_bytes))


def complete(key: str, upload_id: str, size_bytes: int, *, bucket: str, uploads: Uploads, slides: Slides) -> str:
    """Make one object of the parts and return its ETag. Harmless to repeat.

    Raises PartsMissingError, NoSuchUploadError.
    """
    try:
        parts = uploads.parts(key, upload_id)
        _check(parts, size_bytes)
        uploads.complete(key, upload_id, parts)
    except NoSuchUploadError:
        # It may be complete already: the answer to the first call was lost.
        try:
            source, _ = slides.pin(bucket, key, first_bytes=1)
        except NoSuchSourceError:
            source = None
        if source is None or source.size_bytes != size_bytes:
            raise
        return source.etag
    source, _ = slides.pin(bucket, key, first_bytes=1)
    return source.etag


def _check(parts: tuple[Part, ...], size_bytes: int) -> None:
    missing = missing_parts(parts, size_bytes)
    if missing:
        named = ", ".join(map(str, missing[:10])) + (" and more" if len(missing) > 10 else "")
        raise PartsMissingError(f"of the upload's {part_count(size_bytes)} parts {len(missing)} are missing: {named}")
