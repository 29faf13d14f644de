"""Multipart uploads into the incoming bucket."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from chalicelib.core.web.multipart_upload import Part


class Uploads(Protocol):
    """Multipart uploads to the incoming bucket. Clients send the parts to S3, not through this service."""

    def begin(self, key: str) -> str:
        """Create a multipart upload of the object `key`. Return its id."""

    def presigned_urls(self, key: str, upload_id: str, numbers: Sequence[int]) -> Mapping[int, str]:
        """Return a presigned URL for each part by number. The URLs are valid for an hour."""

    def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        """Return up to a thousand uploaded parts by number. Raises NoSuchUploadError."""

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Create the object from these parts. Raises NoSuchUploadError, also if the upload is already complete."""

    def abort(self, key: str, upload_id: str) -> None:
        """Delete an upload with all its parts. Safe to retry; an unknown upload is ignored."""
