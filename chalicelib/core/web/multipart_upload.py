"""Uploads that a page sends straight to the incoming bucket, in parts. They begin nothing by themselves
(source.is_direct): who uploads submits them."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.core.jobs.source import DIRECT_PREFIX, OBJECT_ID

MIB = 1 << 20
# S3 takes parts of 5 MiB and more; a thousand of them are one page of its listing.
PART_BYTES = 8 * MIB
MAX_PARTS = 1000
MAX_UPLOAD_BYTES = 5 * 1000**4
MAX_NAME = 200
DIRECT_KEY = re.compile(rf"{DIRECT_PREFIX}(?P<collection>{OBJECT_ID.pattern})/(?P<session>{OBJECT_ID.pattern})/[^/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of an upload that S3 has, counted from 1. `etag` has its quotes."""

    number: int
    size_bytes: int
    etag: str


def safe_name(name: str) -> str:
    """Return a file's name without folders, control characters and what turns the direction of text.

    Raises ValueError, with a sentence, if nothing is left of it.
    """
    bare = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    kept = "".join(letter for letter in bare if unicodedata.category(letter)[0] != "C").strip(" .")
    if not kept:
        raise ValueError("must be the name of a file")
    stem, dot, ending = kept.rpartition(".")
    if not stem:
        return kept[:MAX_NAME]
    ending = ending[: MAX_NAME // 2]
    return f"{stem[: MAX_NAME - len(dot + ending)]}{dot}{ending}"


def direct_key(collection: str, session: str, name: str) -> str:
    """Return where in the incoming bucket an upload goes: where the command line puts a slide of that name as well, so
    that the same slide has the same key."""
    return f"{DIRECT_PREFIX}{collection}/{session}/{name}"


def collection_of(key: str) -> str:
    """Return the collection that an upload is for. Raises ValueError, with a sentence, for a key of something else."""
    found = DIRECT_KEY.fullmatch(key)
    if found is None:
        raise ValueError("must be the key that the upload was begun with")
    return found["collection"]


def part_bytes(size_bytes: int) -> int:
    """Return how large the parts of an upload are, but for the last."""
    wanted = max(PART_BYTES, -(-size_bytes // MAX_PARTS))
    return -(-wanted // MIB) * MIB


def part_count(size_bytes: int) -> int:
    return max(1, -(-size_bytes // part_bytes(size_bytes)))


def missing_parts(parts: Iterable[Part], size_bytes: int) -> tuple[int, ...]:
    """Return the numbers of the parts of a file that S3 has not, or not in their size."""
    each, count = part_bytes(size_bytes), part_count(size_bytes)
    sizes = {part.number: part.size_bytes for part in parts}
    wanted = {number: min(each, size_bytes - (number - 1) * each) for number in range(1, count + 1)}
    return tuple(number for number, size in wanted.items() if sizes.get(number) != size)
