"""The pinned object a slide is read from, and the addresses that name one."""

import re
from dataclasses import dataclass

from chalicelib.core.errors import InvalidObjectKeyError
from chalicelib.core.ids import object_id

# Uploads of the command line. It submits them itself, with its own options, so their events start nothing.
DIRECT_PREFIX = "direct/"
SLIDE_SUFFIXES = (".ptif", ".ptiff", ".svs", ".tif", ".tiff")
OBJECT_ID = re.compile(r"[0-9a-f]{24}")
S3_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])/(?P<key>.{1,1024})", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One version of one object. `etag` (with its quotes) pins it: every read is conditional on it.

    `version_id` and `last_modified_at` (epoch seconds) are recorded and are not part of the identity.
    """

    bucket: str
    key: str
    etag: str
    size_bytes: int
    version_id: str | None = None
    last_modified_at: float = 0.0

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def file_name(self) -> str:
        return self.key.rsplit("/", 1)[-1]

    @property
    def slide(self) -> str:
        """The slide as its user knows it: the same key with new bytes is the same slide."""
        return object_id("slide", self.bucket, self.key)


def parse_s3_url(url: str) -> tuple[str, str]:
    """Return (bucket, key) of `s3://bucket/key`. Raises ValueError, with a sentence, for anything else."""
    match = S3_URL.fullmatch(url)
    if match is None or len(match["key"].encode()) > 1024:
        raise ValueError("must look like s3://bucket/key")
    return match["bucket"], match["key"]


def parse_prefix(url: str) -> tuple[str, str]:
    """Return (bucket, prefix) of `s3://bucket/prefix`, whose prefix may be empty.

    Raises ValueError, with a sentence, for anything else.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    try:
        parse_s3_url(f"s3://{bucket}/{prefix or '-'}")
    except ValueError:
        bucket = ""
    if not url.startswith("s3://") or not bucket:
        raise ValueError("must look like s3://bucket/prefix")
    return bucket, prefix


def is_named_like_a_slide(key: str) -> bool:
    """Tell whether a name ends as slides' names do. A folder holds other things too; who gives a slide another name
    submits it himself."""
    return key.lower().endswith(SLIDE_SUFFIXES)


def is_publishable(key: str) -> bool:
    """Tell whether an object is there to be published where its key says: it is named like a slide, or lies where a
    a session is named. Other objects are not meant to be published, and folders are not objects."""
    try:
        destination_of_key(key)
    except InvalidObjectKeyError:
        return is_named_like_a_slide(key)
    return True


def is_direct(key: str) -> bool:
    """Tell whether the key is an upload that its uploader submits itself."""
    return key.startswith(DIRECT_PREFIX)


def destination_of_key(key: str) -> tuple[str, str]:
    """Return (collection id, session id) that the folders of the key name, also below `direct/`.

    Raises InvalidObjectKeyError if the key does not name them.
    """
    folders = key.removeprefix(DIRECT_PREFIX).split("/")[:-1]
    if len(folders) < 2 or not all(OBJECT_ID.fullmatch(folder) for folder in folders[:2]) or key.endswith("/"):
        raise InvalidObjectKeyError(f"the key {key!r} names no collection and session")
    return folders[0], folders[1]
