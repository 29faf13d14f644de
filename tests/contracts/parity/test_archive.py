"""The archive in memory and in MongoDB give the same answers, whatever they are asked, in whatever order, also when a
call breaks off between two writes or another one comes in between."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, precondition, rule

from chalicelib.core.ids import digest_sum, object_id
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import AssociatedImage, CollectionStats, ImageFacts, Tile
from tests.contracts.archives import ArchiveBench, MemoryBench, MongoBench
from tests.contracts.likeness import Alike, Refusal, hold_parity
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
)
from tests.effort import few_or_all

UNKNOWN = "0" * 24
FOREIGN = {f"0000000000000000000b000{n}": f"0000000000000000000a000{n}" for n in (8, 9)}
COPY = "0000000000000000000b0007"
KEYS = ("scanner-1/slide.svs", "scanner-2/slide.svs", "scanner-3/slide.svs", "other.svs")
SESSIONS = (SESSION, OTHER_SESSION)
NAMES = ("t.jpg", "tq.jpg", "tr.jpg")
LABELS = ("Liver", "Lung", "$x")


def version(key: str, number: int, at: int, *, named: bool, **job: Any) -> Job:
    return a_job(
        source=a_source(key, etag=f'"{number}"', at=500.0 + at),
        now=1000.0 + number,
        mongo_collection=NAMED_IMAGE if named else None,
        **job,
    )


jobs = st.builds(
    version,
    key=st.sampled_from(KEYS),
    number=st.integers(1, 3),
    at=st.integers(0, 1),
    named=st.booleans(),
    # SlideAtlas may have deleted a session meanwhile.
    session=st.sampled_from([SESSION, SESSION, SESSION, OTHER_SESSION, UNKNOWN]),
    overwrite=st.booleans(),
    generation=st.integers(0, 1),
)
generations = st.integers(0, 1)
sessions = st.sampled_from([*SESSIONS, UNKNOWN])
breaks = st.none() | st.integers(0, 7)
names = st.lists(st.sampled_from(NAMES), max_size=4)
pictures = st.sampled_from([(), ("label",), ("macro", "label")])
profiles = st.sampled_from([b"", b"profile"])


def tile_of(job: Job, name: str, *, other: bool = False) -> Tile:
    return a_tile(name, name.encode() + job.source.etag.encode() + (b"other" if other else b""))


class ArchivesAlike(Alike[ArchiveBench]):
    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self._jobs: dict[tuple[str, int], Job] = {}
        self._views: dict[str, None] = dict.fromkeys([*FOREIGN, COPY])
        # Where a unique index stands. A late worker's tiles may lie where none does.
        self._indexed: set[str] = set()

    def _know(self, job: Job) -> Job:
        self._jobs[job.id, job.generation] = job
        self._views[object_id("view", job.destination.session, job.source.slide)] = None
        return job

    def _ask(self, job: Job, act: Callable[[ArchiveBench], Any], breaks: int | None = None) -> Any:
        """Do something with a job that each side knows under the name of its own database."""

        def ask(bench: ArchiveBench) -> Any:
            if breaks is None or not bench.can_break_off():
                return act(bench)
            with bench.breaks_off(breaks):
                return act(bench)

        return self.both(ask)

    @staticmethod
    def _at(bench: ArchiveBench, job: Job) -> Job:
        return replace(job, destination=replace(job.destination, database=bench.database))

    @initialize(target=known, made=st.lists(jobs, min_size=2, max_size=4))
    def some_jobs(self, made: list[Job]) -> Any:
        return multiple(*[self._know(job) for job in made])

    @rule(target=known, job=jobs)
    def another_job(self, job: Job) -> Job:
        return self._know(job)

    @rule(target=known, job=known, changes=st.sampled_from([{"generation": 1}, {"generation": 0}]))
    def another_generation(self, job: Job, changes: dict[str, int]) -> Job:
        return self._know(replace(job, **changes))

    # -- tiles

    @rule(job=known, breaks=st.sampled_from([None, None, 0, 1]))
    def stage(self, job: Job, breaks: int | None) -> None:
        done = self._ask(job, lambda bench: bench.archive.stage(self._at(bench, job)), breaks)
        if not isinstance(done, Refusal):
            self._indexed.add(job.staging())

    @rule(job=known, generation=generations, names=names, breaks=st.sampled_from([None, None, None, 0]))
    def write(self, job: Job, generation: int, names: list[str], breaks: int | None) -> None:
        self._write(job, generation, [tile_of(job, name) for name in names], breaks)

    @rule(job=known, generation=generations, names=names, others=st.lists(st.booleans(), min_size=4, max_size=4))
    def write_what_contradicts(self, job: Job, generation: int, names: list[str], others: list[bool]) -> None:
        if job.staging(generation) in self._indexed:
            tiles = [tile_of(job, name, other=other) for name, other in zip(names, others, strict=False)]
            self._write(job, generation, tiles, None)

    def _write(self, job: Job, generation: int, tiles: Sequence[Tile], breaks: int | None) -> None:
        self._ask(job, lambda bench: bench.archive.write(self._at(bench, job), generation, tiles), breaks)

    @rule(job=known)
    def stage_and_write_all(self, job: Job) -> None:
        """What nearly every job comes to, and chance alone hardly ever."""
        self.stage(job=job, breaks=None)
        self.write(job=job, generation=job.generation, names=list(NAMES), breaks=None)

    @rule(job=known, expects=st.booleans())
    def staged_stats(self, job: Job, expects: bool) -> None:
        self._ask(
            job, lambda bench: bench.archive.staged_stats(self._at(bench, job), _complete(job) if expects else None)
        )

    # -- publishing

    @rule(
        job=known, verified=st.sampled_from([None, "all", "what is held"]), breaks=breaks, icc=profiles, shown=pictures
    )
    def publish(self, job: Job, verified: str | None, breaks: int | None, icc: bytes, shown: tuple[str, ...]) -> None:
        self._ask(job, lambda bench: self._publish(bench, job, verified, _facts(job, icc, shown)), breaks)
        self._look_at_indexes()

    @rule(job=known, verified=st.sampled_from([None, "all"]), breaks=st.integers(0, 5))
    def publish_breaks_off_and_is_done_again(self, job: Job, verified: str | None, breaks: int) -> None:
        self.stage_and_write_all(job=job)
        for at in (breaks, None):
            self.publish(job=job, verified=verified, breaks=at, icc=b"", shown=())

    @rule(at=st.integers(0, 1), number=st.integers(1, 3), breaks=breaks)
    def a_slide_takes_the_place_of_all_of_its_name(self, at: int, number: int, breaks: int | None) -> None:
        twins = [version(key, 1, at, named=False) for key in KEYS[:3]]
        for job in (*twins, version(KEYS[0], number, 1, named=False, overwrite=True)):
            self.stage_and_write_all(job=self._know(job))
            self.publish(job=job, verified=None, breaks=breaks if job.options.overwrite else None, icc=b"", shown=())

    @rule(job=known, other=known, verified=st.sampled_from([None, "all"]))
    def publish_while_another_does(self, job: Job, other: Job, verified: str | None) -> None:
        meanwhile: dict[int, object] = {}

        def ask(bench: ArchiveBench) -> Any:
            bench.before_the_switch(
                lambda: meanwhile.update({id(bench): self._publish(bench, other, verified, facts_of(other))})
            )
            switch = self._publish(bench, job, verified, facts_of(job))
            bench.before_the_switch(lambda: None)
            return switch, meanwhile.get(id(bench))

        self._ask(job, ask)
        self._look_at_indexes()

    def _publish(self, bench: ArchiveBench, job: Job, verified: str | None, facts: ImageFacts) -> Any:
        here = self._at(bench, job)
        held = {"all": _complete(job), "what is held": None, None: None}[verified]
        if verified == "what is held":
            held = bench.archive.staged_stats(here)
        return bench.archive.publish(here, facts, now=2000.0, verified=held)

    def _look_at_indexes(self) -> None:
        # What was renamed has taken its index along.
        self._indexed -= {name for name in self._indexed if not self._stands(name)}

    def _stands(self, name: str) -> bool:
        return (self.memory.database, name) in self.memory.archive.tiles  # type: ignore[attr-defined]

    @rule(job=known, generation=generations, breaks=breaks)
    def discard(self, job: Job, generation: int, breaks: int | None) -> None:
        self._ask(job, lambda bench: bench.archive.discard(self._at(bench, job), generation), breaks)
        self._look_at_indexes()

    @rule(job=known, is_published=st.booleans(), is_copied=st.booleans(), is_listed=st.booleans())
    def discard_what_is_in_use(self, job: Job, is_published: bool, is_copied: bool, is_listed: bool) -> None:
        self.stage_and_write_all(job=job)
        if is_published:
            self.publish(job=job, verified=None, breaks=None, icc=b"", shown=())
        if is_copied and not self._has_copy:
            self.a_user_makes_a_view_of_an_image(job=job, session=SESSION, is_listed=is_listed)
        self.discard(job=job, generation=job.generation, breaks=None)

    @rule(job=known)
    def what_readers_see_of(self, job: Job) -> None:
        for look in (
            lambda archive, here: archive.has_newer_publication(here),
            lambda archive, here: archive.replaced(here),
            lambda archive, here: archive.shows(here),
            lambda archive, here: archive.staged_tile(here, "t.jpg"),
        ):
            self._ask(job, lambda bench, look=look: look(bench.archive, self._at(bench, job)))

    # -- sessions

    @rule(session=sessions, chosen=st.none() | st.sets(st.integers(0, 9)), breaks=breaks)
    def remove_views(self, session: str, chosen: set[int] | None, breaks: int | None) -> None:
        views = None if chosen is None else [view for at, view in enumerate(self._views) if at in chosen]
        self._ask_plainly(lambda bench: bench.archive.remove_views(session, views), breaks)

    @rule(
        collection=st.sampled_from([COLLECTION, OTHER_COLLECTION, UNKNOWN]),
        label=st.sampled_from(LABELS),
        breaks=breaks,
    )
    def make_session(self, collection: str, label: str, breaks: int | None) -> None:
        self._ask_plainly(lambda bench: bench.archive.make_session(collection, label), breaks)

    def _ask_plainly(self, act: Callable[[ArchiveBench], Any], breaks: int | None) -> Any:
        return self._ask(a_job(), act, breaks)

    @rule(
        collection=st.sampled_from([COLLECTION, OTHER_COLLECTION, UNKNOWN]),
        session=sessions,
        named=st.sampled_from([None, NAMED_IMAGE]),
    )
    def locate(self, collection: str, session: str, named: str | None) -> None:
        self.both(
            lambda bench: bench.archive.locate(collection, session, named),
            lambda place: replace(place, database="tiles"),
        )

    @precondition(lambda self: not self._has_foreign)
    @rule(session=st.sampled_from(SESSIONS), key=st.sampled_from(KEYS))
    def slideatlas_shows_slides_of_its_own(self, session: str, key: str) -> None:
        self._has_foreign = True
        for view, image in FOREIGN.items():
            shown = {"session": session, "image": image, "file_name": key}
            self.each(lambda bench, view=view, shown=shown: bench.add_foreign_view(view, **shown))

    _has_foreign = False

    @precondition(lambda self: not self._has_copy)
    @rule(job=known, session=st.sampled_from(SESSIONS), is_listed=st.booleans())
    def a_user_makes_a_view_of_an_image(self, job: Job, session: str, is_listed: bool) -> None:
        self._has_copy = True
        self.each(lambda bench: bench.add_copy(COPY, session=session, image=job.image))
        if not is_listed:
            self.each(lambda bench: bench.forget_entry(session, COPY))

    _has_copy = False

    @rule(session=st.sampled_from(SESSIONS), at=st.integers(0, 9))
    def an_entry_is_forgotten(self, session: str, at: int) -> None:
        listed = self.both(lambda bench: bench.archive.session(session)).views
        if listed:
            self.each(lambda bench: bench.forget_entry(session, listed[at % len(listed)]))

    # -- in the end

    def teardown(self) -> None:
        self.both(lambda bench: bench.archive.collections())
        for collection in (COLLECTION, OTHER_COLLECTION):
            self.both(lambda bench, collection=collection: bench.archive.collection(collection))
        for session in (*SESSIONS, UNKNOWN):
            self.both(lambda bench, session=session: bench.archive.session(session))
            self.both(lambda bench, session=session: list(bench.archive.shown(session).items()))
            self.both(lambda bench, session=session: bench.archive.shown_slides(session))
            self.both(lambda bench, session=session: bench.archive.slides(session, cursor=None, limit=3))
        self.both(lambda bench: [bench.archive.image_of(view) for view in self._views])
        places = {place: None for job in self._jobs.values() for place in (job.image, *map(job.staging, (0, 1)))}
        for image in [*places, *FOREIGN.values(), UNKNOWN]:
            self.both(lambda bench, image=image: self._look_at_image(bench, image))
        for job in self._jobs.values():
            self.what_readers_see_of(job=job)
            self.staged_stats(job=job, expects=False)
            self.staged_stats(job=job, expects=True)

    def _look_at_image(self, bench: ArchiveBench, image: str) -> object:
        archive, database = bench.archive, bench.database
        return (
            bench.knows_image(image),
            {name: list(found) for name, found in archive.stored(database, image, NAMES).items()},
            archive.documents(database, image),
            [archive.tile(store, image, "t.jpg") for store in (STORE, OTHER_STORE, UNKNOWN)],
            sorted((database == bench.database, name) for database, name in archive.staged([image])),
            [archive.has_tile(STORE, image, tile_of(job, "t.jpg").id) for job in self._jobs.values()],
            archive.image(STORE, image),
            archive.collections_of(STORE, image),
            [archive.associated_image(STORE, image, name) for name in ("icc", "label", "macro")],
        )


def _complete(job: Job) -> CollectionStats:
    return CollectionStats(tiles_by_depth={1: 1, 2: 2}, digest=digest_sum(tile_of(job, name).id for name in NAMES))


def _facts(job: Job, icc: bytes, shown: tuple[str, ...]) -> ImageFacts:
    images = tuple(AssociatedImage(name=name, jpeg=name.encode()) for name in shown)
    return replace(facts_of(job), icc_profile=icc, associated=images)


@pytest.fixture
def mongo(request: pytest.FixtureRequest) -> Iterator[MongoBench]:
    bench = MongoBench(request.getfixturevalue("mongo_uri"))
    # It says that its time is up. After a closed connection the client would pause for half a second.
    bench.breaks_by = {"errorCode": 50}
    yield bench
    bench.drop()


@few_or_all("examples", 9, 45)
def test_archives_in_memory_and_in_mongodb_are_alike(mongo: MongoBench, examples: int) -> None:
    def machine() -> ArchivesAlike:
        machine = ArchivesAlike()
        mongo.begin_again()
        machine.memory, machine.real = MemoryBench(), mongo
        return machine

    hold_parity(machine, examples=examples, steps=30)
