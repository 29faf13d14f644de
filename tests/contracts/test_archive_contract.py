"""SlideAtlas' archive: what every implementation of ports.Archive promises."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from chalicelib.core.errors import (
    ForeignSessionError,
    InvalidRequestError,
    MongoUnavailableError,
    NoImageStoreError,
    NoSuchCollectionError,
    NoSuchSessionError,
    TileConflictError,
)
from chalicelib.core.ids import digest_sum, tile_id
from chalicelib.core.jobs.model import Destination, Job, SlideSummary
from chalicelib.core.jobs.verification import Stored
from chalicelib.ports.archive import AssociatedImage, CollectionStats, PublishedImage, PublishResult, Tile
from tests.contracts.archives import ArchiveBench, MemoryBench, MongoBench
from tests.contracts.samples import (
    COLLECTION,
    NAMED_IMAGE,
    OTHER_COLLECTION,
    OTHER_SESSION,
    OTHER_STORE,
    SESSION,
    STORE,
    a_job,
    a_source,
    a_tile,
    facts_of,
    some_tiles,
)

UNKNOWN = "0" * 24
FOREIGN_VIEW = "0000000000000000000b0001"
FOREIGN_IMAGE = "0000000000000000000a0009"

AtOnce = Callable[[list[Callable[[], Any]]], list[Any]]


@pytest.fixture(params=["memory", "mongodb"])
def bench(request: pytest.FixtureRequest) -> Iterator[ArchiveBench]:
    if request.param == "memory":
        yield MemoryBench()
        return
    mongo = MongoBench(request.getfixturevalue("mongo_uri"))
    yield mongo
    mongo.drop()


def version(bench: ArchiveBench, number: int, key: str = "slide.svs", **job: Any) -> Job:
    """The job of version `number` of a slide: newer bytes, later submitted."""
    source = a_source(key, etag=f'"{number}"', at=500.0 + number)
    return a_job(source=source, database=bench.database, now=1000.0 + number, **job)


def staged(bench: ArchiveBench, job: Job, tiles: list[Tile] | None = None) -> Job:
    bench.archive.stage(job)
    bench.archive.write(job, job.generation, some_tiles(job.source.etag.encode()) if tiles is None else tiles)
    return job


def publish(bench: ArchiveBench, job: Job) -> PublishResult:
    return bench.archive.publish(job, facts_of(job), now=2000.0)


def published(bench: ArchiveBench, job: Job) -> PublishResult:
    switch = publish(bench, staged(bench, job))
    assert switch.won
    return switch


def listed(bench: ArchiveBench, session: str = SESSION) -> list[str]:
    return list(bench.archive.session(session).views)


def root_tile(bench: ArchiveBench, view: str) -> bytes | None:
    """What a reader sees who opens a view."""
    image = bench.shown_image(view)
    return None if image is None else bench.archive.tile(STORE, image, "t.jpg")


def root_of(job: Job) -> bytes:
    return b"t.jpg" + job.source.etag.encode()


# -- where a slide goes -----------------------------------------------------------------------------------------------


def test_a_slide_goes_to_the_store_of_its_collection(bench: ArchiveBench) -> None:
    assert bench.archive.locate(COLLECTION, SESSION, NAMED_IMAGE) == Destination(
        collection=COLLECTION,
        session=SESSION,
        image_store=STORE,
        database=bench.database,
        mongo_collection=NAMED_IMAGE,
    )


def test_a_session_may_have_a_store_of_its_own(bench: ArchiveBench) -> None:
    bench.add_session("0000000000000000000e0009", collection=COLLECTION, label="Own", image_store=OTHER_STORE)
    assert bench.archive.locate(COLLECTION, "0000000000000000000e0009", None).image_store == OTHER_STORE


def test_a_place_that_does_not_exist_is_refused(bench: ArchiveBench) -> None:
    with pytest.raises(NoSuchCollectionError, match=UNKNOWN):
        bench.archive.locate(UNKNOWN, SESSION, None)
    with pytest.raises(NoSuchSessionError, match=UNKNOWN):
        bench.archive.locate(COLLECTION, UNKNOWN, None)


def test_a_session_of_another_collection_is_refused(bench: ArchiveBench) -> None:
    with pytest.raises(ForeignSessionError, match=SESSION):
        bench.archive.locate(OTHER_COLLECTION, SESSION, None)


@pytest.mark.parametrize("store", [None, UNKNOWN], ids=["none", "unknown"])
def test_a_session_without_a_store_is_refused(bench: ArchiveBench, store: str | None) -> None:
    bench.add_session("0000000000000000000e0009", collection=OTHER_COLLECTION, label="Bare", image_store=store)
    with pytest.raises(NoImageStoreError, match=OTHER_COLLECTION):
        bench.archive.locate(OTHER_COLLECTION, "0000000000000000000e0009", None)


# -- tiles ------------------------------------------------------------------------------------------------------------


def test_what_was_written_is_held(bench: ArchiveBench) -> None:
    tiles = some_tiles()
    job = staged(bench, version(bench, 1), tiles)
    expected = CollectionStats(tiles_by_depth={1: 1, 2: 4}, digest=digest_sum(tile.id for tile in tiles))
    assert bench.archive.staged_stats(job) == expected


@pytest.mark.parametrize("stage", [True, False])
def test_nothing_is_held_before_tiles_are_written(bench: ArchiveBench, stage: bool) -> None:
    job = version(bench, 1)
    if stage:
        bench.archive.stage(job)
    assert bench.archive.staged_stats(job) == CollectionStats(tiles_by_depth={}, digest=0)


def test_a_tile_written_twice_is_stored_once(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1), some_tiles())
    before = bench.archive.staged_stats(job)
    bench.archive.stage(job)
    bench.archive.write(job, 0, [*some_tiles()[2:], a_tile("tqq.jpg")])
    after = bench.archive.staged_stats(job)
    assert after.tiles_by_depth == {1: 1, 2: 4, 3: 1}
    assert after.digest == (before.digest + digest_sum([a_tile("tqq.jpg").id])) % 2**96


def test_the_same_tiles_from_many_workers_are_stored_once(bench: ArchiveBench, at_once: AtOnce) -> None:
    job = version(bench, 1)
    bench.archive.stage(job)
    at_once([lambda: bench.archive.write(job, 0, some_tiles())] * 6)
    assert bench.archive.staged_stats(job).tiles_by_depth == {1: 1, 2: 4}


def test_another_content_under_a_tiles_name_is_refused(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1), [a_tile("t.jpg", b"one")])
    with pytest.raises(TileConflictError, match=r"t\.jpg"):
        bench.archive.write(job, 0, [a_tile("t.jpg", b"two")])
    assert bench.archive.staged_stats(job).digest == digest_sum([a_tile("t.jpg", b"one").id])


def test_equal_pictures_under_two_names_are_two_tiles(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1), [a_tile("tq.jpg", b"blank"), a_tile("tr.jpg", b"blank")])
    assert bench.archive.staged_stats(job).tiles_by_depth == {2: 2}


def test_each_generation_has_a_place_of_its_own(bench: ArchiveBench) -> None:
    first = staged(bench, version(bench, 1))
    second = replace(first, generation=1)
    assert bench.archive.staged_stats(second).tiles_by_depth == {}
    bench.archive.write(second, 0, [a_tile("tqq.jpg")])  # by a worker that knows the earlier one only
    assert bench.archive.staged_stats(second).tiles_by_depth == {}


def test_a_tile_that_is_not_there_is_none(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    published(bench, job)
    assert bench.archive.tile(STORE, job.image, "t.jpg") == root_of(job)
    assert bench.archive.tile(STORE, job.image, "tqqqq.jpg") is None
    assert bench.archive.tile(STORE, UNKNOWN, "t.jpg") is None
    assert bench.archive.tile(UNKNOWN, job.image, "t.jpg") is None
    assert bench.archive.tile(OTHER_STORE, job.image, "t.jpg") is None


def test_that_a_tile_is_there_is_told_by_its_id(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    published(bench, job)
    there, other = tile_id("t.jpg", root_of(job)), tile_id("t.jpg", b"other")
    assert bench.archive.has_tile(STORE, job.image, there)
    assert not bench.archive.has_tile(STORE, job.image, other)
    assert not bench.archive.has_tile(STORE, UNKNOWN, there)
    assert not bench.archive.has_tile(UNKNOWN, job.image, there)
    assert not bench.archive.has_tile(OTHER_STORE, job.image, there)


def test_a_view_tells_which_image_it_shows_now(bench: ArchiveBench) -> None:
    old, new = version(bench, 1), version(bench, 2)
    view = published(bench, old).view
    assert bench.archive.image_of(view) == (STORE, old.image)
    assert published(bench, new).view == view
    assert bench.archive.image_of(view) == (STORE, new.image)
    bench.archive.remove_views(SESSION, [view])
    assert bench.archive.image_of(view) is None
    assert bench.archive.image_of(UNKNOWN) is None


@pytest.mark.parametrize("mongo_collection", [None, NAMED_IMAGE], ids=["new image", "named image"])
def test_an_image_tells_what_it_is_and_which_generation_it_holds(
    bench: ArchiveBench, mongo_collection: str | None
) -> None:
    job = version(bench, 1, mongo_collection=mongo_collection)
    known = SlideSummary(mpp_x=0.25, mpp_y=0.5, magnification=40.0, vendor="Aperio")
    facts = replace(facts_of(job), levels_published=1, slide=known)
    kept = replace(
        facts,
        slide=replace(known, icc_profile_bytes=7, associated=("label",)),
        icc_profile=b"profile",
        associated=(AssociatedImage(name="label", jpeg=b"label"),),
    )
    assert bench.archive.image(STORE, job.image) is None
    staged(bench, job)
    assert bench.archive.image(STORE, job.image) is None
    bench.archive.publish(job, kept, now=2000.0)
    assert bench.archive.image(STORE, job.image) == PublishedImage(facts=facts, claim=f"{job.id}/{job.generation}")
    assert bench.archive.image(OTHER_STORE, job.image) is None
    assert bench.archive.image(UNKNOWN, job.image) is None


# -- publishing -------------------------------------------------------------------------------------------------------


def test_nobody_sees_a_slide_before_it_is_published(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1))
    assert listed(bench) == []
    assert not bench.archive.shows(job)


def test_a_published_slide_is_listed_and_seen(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    switch = published(bench, job)
    assert listed(bench) == [switch.view]
    assert root_tile(bench, switch.view) == root_of(job)
    assert bench.archive.shows(job)
    assert switch.replaced == ()
    assert listed(bench, OTHER_SESSION) == []


def test_publishing_twice_is_publishing_once(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    first = published(bench, job)
    assert publish(bench, job) == first
    assert listed(bench) == [first.view]
    assert root_tile(bench, first.view) == root_of(job)


def test_the_newest_slide_is_listed_first(bench: ArchiveBench) -> None:
    views = [published(bench, version(bench, 1, f"{name}.svs")).view for name in "abc"]
    assert listed(bench) == views[::-1]


def test_new_bytes_of_a_slide_keep_its_view_and_its_place(bench: ArchiveBench) -> None:
    old, new = version(bench, 1), version(bench, 2)
    first = published(bench, old)
    other = published(bench, version(bench, 1, "other.svs"))
    second = published(bench, new)
    assert second == PublishResult(won=True, view=first.view, replaced=(old.id,))
    assert listed(bench) == [other.view, first.view]
    assert root_tile(bench, first.view) == root_of(new)
    assert (bench.archive.shows(old), bench.archive.shows(new)) == (False, True)


def test_who_still_has_the_old_slide_open_goes_on_with_it(bench: ArchiveBench) -> None:
    old = version(bench, 1)
    published(bench, old)
    published(bench, version(bench, 2))
    assert bench.archive.tile(STORE, old.image, "t.jpg") == root_of(old)


def test_an_older_version_does_not_replace_a_newer_one(bench: ArchiveBench) -> None:
    newer, older = version(bench, 2), version(bench, 1)
    shown = published(bench, newer)
    assert publish(bench, staged(bench, older)) == PublishResult(won=False, view=shown.view)
    assert listed(bench) == [shown.view]
    assert root_tile(bench, shown.view) == root_of(newer)
    assert (bench.archive.shows(older), bench.archive.shows(newer)) == (False, True)
    assert not bench.knows_image(older.image)


def test_a_newer_version_that_comes_between_the_look_and_the_switch_is_kept(bench: ArchiveBench) -> None:
    older, newer = staged(bench, version(bench, 1)), staged(bench, version(bench, 2))
    meanwhile: list[PublishResult] = []
    bench.before_the_switch(lambda: meanwhile.append(publish(bench, newer)))
    lost = publish(bench, older)
    assert meanwhile == [PublishResult(won=True, view=lost.view)]
    assert not lost.won
    assert listed(bench) == [lost.view]
    assert root_tile(bench, lost.view) == root_of(newer)


def test_the_objects_date_counts_for_more_than_the_time_of_the_call(bench: ArchiveBench) -> None:
    newer = a_job(source=a_source(etag='"new"', at=900.0), database=bench.database, now=1000.0)
    older = a_job(source=a_source(etag='"old"', at=100.0), database=bench.database, now=5000.0)
    published(bench, newer)
    assert not publish(bench, staged(bench, older)).won


def test_the_newest_version_is_seen_in_whatever_order_they_are_published(bench: ArchiveBench) -> None:
    for turn, order in enumerate(permutations([1, 2, 3])):
        versions = {number: version(bench, number, f"{turn}.svs") for number in order}
        switches = [publish(bench, staged(bench, versions[number])) for number in order]
        assert {switch.view for switch in switches} == {switches[0].view}
        assert root_tile(bench, switches[0].view) == root_of(versions[3])


def test_of_versions_published_at_once_the_newest_is_seen_in_one_view(bench: ArchiveBench, at_once: AtOnce) -> None:
    versions = [staged(bench, version(bench, number)) for number in range(6)]
    switches = at_once([lambda job=job: publish(bench, job) for job in versions])
    assert switches[5].won
    assert listed(bench) == [switches[5].view]
    assert root_tile(bench, switches[5].view) == root_of(versions[5])
    assert [bench.archive.shows(job) for job in versions] == [False] * 5 + [True]


def test_slides_published_at_once_are_all_listed(bench: ArchiveBench, at_once: AtOnce) -> None:
    slides = [staged(bench, version(bench, 1, f"{number}.svs")) for number in range(8)]
    switches = at_once([lambda job=job: publish(bench, job) for job in slides])
    assert sorted(listed(bench)) == sorted(switch.view for switch in switches)


def seen_meanwhile(look: Callable[[], Any], act: Callable[[], None]) -> set[Any]:
    """Return all that a reader saw who looked again and again while something was done, at least once on each side."""
    seen = {look()}
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(act)
        while not doing.done():
            seen.add(look())
        doing.result()
    return seen | {look()}


def test_readers_see_the_old_slide_or_the_new_one_at_every_moment(bench: ArchiveBench) -> None:
    versions = [staged(bench, version(bench, number)) for number in range(8)]
    view = publish(bench, versions[0]).view

    def publish_all() -> None:
        for job in versions[1:]:
            assert publish(bench, job).won

    seen = seen_meanwhile(lambda: (root_tile(bench, view), tuple(listed(bench))), publish_all)
    assert seen <= {(root_of(job), (view,)) for job in versions}
    assert (root_of(versions[-1]), (view,)) in seen


def test_the_same_key_in_another_session_is_a_slide_of_its_own(bench: ArchiveBench) -> None:
    here = published(bench, version(bench, 1))
    there = published(bench, version(bench, 2, session=OTHER_SESSION))
    assert here.view != there.view
    assert (listed(bench), listed(bench, OTHER_SESSION)) == ([here.view], [there.view])
    assert root_tile(bench, here.view) == root_of(version(bench, 1))


def test_a_generation_of_the_same_job_that_was_replaced_is_not_named(bench: ArchiveBench) -> None:
    first = version(bench, 1)
    published(bench, first)
    again = replace(first, generation=1, attempt=2, submitted_at=first.submitted_at + 50)
    assert published(bench, again).replaced == ()
    assert bench.archive.shows(again)
    assert not bench.archive.shows(first)


# -- the same file name from elsewhere --------------------------------------------------------------------------------


def test_without_overwrite_a_slide_of_the_same_name_is_kept(bench: ArchiveBench) -> None:
    one = published(bench, version(bench, 1, "scanner-1/slide.svs"))
    other = published(bench, version(bench, 2, "scanner-2/slide.svs"))
    assert listed(bench) == [other.view, one.view]
    assert other.replaced == ()


def test_with_overwrite_a_slide_of_the_same_name_is_replaced_in_its_place(bench: ArchiveBench) -> None:
    old, new = version(bench, 1, "scanner-1/slide.svs"), version(bench, 2, "scanner-2/slide.svs", overwrite=True)
    shown = published(bench, old)
    other = published(bench, version(bench, 1, "other.svs"))
    assert published(bench, new) == PublishResult(won=True, view=shown.view, replaced=(old.id,))
    assert listed(bench) == [other.view, shown.view]
    assert root_tile(bench, shown.view) == root_of(new)
    assert not bench.archive.shows(old)


def test_with_overwrite_a_view_that_slideatlas_made_is_replaced(bench: ArchiveBench) -> None:
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=FOREIGN_IMAGE, file_name="slide.svs")
    new = version(bench, 1, "scanner/slide.svs", overwrite=True)
    assert published(bench, new) == PublishResult(won=True, view=FOREIGN_VIEW, replaced=())
    assert listed(bench) == [FOREIGN_VIEW]
    assert root_tile(bench, FOREIGN_VIEW) == root_of(new)
    assert bench.archive.shows(new)
    assert publish(bench, new).view == FOREIGN_VIEW


def test_with_overwrite_slides_of_other_names_and_other_sessions_are_left_alone(bench: ArchiveBench) -> None:
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=FOREIGN_IMAGE, file_name="not-slide.svs")
    there = published(bench, version(bench, 1, "scanner-1/slide.svs", session=OTHER_SESSION))
    new = published(bench, version(bench, 2, "scanner-2/slide.svs", overwrite=True))
    assert listed(bench) == [new.view, FOREIGN_VIEW]
    assert listed(bench, OTHER_SESSION) == [there.view]
    assert bench.shown_image(FOREIGN_VIEW) == FOREIGN_IMAGE


def test_with_overwrite_one_slide_of_the_name_stays(bench: ArchiveBench) -> None:
    twins = [version(bench, 1, f"scanner-{number}/slide.svs") for number in range(2)]
    views = [published(bench, twin).view for twin in twins]
    own = published(bench, version(bench, 1, "scanner-9/slide.svs"))
    new = version(bench, 2, "scanner-9/slide.svs", overwrite=True)
    switch = published(bench, new)
    assert switch.view == own.view
    assert set(switch.replaced) == {twins[0].id, twins[1].id, version(bench, 1, "scanner-9/slide.svs").id}
    assert listed(bench) == [own.view]
    assert [bench.shown_image(view) for view in views] == [None, None]


def test_a_slide_submitted_later_is_not_overwritten_by_one_submitted_before(bench: ArchiveBench) -> None:
    later = version(bench, 5, "scanner-1/slide.svs")
    shown = published(bench, later)
    before = version(bench, 1, "scanner-2/slide.svs", overwrite=True)
    assert publish(bench, staged(bench, before)) == PublishResult(won=False, view=shown.view)
    assert listed(bench) == [shown.view]
    assert root_tile(bench, shown.view) == root_of(later)


def test_a_slide_is_not_published_beside_a_later_one_of_its_name_that_it_should_overwrite(bench: ArchiveBench) -> None:
    own = published(bench, version(bench, 1, "scanner-1/slide.svs"))
    later = published(bench, version(bench, 5, "scanner-2/slide.svs"))
    update = staged(bench, version(bench, 2, "scanner-1/slide.svs", overwrite=True))
    assert publish(bench, update) == PublishResult(won=False, view=later.view)
    assert listed(bench) == [later.view, own.view]
    assert root_tile(bench, own.view) == root_of(version(bench, 1))


# -- a named image ----------------------------------------------------------------------------------------------------


def named(bench: ArchiveBench, number: int, key: str = "slide.svs", **job: Any) -> Job:
    return version(bench, number, key, mongo_collection=NAMED_IMAGE, **job)


def test_a_named_image_gets_the_tiles(bench: ArchiveBench) -> None:
    job = named(bench, 1)
    switch = published(bench, job)
    assert job.image == NAMED_IMAGE
    assert bench.shown_image(switch.view) == NAMED_IMAGE
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(job)
    assert bench.archive.shows(job)


def test_a_named_image_keeps_its_tiles_until_the_new_ones_are_complete(bench: ArchiveBench) -> None:
    old = named(bench, 1)
    published(bench, old)
    new = staged(bench, named(bench, 2))
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(old)
    assert publish(bench, new).replaced == (old.id,)
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(new)
    assert (bench.archive.shows(old), bench.archive.shows(new)) == (False, True)


def test_a_named_image_is_never_empty_while_it_is_replaced(bench: ArchiveBench) -> None:
    versions = [staged(bench, named(bench, number)) for number in range(8)]
    publish(bench, versions[0])

    def publish_all() -> None:
        for job in versions[1:]:
            assert publish(bench, job).won

    seen = seen_meanwhile(lambda: bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg"), publish_all)
    assert None not in seen
    assert seen <= {root_of(job) for job in versions}


def test_an_image_of_slideatlas_is_replaced_by_name(bench: ArchiveBench) -> None:
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=NAMED_IMAGE, file_name="slide.svs")
    job = named(bench, 1, overwrite=True)
    assert published(bench, job) == PublishResult(won=True, view=FOREIGN_VIEW, replaced=())
    assert root_tile(bench, FOREIGN_VIEW) == root_of(job)
    assert listed(bench) == [FOREIGN_VIEW]


def test_publishing_a_named_image_twice_is_publishing_it_once(bench: ArchiveBench) -> None:
    job = named(bench, 1)
    first = published(bench, job)
    before = bench.archive.staged_stats(job)
    assert before.tiles_by_depth == {1: 1, 2: 4}
    assert publish(bench, job) == first
    assert bench.archive.staged_stats(job) == before
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(job)


def test_of_two_slides_for_one_image_the_later_submitted_one_wins(bench: ArchiveBench) -> None:
    later, before = named(bench, 2, "a.svs"), named(bench, 1, "b.svs")
    published(bench, later)
    assert not publish(bench, staged(bench, before)).won
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(later)
    assert bench.archive.shows(later)
    assert not bench.archive.shows(before)


def test_an_image_shown_in_two_sessions_is_shown_by_the_job_that_published_it(bench: ArchiveBench) -> None:
    published(bench, named(bench, 1))
    newer = named(bench, 2, session=OTHER_SESSION)
    published(bench, newer)
    assert bench.archive.shows(newer)
    assert not bench.archive.shows(named(bench, 1))


# -- crashes ----------------------------------------------------------------------------------------------------------


def publish_in_spite_of_crashes(bench: ArchiveBench, job: Job, look: Callable[[], object]) -> PublishResult:
    """Publish again and again; the first run breaks off at its first write, the second at its second, and so on."""
    if not bench.can_break_off():
        pytest.skip("this MongoDB takes no test commands")
    for write in range(30):
        with bench.breaks_off(write):
            try:
                switch = publish(bench, job)
            except MongoUnavailableError:
                look()
                continue
            assert write > 0, "publishing writes something"
            return switch
    raise AssertionError("publishing never came to an end")


def test_a_first_publication_that_breaks_off_anywhere_is_completed_by_the_next_run(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1))
    switch = publish_in_spite_of_crashes(bench, job, lambda: None)
    assert switch.won
    assert listed(bench) == [switch.view]
    assert root_tile(bench, switch.view) == root_of(job)


def test_a_replacement_that_breaks_off_anywhere_is_completed_and_names_what_it_replaced(bench: ArchiveBench) -> None:
    old, new = version(bench, 1), version(bench, 2)
    view = published(bench, old).view
    seen = set()
    switch = publish_in_spite_of_crashes(bench, staged(bench, new), lambda: seen.add(root_tile(bench, view)))
    assert switch == PublishResult(won=True, view=view, replaced=(old.id,))
    assert seen <= {root_of(old), root_of(new)}
    assert root_tile(bench, view) == root_of(new)
    assert listed(bench) == [view]


def test_an_overwriting_that_breaks_off_anywhere_leaves_one_slide(bench: ArchiveBench) -> None:
    for number in range(3):
        published(bench, version(bench, 1, f"scanner-{number}/slide.svs"))
    new = staged(bench, version(bench, 2, "scanner-9/slide.svs", overwrite=True))
    switch = publish_in_spite_of_crashes(bench, new, lambda: None)
    assert switch.won
    assert listed(bench) == [switch.view]
    assert root_tile(bench, switch.view) == root_of(new)


def test_a_named_image_whose_replacement_breaks_off_anywhere_is_complete_at_every_moment(bench: ArchiveBench) -> None:
    old, new = named(bench, 1), named(bench, 2)
    view = published(bench, old).view
    staged(bench, new)
    held = bench.archive.staged_stats(new)
    seen = set()

    def look() -> None:
        seen.add(bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg"))
        assert bench.archive.staged_stats(new) == held

    switch = publish_in_spite_of_crashes(bench, new, look)
    assert (switch.won, switch.view) == (True, view)
    assert seen <= {root_of(old), root_of(new)}
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(new)
    assert bench.archive.shows(new)


def test_what_a_late_worker_stages_again_never_takes_the_place_of_what_was_published(bench: ArchiveBench) -> None:
    job = staged(bench, named(bench, 1))
    verified = bench.archive.staged_stats(job)
    assert bench.archive.publish(job, facts_of(job), now=1.0, verified=verified).won
    bench.archive.write(job, 0, [a_tile("tqqq.jpg", b"a part")])
    assert bench.archive.publish(job, facts_of(job), now=2.0, verified=verified).won
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(job)
    assert bench.archive.staged_stats(job, verified) == verified


def test_what_is_staged_and_not_what_was_verified_is_not_published_under_a_name(bench: ArchiveBench) -> None:
    old, new = named(bench, 1), named(bench, 2)
    published(bench, old)
    staged(bench, new)
    verified = bench.archive.staged_stats(new)
    bench.archive.discard(new, 0)
    bench.archive.write(new, 0, [a_tile("t.jpg", b"a part")])
    assert not bench.archive.publish(new, facts_of(new), now=1.0, verified=verified).won
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(old)


def test_a_switch_names_what_the_generation_before_it_had_replaced_as_well(bench: ArchiveBench) -> None:
    # That one may have died before it told the sweeper.
    jobs = [version(bench, number) for number in (1, 2, 3)]
    switches = [published(bench, job) for job in jobs]
    assert switches[2].replaced == tuple(sorted((jobs[0].id, jobs[1].id)))


# -- taking away ------------------------------------------------------------------------------------------------------


def test_what_was_staged_and_is_not_seen_is_discarded(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1))
    assert bench.archive.discard(job, 0)
    assert bench.archive.staged_stats(job).tiles_by_depth == {}
    assert bench.archive.discard(job, 0)


def test_what_a_view_shows_is_not_discarded(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    switch = published(bench, job)
    assert not bench.archive.discard(job, 0)
    assert root_tile(bench, switch.view) == root_of(job)
    assert bench.knows_image(job.image)


def test_a_replaced_generation_is_discarded_with_its_image_document(bench: ArchiveBench) -> None:
    old, new = version(bench, 1), version(bench, 2)
    published(bench, old)
    switch = published(bench, new)
    assert bench.archive.discard(old, 0)
    assert bench.archive.tile(STORE, old.image, "t.jpg") is None
    assert not bench.knows_image(old.image)
    assert root_tile(bench, switch.view) == root_of(new)


def test_a_given_up_generation_is_discarded_beside_the_one_that_is_seen(bench: ArchiveBench) -> None:
    given_up = staged(bench, version(bench, 1))
    again = replace(given_up, generation=1)
    switch = published(bench, again)
    assert bench.archive.discard(again, 0)
    assert bench.archive.tile(STORE, given_up.image, "t.jpg") is None
    assert root_tile(bench, switch.view) == root_of(again)


def test_what_a_late_worker_wrote_again_is_discarded_again(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1))
    bench.archive.discard(job, 0)
    bench.archive.write(job, 0, some_tiles())
    assert bench.archive.discard(job, 0)
    assert bench.archive.tile(STORE, job.image, "t.jpg") is None


def test_what_was_staged_before_the_session_was_given_another_store_is_discarded_too(bench: ArchiveBench) -> None:
    given_up = staged(bench, version(bench, 1))
    moved = replace(given_up.destination, image_store=OTHER_STORE, database=bench.other_database)
    again = replace(given_up, generation=1, destination=moved)
    staged(bench, again)
    assert bench.archive.discard(again, 0)
    assert bench.archive.tile(STORE, given_up.image, "t.jpg") is None
    assert bench.archive.tile(OTHER_STORE, again.image, "t.jpg") == root_of(again)


def test_collections_are_found_in_every_image_store_by_name(bench: ArchiveBench) -> None:
    one = staged(bench, version(bench, 1))
    place = replace(one.destination, image_store=OTHER_STORE, database=bench.other_database)
    other = staged(bench, replace(one, generation=1, destination=place))
    names = (one.staging(), other.staging(), one.staging(2))
    assert bench.archive.staged(names) == {(bench.database, names[0]), (bench.other_database, names[1])}
    assert bench.archive.staged(names[2:]) == frozenset()


def test_a_job_that_was_refused_a_place_leaves_nothing(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    nowhere = replace(job, destination=replace(job.destination, image_store="", database=""))
    assert not bench.archive.shows(nowhere)
    assert bench.archive.discard(nowhere, 0)


def test_discarding_leftovers_of_a_named_image_leaves_the_image(bench: ArchiveBench) -> None:
    old = named(bench, 1)
    published(bench, old)
    new = staged(bench, named(bench, 2))
    assert bench.archive.discard(new, 0)
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") == root_of(old)
    assert bench.archive.shows(old)


# -- collections and sessions -----------------------------------------------------------------------------------------


def test_a_collection_tells_its_sessions_by_label(bench: ArchiveBench) -> None:
    switch = published(bench, version(bench, 1))
    found = bench.archive.collection(COLLECTION)
    assert (found.id, found.label, found.image_store) == (COLLECTION, "Pathology", STORE)
    assert [(each.id, each.label, each.views) for each in found.sessions] == [
        (OTHER_SESSION, "Kidney", ()),
        (SESSION, "Liver", (switch.view,)),
    ]
    assert bench.archive.collection(OTHER_COLLECTION).image_store is None
    assert bench.archive.session(SESSION) == found.sessions[1]


def test_all_collections_are_told_by_label_with_their_sessions(bench: ArchiveBench) -> None:
    published(bench, version(bench, 1))
    nowhere, pathology = bench.archive.collections()
    assert (nowhere.id, nowhere.label, nowhere.sessions) == (OTHER_COLLECTION, "Nowhere", ())
    assert pathology == bench.archive.collection(COLLECTION)


def test_a_tile_is_seen_as_soon_as_it_is_staged(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    assert bench.archive.staged_tile(job, "t.jpg") is None
    bench.archive.stage(job)
    assert bench.archive.staged_tile(job, "t.jpg") is None
    bench.archive.write(job, job.generation, [a_tile("t.jpg", b"root")])
    assert bench.archive.staged_tile(job, "t.jpg") == b"root"
    assert bench.archive.staged_tile(job, "tq.jpg") is None
    assert bench.archive.staged_tile(replace(job, generation=1), "t.jpg") is None


def test_a_collection_or_session_that_is_not_there_is_refused(bench: ArchiveBench) -> None:
    with pytest.raises(NoSuchCollectionError, match=UNKNOWN):
        bench.archive.collection(UNKNOWN)
    with pytest.raises(NoSuchSessionError, match=UNKNOWN):
        bench.archive.session(UNKNOWN)
    with pytest.raises(NoSuchCollectionError, match=UNKNOWN):
        bench.archive.make_session(UNKNOWN, "Spleen")
    with pytest.raises(NoSuchSessionError, match=UNKNOWN):
        bench.archive.remove_views(UNKNOWN, None)
    with pytest.raises(NoSuchSessionError, match=UNKNOWN):
        bench.archive.remove_views(UNKNOWN, [FOREIGN_VIEW])
    with pytest.raises(NoSuchSessionError, match=UNKNOWN):
        bench.archive.shown(UNKNOWN)


def test_a_session_is_made_once_for_a_label(bench: ArchiveBench) -> None:
    made, is_new = bench.archive.make_session(COLLECTION, "Spleen")
    assert is_new
    assert (made.label, made.collection, made.views) == ("Spleen", COLLECTION, ())
    assert bench.archive.make_session(COLLECTION, "Spleen") == (made, False)
    assert bench.archive.session(made.id) == made
    assert bench.archive.locate(COLLECTION, made.id, None).image_store == STORE


def test_a_session_that_is_there_is_found_by_its_label(bench: ArchiveBench) -> None:
    assert bench.archive.make_session(COLLECTION, "Liver") == (bench.archive.session(SESSION), False)


def test_of_many_who_make_a_session_at_once_one_makes_it(bench: ArchiveBench, at_once: AtOnce) -> None:
    answers = at_once([lambda: bench.archive.make_session(COLLECTION, "Spleen")] * 8)
    assert [is_new for _, is_new in answers].count(True) == 1
    assert len({session.id for session, _ in answers}) == 1
    assert [session.label for session in bench.archive.collection(COLLECTION).sessions] == ["Kidney", "Liver", "Spleen"]


def test_the_same_label_in_another_collection_is_another_session(bench: ArchiveBench) -> None:
    here, _ = bench.archive.make_session(COLLECTION, "Spleen")
    there, is_new = bench.archive.make_session(OTHER_COLLECTION, "Spleen")
    assert is_new
    assert here.id != there.id


def test_emptying_a_session_takes_every_view_away(bench: ArchiveBench) -> None:
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=FOREIGN_IMAGE, file_name="foreign.svs")
    slides = [version(bench, 1, f"{name}.svs") for name in "ab"]
    for job in slides:
        published(bench, job)
    elsewhere = version(bench, 1, "c.svs", session=OTHER_SESSION)
    published(bench, elsewhere)
    jobs = bench.archive.shown(SESSION)
    assert list(jobs) == listed(bench)
    assert sorted(str(job) for job in jobs.values()) == sorted(["None", *(job.id for job in slides)])
    assert bench.archive.remove_views(SESSION, None) == 3
    assert bench.archive.shown(SESSION) == {}
    assert bench.archive.session(SESSION).label == "Liver"
    assert listed(bench) == []
    assert bench.shown_image(FOREIGN_VIEW) is None
    assert [bench.archive.shows(job) for job in (*slides, elsewhere)] == [False, False, True]
    assert all(bench.archive.discard(job, 0) for job in slides)
    assert bench.archive.remove_views(SESSION, None) == 0


def test_taking_a_view_out_leaves_the_others_and_can_be_repeated(bench: ArchiveBench) -> None:
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=FOREIGN_IMAGE, file_name="foreign.svs")
    jobs = [version(bench, 1, f"{name}.svs") for name in "ab"]
    views = [published(bench, job).view for job in jobs]
    assert bench.archive.remove_views(SESSION, [views[0], UNKNOWN]) == 1
    assert listed(bench) == [views[1], FOREIGN_VIEW]
    assert [bench.archive.shows(job) for job in jobs] == [False, True]
    assert [bench.archive.discard(job, 0) for job in jobs] == [True, False]
    assert bench.archive.remove_views(SESSION, [views[0]]) == 0
    assert bench.archive.remove_views(SESSION, [FOREIGN_VIEW]) == 1
    assert bench.shown_image(FOREIGN_VIEW) is None


def test_a_view_of_ours_that_no_session_lists_keeps_nothing(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    view = published(bench, job).view
    bench.forget_entry(SESSION, view)
    assert bench.archive.discard(job, 0)
    assert bench.shown_image(view) is None


def test_a_view_of_a_named_image_that_no_session_lists_goes_and_the_image_stays(bench: ArchiveBench) -> None:
    job = version(bench, 1, mongo_collection=NAMED_IMAGE)
    view = published(bench, job).view
    assert not bench.archive.discard(job, 0)  # the view is to be looked at again when it is taken out
    assert bench.shown_image(view) == NAMED_IMAGE
    bench.forget_entry(SESSION, view)
    assert bench.archive.discard(job, 0)
    assert bench.shown_image(view) is None
    assert bench.archive.tile(STORE, NAMED_IMAGE, "t.jpg") is not None


def test_a_listed_view_whose_named_image_shows_another_slide_by_now_is_looked_at_again(bench: ArchiveBench) -> None:
    job = named(bench, 1)
    view = published(bench, job).view
    published(bench, named(bench, 2, "another.svs"))
    assert not bench.archive.discard(job, 0)
    assert bench.shown_image(view) == NAMED_IMAGE
    bench.forget_entry(SESSION, view)  # who took it out died
    assert bench.archive.discard(job, 0)
    assert bench.shown_image(view) is None


def test_a_view_of_others_keeps_an_image_also_when_no_session_lists_it(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=job.image, file_name="foreign.svs")
    view = published(bench, job).view
    bench.forget_entry(SESSION, FOREIGN_VIEW)
    bench.archive.remove_views(SESSION, [view])
    assert not bench.archive.discard(job, 0)
    assert bench.shown_image(FOREIGN_VIEW) == job.image


def test_a_slide_can_be_published_again_into_an_emptied_session(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    published(bench, job)
    bench.archive.remove_views(SESSION, None)
    switch = publish(bench, job)
    assert switch.won
    assert listed(bench) == [switch.view]
    assert bench.archive.shows(job)


def test_an_archive_that_stands_answers(bench: ArchiveBench) -> None:
    bench.archive.ping()


def test_a_published_job_knows_whom_it_replaced(bench: ArchiveBench) -> None:
    old, new = version(bench, 1), version(bench, 2)
    assert bench.archive.replaced(old) == ()
    for job in (old, new):
        bench.archive.stage(job)
        bench.archive.write(job, 0, [a_tile("t.jpg", job.id.encode())])
        bench.archive.publish(job, facts_of(job), now=1.0)
    assert (bench.archive.replaced(old), bench.archive.replaced(new)) == ((), (old.id,))


def test_a_session_tells_which_slides_it_shows_by_which_job(bench: ArchiveBench) -> None:
    one, two = version(bench, 1, "a.svs"), version(bench, 2, "b.svs")
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=FOREIGN_IMAGE, file_name="c.svs")
    for job in (one, two):
        bench.archive.stage(job)
        bench.archive.publish(job, facts_of(job), now=1.0)
    assert bench.archive.shown_slides(SESSION) == {one.source.slide: one.id, two.source.slide: two.id}
    assert bench.archive.shown_slides(OTHER_SESSION) == {}
    for unknown in (UNKNOWN, ""):  # a key may name none
        with pytest.raises(NoSuchSessionError):
            bench.archive.shown_slides(unknown)


def test_a_session_tells_its_slides_page_by_page_the_newest_first(bench: ArchiveBench) -> None:
    old, new = version(bench, 1, "a.svs"), version(bench, 2, "b.svs")
    views = {job: published(bench, job).view for job in (old, new)}
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=FOREIGN_IMAGE, file_name="c.svs")
    first = bench.archive.slides(SESSION, cursor=None, limit=2)
    assert [(each.view, each.title, each.job) for each in first.slides] == [
        (FOREIGN_VIEW, "c.svs", None),
        (views[new], "b.svs", new.id),
    ]
    assert [(each.image_store, each.image) for each in first.slides] == [(STORE, FOREIGN_IMAGE), (STORE, new.image)]
    # What comes meanwhile moves nothing.
    published(bench, version(bench, 3, "d.svs"))
    second = bench.archive.slides(SESSION, cursor=first.cursor, limit=2)
    assert ([each.view for each in second.slides], second.cursor) == ([views[old]], None)


def test_a_session_without_slides_has_one_empty_page(bench: ArchiveBench) -> None:
    found = bench.archive.slides(OTHER_SESSION, cursor=None, limit=10)
    assert (found.slides, found.cursor) == ((), None)
    with pytest.raises(NoSuchSessionError):
        bench.archive.slides(UNKNOWN, cursor=None, limit=10)


def test_a_page_that_begins_behind_an_unknown_view_is_refused(bench: ArchiveBench) -> None:
    with pytest.raises(InvalidRequestError, match="cursor"):
        bench.archive.slides(SESSION, cursor=UNKNOWN, limit=10)


def test_a_view_that_is_listed_and_gone_is_left_out(bench: ArchiveBench) -> None:
    bench.add_foreign_view(FOREIGN_VIEW, session=SESSION, image=FOREIGN_IMAGE, file_name="c.svs")
    bench.lose_view(FOREIGN_VIEW)
    assert bench.archive.slides(SESSION, cursor=None, limit=10).slides == ()


def test_a_listed_slide_tells_its_size_and_what_is_known_of_it(bench: ArchiveBench) -> None:
    job = staged(bench, version(bench, 1))
    known = SlideSummary(
        mpp_x=0.25, mpp_y=0.5, magnification=40.0, vendor="Aperio", icc_profile_bytes=7, associated=("label", "macro")
    )
    pictures = (AssociatedImage(name="label", jpeg=b"label"), AssociatedImage(name="macro", jpeg=b"macro"))
    facts = replace(facts_of(job), slide=known, icc_profile=b"profile", associated=pictures)
    bench.archive.publish(job, facts, now=2000.0)
    (slide,) = bench.archive.slides(SESSION, cursor=None, limit=10).slides
    assert slide.facts == replace(facts, icc_profile=b"", associated=())


def test_stored_tiles_are_read_back_by_name(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    tiles = [a_tile("t.jpg", b"root"), a_tile("tq.jpg", b"corner"), a_tile("tr.jpg", b"other")]
    bench.archive.stage(job)
    bench.archive.write(job, 0, tiles)
    found = bench.archive.stored(bench.database, job.image, ["tq.jpg", "t.jpg", "ts.jpg"])
    assert {name: list(documents) for name, documents in found.items()} == {
        "t.jpg": [Stored(tiles[0].id, b"root")],
        "tq.jpg": [Stored(tiles[1].id, b"corner")],
    }
    assert bench.archive.documents(bench.database, job.image) == 3


def test_of_an_image_without_tiles_nothing_is_stored(bench: ArchiveBench) -> None:
    assert dict(bench.archive.stored(bench.database, UNKNOWN, ["t.jpg"])) == {}
    assert bench.archive.documents(bench.database, UNKNOWN) == 0


# -- who sees an image ------------------------------------------------------------------------------------------------


def test_an_image_belongs_to_the_collections_whose_sessions_show_it(bench: ArchiveBench) -> None:
    job = version(bench, 1)
    assert bench.archive.collections_of(STORE, job.image) == frozenset()
    staged(bench, job)
    assert bench.archive.collections_of(STORE, job.image) == frozenset()
    switch = publish(bench, job)
    assert bench.archive.collections_of(STORE, job.image) == {COLLECTION}
    assert bench.archive.collections_of(OTHER_STORE, job.image) == frozenset()
    bench.archive.remove_views(SESSION, [switch.view])
    assert bench.archive.collections_of(STORE, job.image) == frozenset()


def test_an_image_that_others_show_as_well_belongs_to_both(bench: ArchiveBench) -> None:
    guests = "0000000000000000000e0009"
    bench.add_session(guests, collection=OTHER_COLLECTION, label="Guests", image_store=STORE)
    published(bench, version(bench, 1, mongo_collection=NAMED_IMAGE))
    published(bench, version(bench, 2, "other.svs", mongo_collection=NAMED_IMAGE, session=guests))
    assert bench.archive.collections_of(STORE, NAMED_IMAGE) == {COLLECTION, OTHER_COLLECTION}
    bench.forget_entry(SESSION, listed(bench)[0])
    assert bench.archive.collections_of(STORE, NAMED_IMAGE) == {OTHER_COLLECTION}
