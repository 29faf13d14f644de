"""The S3 objects that contain slides."""

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.jobs.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of a bucket's objects by key. `cursor` is the cursor of the next page, None at the end."""

    objects: tuple[Source, ...]
    cursor: str | None


class Slides(Protocol):
    """The S3 objects that contain slides."""

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        """Return the current version of an object, and up to `first_bytes` of its beginning.

        Raises NoSuchSourceError if the object does not exist, EmptySourceError if it is empty.
        """

    def read(self, source: Source, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` (exclusive, within the object) of the pinned version.

        Raises SourceChangedError if the object was overwritten since it was pinned, SourceGoneError if it was deleted.
        """

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        """Return up to `limit` current objects whose keys begin with `prefix`, without version ids.

        Raises NoSuchSourceError if the bucket does not exist.
        """
