"""The objects slides are read from: what every implementation of ports.Slides promises."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib.adapters.memory import MemorySlides
from chalicelib.adapters.s3 import S3Slides
from chalicelib.core.errors import (
    AwsUnavailableError,
    EmptySourceError,
    NoSuchSourceError,
    SourceChangedError,
    SourceGoneError,
)
from chalicelib.ports.slides import Slides

DATA = bytes(range(256)) * 8
KEY = "folder/a slide+1.svs"


@dataclass(frozen=True)
class Bench:
    slides: Slides
    put: Callable[[str, bytes], object]
    delete: Callable[[str], None]


@pytest.fixture(params=["memory", "s3"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        memory = MemorySlides()
        return Bench(
            memory, lambda key, data: memory.put("slides", key, data), lambda key: memory.delete("slides", key)
        )
    client = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket="slides")
    client.put_bucket_versioning(Bucket="slides", VersioningConfiguration={"Status": "Enabled"})

    def put(key: str, data: bytes) -> None:
        client.put_object(Bucket="slides", Key=key, Body=data)

    def delete(key: str) -> None:
        client.delete_object(Bucket="slides", Key=key)

    return Bench(S3Slides(client), put, delete)


def test_pinning_tells_what_the_object_is_and_how_it_begins(bench: Bench) -> None:
    bench.put(KEY, DATA)
    source, first = bench.slides.pin("slides", KEY, first_bytes=16)
    assert (source.bucket, source.key, source.size_bytes) == ("slides", KEY, 2048)
    assert first == DATA[:16]
    assert source.etag.startswith('"')
    assert source.version_id


def test_an_object_shorter_than_what_is_asked_for_comes_whole(bench: Bench) -> None:
    bench.put(KEY, b"II*")
    source, first = bench.slides.pin("slides", KEY, first_bytes=16)
    assert (source.size_bytes, first) == (3, b"II*")


def test_pinning_twice_pins_the_same(bench: Bench) -> None:
    bench.put(KEY, DATA)
    assert bench.slides.pin("slides", KEY, first_bytes=4) == bench.slides.pin("slides", KEY, first_bytes=4)


def test_new_bytes_are_another_source_of_the_same_slide(bench: Bench) -> None:
    bench.put(KEY, DATA)
    old, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    bench.put(KEY, DATA[::-1])
    new, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    assert old.etag != new.etag
    assert old.version_id != new.version_id
    assert old.slide == new.slide


@pytest.mark.parametrize(("start", "stop"), [(0, 2048), (0, 1), (2047, 2048), (100, 1124)])
def test_a_range_is_read_byte_for_byte(bench: Bench, start: int, stop: int) -> None:
    bench.put(KEY, DATA)
    source, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    assert bytes(bench.slides.read(source, start, stop)) == DATA[start:stop]


@pytest.mark.parametrize("other", [DATA[::-1], b"shorter", DATA + b"longer"], ids=["same size", "shorter", "longer"])
def test_an_overwritten_object_is_not_read_on(bench: Bench, other: bytes) -> None:
    bench.put(KEY, DATA)
    source, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    bench.put(KEY, other)
    with pytest.raises(SourceChangedError, match="folder/a slide"):
        bench.slides.read(source, 1000, 2000)


def test_an_object_that_was_replaced_by_the_same_bytes_is_read_on(bench: Bench) -> None:
    bench.put(KEY, DATA)
    source, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    bench.put(KEY, DATA)
    assert bytes(bench.slides.read(source, 5, 10)) == DATA[5:10]


def test_a_deleted_object_is_gone(bench: Bench) -> None:
    bench.put(KEY, DATA)
    source, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    bench.delete(KEY)
    with pytest.raises(SourceGoneError, match="folder/a slide"):
        bench.slides.read(source, 0, 10)
    with pytest.raises(NoSuchSourceError):
        bench.slides.pin("slides", KEY, first_bytes=4)


@pytest.mark.parametrize("bucket", ["slides", "no-such-bucket"])
def test_an_object_that_never_was_cannot_be_pinned(bench: Bench, bucket: str) -> None:
    with pytest.raises(NoSuchSourceError, match=r"missing\.svs") as refusal:
        bench.slides.pin(bucket, "missing.svs", first_bytes=4)
    assert refusal.value.pointer == "/source"


def test_an_empty_object_is_refused(bench: Bench) -> None:
    bench.put(KEY, b"")
    with pytest.raises(EmptySourceError, match="folder/a slide"):
        bench.slides.pin("slides", KEY, first_bytes=4)


@pytest.mark.parametrize(("start", "stop"), [(0, 2049), (10, 10), (-1, 5), (2048, 2049)])
def test_a_range_outside_the_object_is_a_fault_of_the_caller(bench: Bench, start: int, stop: int) -> None:
    bench.put(KEY, DATA)
    source, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    with pytest.raises(ValueError, match="2048"):
        bench.slides.read(source, start, stop)


def test_the_etag_alone_pins(bench: Bench) -> None:
    bench.put(KEY, DATA)
    source, _ = bench.slides.pin("slides", KEY, first_bytes=4)
    elsewhere = replace(source, version_id=None, last_modified_at=0.0)
    assert bytes(bench.slides.read(elsewhere, 0, 4)) == DATA[:4]


def test_a_storage_that_sends_the_whole_object_for_a_range_is_not_believed(aws: Callable[[str], Any]) -> None:
    client = aws("s3")
    client.create_bucket(Bucket="slides")
    client.put_object(Bucket="slides", Key=KEY, Body=DATA)
    slides = S3Slides(client)
    source, _ = slides.pin("slides", KEY, first_bytes=4)

    def without_range(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in params.items() if name != "Range"}

    client.meta.events.register("provide-client-params.s3.GetObject", without_range)
    with pytest.raises(AwsUnavailableError, match="whole object"):
        slides.read(source, 0, 4)


def test_objects_are_listed_by_key_page_by_page(bench: Bench) -> None:
    keys = ["a/1.svs", "a/2 +ü.svs", "a/b/3.svs", "b/4.svs"]
    for key in reversed(keys):
        bench.put(key, key.encode())
    first = bench.slides.list("slides", "a/", cursor=None, limit=2)
    assert [source.key for source in first.objects] == keys[:2]
    assert first.cursor is not None
    second = bench.slides.list("slides", "a/", cursor=first.cursor, limit=2)
    assert ([source.key for source in second.objects], second.cursor) == (keys[2:3], None)
    pinned, _ = bench.slides.pin("slides", keys[1], first_bytes=1)
    assert replace(pinned, version_id=None) == first.objects[1]


def test_a_prefix_without_objects_lists_none(bench: Bench) -> None:
    bench.put("a", DATA)
    found = bench.slides.list("slides", "nothing/", cursor=None, limit=2)
    assert (found.objects, found.cursor) == ((), None)
