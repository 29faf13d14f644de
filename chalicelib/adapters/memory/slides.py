"""S3 objects in memory."""

import hashlib
from dataclasses import replace
from itertools import count

from chalicelib.core.errors import EmptySourceError, NoSuchSourceError, SourceChangedError, SourceGoneError
from chalicelib.core.jobs.source import Source
from chalicelib.ports.slides import Listing


class MemorySlides:
    """ports.Slides as a dictionary, with ETags and version ids in the format of S3."""

    def __init__(self) -> None:
        self._buckets: set[str] = set()
        self._objects: dict[tuple[str, str], tuple[Source, bytes]] = {}
        self._versions = count(1)

    def put(self, bucket: str, key: str, data: bytes, *, at: float = 0.0) -> Source:
        """Store an object and create its bucket. An existing object is overwritten. Return the pinned object."""
        source = Source(
            bucket=bucket,
            key=key,
            etag=f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"',
            size_bytes=len(data),
            version_id=f"version-{next(self._versions)}",
            last_modified_at=at,
        )
        self._buckets.add(bucket)
        self._objects[bucket, key] = source, data
        return source

    def delete(self, bucket: str, key: str) -> None:
        self._objects.pop((bucket, key), None)

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        if (bucket, key) not in self._objects:
            raise NoSuchSourceError(f"the object s3://{bucket}/{key} does not exist", pointer="/source")
        source, data = self._objects[bucket, key]
        if not data:
            raise EmptySourceError(f"{source} is empty", pointer="/source")
        return source, data[:first_bytes]

    def read(self, source: Source, start: int, stop: int) -> bytes:
        if not 0 <= start < stop <= source.size_bytes:
            raise ValueError(f"bytes {start} to {stop} of {source}, which has {source.size_bytes}")
        if (source.bucket, source.key) not in self._objects:
            raise SourceGoneError(f"{source} was deleted while it was read")
        present, data = self._objects[source.bucket, source.key]
        if present.etag != source.etag:
            raise SourceChangedError(f"{source} was overwritten while it was read")
        return data[start:stop]

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        if bucket not in self._buckets:
            raise NoSuchSourceError(f"the bucket s3://{bucket} does not exist", pointer="/source")
        found = sorted(
            (key, source)
            for (its_bucket, key), (source, _) in self._objects.items()
            if its_bucket == bucket and key.startswith(prefix) and key > (cursor or "")
        )
        page = tuple(replace(source, version_id=None) for _, source in found[:limit])
        return Listing(objects=page, cursor=page[-1].key if len(found) > limit else None)
