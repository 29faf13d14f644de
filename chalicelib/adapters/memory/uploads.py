"""Multipart uploads in memory."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import count

from chalicelib.adapters.memory.slides import MemorySlides
from chalicelib.core.errors import NoSuchUploadError
from chalicelib.core.web.multipart_upload import Part


class MemoryUploads:
    """ports.Uploads as a dictionary. Completed objects are stored in `slides`."""

    def __init__(self, slides: MemorySlides, bucket: str) -> None:
        self._slides, self._bucket = slides, bucket
        self._open: dict[tuple[str, str], dict[int, bytes]] = {}
        self._ids = count(1)

    def begin(self, key: str) -> str:
        upload_id = f"upload-{next(self._ids)}"
        self._open[key, upload_id] = {}
        return upload_id

    def presigned_urls(self, key: str, upload_id: str, numbers: Sequence[int]) -> Mapping[int, str]:
        return {number: f"memory://{self._bucket}/{key}?{upload_id}#{number}" for number in numbers}

    def put(self, presigned_url: str, data: bytes) -> None:
        """Upload a part to its presigned URL, as a browser does."""
        path, _, number = presigned_url.rpartition("#")
        url, _, upload_id = path.rpartition("?")
        self._parts(url.removeprefix(f"memory://{self._bucket}/"), upload_id)[int(number)] = data

    def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        found = sorted(self._parts(key, upload_id).items())
        return tuple(Part(number=number, size_bytes=len(data), etag=_etag(data)) for number, data in found)

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        found = self._parts(key, upload_id)
        self._slides.put(self._bucket, key, b"".join(found[part.number] for part in parts))
        del self._open[key, upload_id]

    def abort(self, key: str, upload_id: str) -> None:
        self._open.pop((key, upload_id), None)

    def _parts(self, key: str, upload_id: str) -> dict[int, bytes]:
        if (key, upload_id) not in self._open:
            raise NoSuchUploadError(f"the upload of {key} does not exist")
        return self._open[key, upload_id]


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
