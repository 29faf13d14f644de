"""The three ways to address a slide."""

import pytest

from chalicelib.core.jobs.model import Destination, Options, new_job
from chalicelib.core.jobs.source import Source
from chalicelib.core.web.slide_ids import Address, exact_address, is_kept, mark_of, read_address

VIEW, STORE, IMAGE = "0" * 23 + "b", "0" * 23 + "d", "0" * 23 + "a"


@pytest.mark.parametrize("text", [VIEW, f"{STORE}-{IMAGE}", f"{STORE}-{IMAGE}-0123abcd"])
def test_an_address_reads_as_it_is_written(text: str) -> None:
    assert str(read_address(text)) == text
    assert str(read_address(text.upper())) == text


def test_an_address_says_what_it_names() -> None:
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
def test_other_text_is_no_address(text: str) -> None:
    assert read_address(text) is None


def test_generations_have_addresses_of_their_own_and_what_others_published_has_none() -> None:
    one, other = exact_address(STORE, IMAGE, "job/0"), exact_address(STORE, IMAGE, "job/1")
    assert one.mark == mark_of("job/0") != other.mark
    assert read_address(str(one)) == one
    assert str(exact_address(STORE, IMAGE, "")) == f"{STORE}-{IMAGE}"


def test_an_image_is_kept_if_it_was_made_for_what_it_holds() -> None:
    source = Source(bucket="b", key="k", etag='"e"', size_bytes=1, version_id=None, last_modified_at=0.0)
    there = Destination(collection="c", session="s", image_store=STORE, database="d")
    job = new_job("upload", source, there, Options(), now=1.0)
    assert is_kept(job.image, f"{job.id}/{job.generation}")
    assert not is_kept(job.image, f"{job.id}/1")
    assert not is_kept(IMAGE, f"{job.id}/{job.generation}")
    assert not is_kept(job.image, "")
