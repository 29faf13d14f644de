"""Multipart uploads into the incoming bucket."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chalicelib.core.web.multipart_upload import Part


class Uploads(Protocol):
    """Uploads in parts to the incoming bucket. Parts are sent to it by who has them, not through this service."""

    def begin(self, key: str) -> str:
        """Return the id of a new upload, which becomes the object `key` when it is completed."""

    def addresses(self, key: str, upload_id: str, numbers: Sequence[int]) -> Mapping[int, str]:
        """Return a presigned URL for each part. It is valid for an hour."""

    def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that have arrived, by number, up to a thousand. Raises NoSuchUploadError."""

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make an object of these parts. Raises NoSuchUploadError: it may be complete already."""

    def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload with all its parts. Nothing happens if there is none."""
