"""Slides in memory and in S3 give the same answers, whatever happens to them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple, rule

from chalicelib.adapters.memory import MemorySlides
from chalicelib.adapters.s3 import S3Slides
from chalicelib.core.jobs.source import Source
from chalicelib.ports.slides import Listing, Slides
from tests.contracts.likeness import Alike, Refusal, hold_parity
from tests.effort import few_or_all

KEYS = ("a", "a/1 +ü.svs", "a/2.svs", "b.svs")
keys = st.sampled_from(KEYS)
CONTENTS = (b"", b"I", b"II", b"II*\0", b"MM\0*")
contents = st.sampled_from(CONTENTS)


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


@dataclass(frozen=True)
class Bench:
    slides: Slides
    bucket: str
    put: Callable[[str, bytes], object]
    delete: Callable[[str], object]


class SlidesAlike(Alike[Bench]):
    pins = Bundle("pins")
    cursors = Bundle("cursors")

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[str, tuple[str, str]] = {}

    def _plain(self, source: Source) -> Source:
        """A source without what each side gives as it likes: the bucket, the version's name, the date."""
        return replace(source, bucket="slides", version_id="some" if source.version_id else None, last_modified_at=0.0)

    @rule(key=keys, data=contents)
    def put(self, key: str, data: bytes) -> None:
        self.each(lambda bench: bench.put(key, data), lambda _: None)

    @rule(pinned=pins, data=contents, stop=st.integers(1, 2))
    def read_what_was_put_again(self, pinned: tuple[Source, Source], data: bytes, stop: int) -> None:
        """The same bytes as when it was pinned are another version, and read on."""
        self.put(key=pinned[0].key, data=data)
        again = next((each for each in CONTENTS if etag_of(each) == pinned[0].etag), data)
        self.put(key=pinned[0].key, data=again)
        self.read(pinned=pinned, start=0, length=stop)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.each(lambda bench: bench.delete(key), lambda _: None)

    @rule(target=pins, key=keys, first_bytes=st.integers(1, 5))
    def pin(self, key: str, first_bytes: int) -> Any:
        memory, real = self.each(
            lambda bench: bench.slides.pin(bench.bucket, key, first_bytes=first_bytes),
            lambda found: (self._plain(found[0]), bytes(found[1])),
        )
        if isinstance(memory, Refusal) or isinstance(real, Refusal):
            return multiple()
        versions = (str(memory[0].version_id), str(real[0].version_id))
        for version in versions:  # what is another version to one side is another one to the other
            assert self._versions.setdefault(version, versions) == versions
        return memory[0], real[0]

    @rule(pinned=pins, start=st.integers(-1, 4), length=st.integers(0, 4))
    def read(self, pinned: tuple[Source, Source], start: int, length: int) -> None:
        memory, real = pinned
        self.both(
            lambda bench: bytes(
                bench.slides.read(memory if bench is self.memory else real, start, start + length),
            )
        )

    @rule(bucket=st.sampled_from(["no-such-bucket"]), key=keys)
    def look_elsewhere(self, bucket: str, key: str) -> None:
        self.both(lambda bench: bench.slides.list(bucket, key, cursor=None, limit=3))
        self.both(lambda bench: bench.slides.pin(bucket, key, first_bytes=4))

    @rule(target=cursors, prefix=st.sampled_from(["", "a", "a/", "b", "nothing/"]), limit=st.integers(1, 4))
    def first_page(self, prefix: str, limit: int) -> Any:
        return self._page(prefix, (None, None), limit)

    @rule(target=cursors, place=consumes(cursors), limit=st.integers(1, 4))
    def next_page(self, place: tuple[str, tuple[str | None, str | None]], limit: int) -> Any:
        prefix, cursors = place
        return self._page(prefix, cursors, limit)

    def _page(self, prefix: str, cursors: tuple[str | None, str | None], limit: int) -> Any:
        def ask(bench: Bench) -> Listing:
            cursor = cursors[0] if bench is self.memory else cursors[1]
            return bench.slides.list(bench.bucket, prefix, cursor=cursor, limit=limit)

        memory, real = self.each(
            ask, lambda page: ([self._plain(source) for source in page.objects], page.cursor is None)
        )
        return multiple() if real.cursor is None else (prefix, (memory.cursor, real.cursor))

    def teardown(self) -> None:
        self._page("", (None, None), 9)
        for key in KEYS:
            self.pin(key=key, first_bytes=4)


@few_or_all("examples", 8, 40)
def test_slides_in_memory_and_in_s3_are_alike(aws: Any, examples: int) -> None:
    client, buckets = aws("s3"), count()

    def machine() -> SlidesAlike:
        machine, memory, bucket = SlidesAlike(), MemorySlides(), f"slides-{next(buckets)}"
        client.create_bucket(Bucket=bucket)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        memory.delete("slides", memory.put("slides", "first", b"").key)  # now there is the bucket
        machine.memory = Bench(
            memory,
            "slides",
            lambda key, data: memory.put("slides", key, data),
            lambda key: memory.delete("slides", key),
        )
        machine.real = Bench(
            S3Slides(client),
            bucket,
            lambda key, data: client.put_object(Bucket=bucket, Key=key, Body=data),
            lambda key: client.delete_object(Bucket=bucket, Key=key),
        )
        return machine

    hold_parity(machine, examples=examples)
