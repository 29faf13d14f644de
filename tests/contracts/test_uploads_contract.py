"""Uploads in parts, sent by who has them: what every implementation of ports.Uploads promises."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import requests

from chalicelib.adapters.memory import MemorySlides, MemoryUploads
from chalicelib.adapters.s3 import S3Slides, S3Uploads
from chalicelib.core.errors import NoSuchSourceError, NoSuchUploadError
from chalicelib.ports.slides import Slides
from chalicelib.ports.uploads import Uploads
from tests.timeouts import TIMEOUT_SECONDS

FIRST, LAST = b"a" * (5 << 20), b"the rest"
KEY = "direct/a slide+1 ü.svs"


@dataclass(frozen=True)
class Bench:
    uploads: Uploads
    slides: Slides
    put: Callable[[str, bytes], object]


@pytest.fixture(params=["memory", "s3"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        slides = MemorySlides()
        memory = MemoryUploads(slides, "incoming")
        return Bench(memory, slides, memory.put)
    client = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket="incoming")

    def put(address: str, data: bytes) -> None:
        requests.put(address, data=data, timeout=TIMEOUT_SECONDS).raise_for_status()

    return Bench(S3Uploads(client, "incoming", signer=client), S3Slides(client), put)


def begun(bench: Bench) -> str:
    upload_id = bench.uploads.begin(KEY)
    addresses = bench.uploads.presigned_urls(KEY, upload_id, [1, 2])
    bench.put(addresses[2], LAST)
    bench.put(addresses[1], FIRST)
    return upload_id


def test_parts_sent_to_their_addresses_become_an_object(bench: Bench) -> None:
    upload_id = begun(bench)
    parts = bench.uploads.parts(KEY, upload_id)
    assert [(part.number, part.size_bytes) for part in parts] == [(1, len(FIRST)), (2, len(LAST))]
    with pytest.raises(NoSuchSourceError):
        bench.slides.pin("incoming", KEY, first_bytes=1)
    bench.uploads.complete(KEY, upload_id, parts)
    source, first = bench.slides.pin("incoming", KEY, first_bytes=4)
    assert (source.size_bytes, first) == (len(FIRST) + len(LAST), b"aaaa")


def test_a_part_sent_again_is_there_once(bench: Bench) -> None:
    upload_id = begun(bench)
    bench.put(bench.uploads.presigned_urls(KEY, upload_id, [2])[2], b"other")
    assert [part.size_bytes for part in bench.uploads.parts(KEY, upload_id)] == [len(FIRST), len(b"other")]


def test_an_upload_has_no_parts_before_they_are_sent(bench: Bench) -> None:
    assert bench.uploads.parts(KEY, bench.uploads.begin(KEY)) == ()


def test_what_was_completed_or_given_up_is_no_upload_any_more(bench: Bench) -> None:
    completed, aborted = begun(bench), begun(bench)
    parts = bench.uploads.parts(KEY, completed)
    bench.uploads.complete(KEY, completed, parts)
    bench.uploads.abort(KEY, aborted)
    bench.uploads.abort(KEY, aborted)
    for upload_id in (completed, aborted, "nothing"):
        with pytest.raises(NoSuchUploadError):
            bench.uploads.parts(KEY, upload_id)
