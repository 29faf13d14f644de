"""The three forms of a slide address."""

import pytest

from chalicelib.core.jobs.model import Destination, Options, new_job
from chalicelib.core.jobs.source import Source
from chalicelib.core.web.slide_ids import Address, exact_address, is_kept, mark_of, read_address

VIEW, STORE, IMAGE = "0" * 23 + "b", "0" * 23 + "d", "0" * 23 + "a"


@pytest.mark.parametrize("text", [VIEW, f"{STORE}-{IMAGE}", f"{STORE}-{IMAGE}-0123abcd"])
def test_address_survives_round_trip(text: str) -> None:
    assert str(read_address(text)) == text
    assert str(read_address(text.upper())) == text


def test_address_is_parsed_into_its_parts() -> None:
    assert read_address(VIEW) == Address(view=VIEW)
    assert read_address(f"{STORE}-{IMAGE}-0123abcd") == Address(image_store=STORE, image=IMAGE, mark="0123abcd")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        VIEW + "0",
        f"{STORE}-{IMAGE}-",
        f"{STORE}-{IMAGE}-0123abc",
        f"{STORE}--0123abcd",
        f"{VIEW}\n",
        f"{VIEW}/..",
    ],
)
def test_other_text_is_not_an_address(text: str) -> None:
    assert read_address(text) is None


def test_exact_address_names_generation_of_own_slides_only() -> None:
    one, other = exact_address(STORE, IMAGE, "job/0"), exact_address(STORE, IMAGE, "job/1")
    assert one.mark == mark_of("job/0") != other.mark
    assert read_address(str(one)) == one
    assert str(exact_address(STORE, IMAGE, "")) == f"{STORE}-{IMAGE}"


def test_is_kept_requires_the_image_of_its_generation() -> None:
    source = Source(bucket="b", key="k", etag='"e"', size_bytes=1, version_id=None, last_modified_at=0.0)
    there = Destination(collection="c", session="s", image_store=STORE, database="d")
    job = new_job("upload", source, there, Options(), now=1.0)
    assert is_kept(job.image, f"{job.id}/{job.generation}")
    assert not is_kept(job.image, f"{job.id}/1")
    assert not is_kept(IMAGE, f"{job.id}/{job.generation}")
    assert not is_kept(job.image, "")
