"""The step that a message runs, and whether its work is pending."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.jobs.model import Destination, Job, Options, new_job
from chalicelib.core.jobs.source import Source
from chalicelib.core.plan.messages import Message, Step
from chalicelib.core.plan.next_step import is_pending, step_of

SOURCE = Source(bucket="b", key="k.svs", etag='"e"', size_bytes=1, version_id=None)
PLACE = Destination(collection="c", session="s", image_store="i", database="d", mongo_collection=None)


def job(**fields: Any) -> Job:
    return replace(new_job("upload", SOURCE, PLACE, Options(), now=1.0), **fields)


def message(verb: Step, chunk: int | None = None) -> Message:
    return Message(step=verb, job="j", attempt=1, chunk=chunk)


@pytest.mark.parametrize(
    ("verb", "chunk", "verifies", "step"),
    [
        ("plan", None, None, "plan"),
        ("plan", None, "image", "plan"),
        ("tile", 0, None, "tile"),
        ("tile", 3, "image", "tile"),
        ("finish", None, None, "finish"),
        ("finish", None, "image", "finish_verification"),
    ],
)
def test_step_of_message_follows_from_its_verb_and_job(
    verb: Step, chunk: int | None, verifies: str | None, step: str
) -> None:
    assert step_of(message(verb, chunk), job(verifies=verifies)) == step


def test_plan_is_pending_until_the_job_is_tiling() -> None:
    assert is_pending(message("plan"), job())
    assert is_pending(message("plan"), job(plan_digest="d"))
    assert not is_pending(message("plan"), job(plan_digest="d", tiling_at=2.0))


def test_chunk_is_pending_until_it_is_done() -> None:
    done = job(chunks_done=frozenset({0, 2}))
    assert [is_pending(message("tile", chunk), done) for chunk in range(3)] == [False, True, False]
