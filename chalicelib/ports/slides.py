"""The objects that slides are read from."""

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.jobs.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of a bucket's objects, by key. `cursor` asks for the next one; None at the end."""

    objects: tuple[Source, ...]
    cursor: str | None


class Slides(Protocol):
    """The objects slides are read from."""

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        """Return the object as it stands now, and up to `first_bytes` of its beginning.

        Raises NoSuchSourceError, EmptySourceError.
        """

    def read(self, source: Source, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` (exclusive, within the object) of exactly this version.

        Raises SourceChangedError if the object was overwritten since it was pinned, SourceGoneError if it was deleted.
        """

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        """Return up to `limit` objects whose keys begin with `prefix`, as they stand now (without version ids).

        Raises NoSuchSourceError if there is no such bucket.
        """
