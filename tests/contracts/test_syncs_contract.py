"""The syncs: what every implementation of ports.Syncs promises."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.adapters.dynamodb.syncs import SyncTable
from chalicelib.adapters.memory import MemorySyncs
from chalicelib.core.jobs.model import Destination, Options
from chalicelib.core.jobs.sync import Entry, Sync, advanced, new_sync, next_run
from chalicelib.ports.syncs import Syncs
from tests.contracts.samples import COLLECTION, SESSION, STORE

AtOnce = Callable[[list[Callable[[], Any]]], list[Any]]
PLACE = Destination(collection=COLLECTION, session=SESSION, image_store=STORE, database="tiles")
ENTRIES = (
    Entry(key="a b+c.svs", outcome="added", job="0" * 32),
    Entry(key="b.svs", outcome="failed", code="not_a_tiff", message="it is none"),
    Entry(key="notes/", outcome="ignored"),
)


@pytest.fixture(params=["memory", "dynamodb"])
def syncs(request: pytest.FixtureRequest) -> Syncs:
    if request.param == "memory":
        return MemorySyncs()
    return SyncTable(request.getfixturevalue("dynamodb"), "jobs")


def a_sync(prefix: str = "lung/", *, now: float = 100.25, place: Destination | None = PLACE) -> Sync:
    return new_sync("slides", prefix, place, Options(), now=now)


@pytest.mark.parametrize("place", [PLACE, None], ids=["one place", "places by key"])
def test_a_sync_comes_back_as_it_was_stored(syncs: Syncs, place: Destination | None) -> None:
    sync = a_sync("", place=place)
    assert syncs.get(sync.id) is None
    assert syncs.create(sync) == sync
    assert syncs.get(sync.id) == sync
    assert syncs.create(replace(sync, submitted_at=7.0)) == sync


def test_a_page_brings_it_forward_once(syncs: Syncs) -> None:
    sync = syncs.create(a_sync())
    after = advanced(sync, ENTRIES, now=101.5, cursor="next", sessions=(SESSION,))
    assert syncs.move(sync, after)
    assert syncs.get(sync.id) == after
    assert not syncs.move(sync, advanced(sync, (), now=102.0, cursor="elsewhere"))
    assert syncs.get(sync.id) == after
    assert (after.counts.added, after.counts.failed, after.counts.ignored, after.pages) == (1, 1, 1, 1)
    assert after.highlights == ENTRIES[:2]


def test_of_two_at_once_one_brings_it_forward(syncs: Syncs, at_once: AtOnce) -> None:
    sync = syncs.create(a_sync())
    moved = at_once([lambda n=n: syncs.move(sync, advanced(sync, (), now=float(n))) for n in range(200, 206)])  # type: ignore[misc]
    assert sorted(moved) == [False] * 5 + [True]


def test_what_has_ended_begins_again_as_the_next_run_once(syncs: Syncs) -> None:
    sync = syncs.create(a_sync())
    ended = advanced(sync, ENTRIES, now=101.0, ended_at=101.0, is_listed=True)
    assert syncs.move(sync, ended)
    again = next_run(ended, now=200.0)
    assert (again.run, again.pages, again.is_live) == (2, 0, True)
    assert syncs.move(ended, again)
    assert not syncs.move(ended, again)
    assert syncs.get(sync.id) == again


def test_one_that_is_not_there_is_not_moved(syncs: Syncs) -> None:
    sync = a_sync()
    assert not syncs.move(sync, advanced(sync, (), now=1.0))
    assert syncs.get(sync.id) is None


def test_the_pages_of_a_run_are_kept_by_number(syncs: Syncs) -> None:
    sync = syncs.create(a_sync())
    syncs.put_page(sync, ENTRIES[:1])
    syncs.put_page(sync, ENTRIES)
    second = replace(sync, pages=1)
    syncs.put_page(second, ())
    assert (syncs.page(sync, 0), syncs.page(sync, 1), syncs.page(sync, 2)) == (ENTRIES, (), ())
    assert syncs.page(replace(sync, run=2), 0) == ()


def test_those_that_run_and_those_that_have_ended_are_listed_apart(syncs: Syncs) -> None:
    made = [syncs.create(a_sync(f"{number}/", now=float(number))) for number in range(1, 4)]
    ended = advanced(made[1], (), now=9.0, ended_at=9.0)
    assert syncs.move(made[1], ended)
    assert syncs.latest(live=True, limit=9) == (made[2], made[0])
    assert syncs.latest(live=True, limit=1) == (made[2],)
    assert syncs.latest(live=False, limit=9) == (ended,)
