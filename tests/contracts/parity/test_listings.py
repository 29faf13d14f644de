"""Listings of jobs are alike in memory and in DynamoDB, whatever is wanted of them, also while jobs change."""

from dataclasses import dataclass, replace
from itertools import count, product
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, precondition, rule

from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.memory import MemoryJobs
from chalicelib.core.jobs.filter import JobFilter
from chalicelib.core.jobs.model import Job, State
from chalicelib.ports.jobs import JobPage, Jobs
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, hold_parity
from tests.contracts.samples import COLLECTION, OTHER_COLLECTION, OTHER_SESSION, SESSION, a_job
from tests.effort import few_or_all

BEGIN = 1700000000.0
KEYS = ("scan/Straße.SVS", "scan/STRASSE.tif", "a%_b.svs", "Ärzte é.svs")
COLLECTIONS = (COLLECTION, OTHER_COLLECTION)
SESSIONS = (SESSION, OTHER_SESSION)
HOOKS = ("upload", "verify")
# Parts of names, in other letters too, what a pattern would take for one, and what stands in no name.
TEXTS = ("SS", "ß", ".svs", "%", "ärzte", "E\u0301", "scan/", a_job(KEYS[0]).id[3:9].upper(), a_job(KEYS[1]).id)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a listing."""

    state: State | None
    session: str | None
    only: JobFilter

    def of(self, jobs: Jobs, cursor: str | None, limit: int) -> JobPage:
        return jobs.list(state=self.state, session=self.session, cursor=cursor, limit=limit, only=self.only)


keys, hooks = st.sampled_from(KEYS), st.sampled_from(HOOKS)
sessions = st.sampled_from(SESSIONS)
states = st.sampled_from([State.QUEUED, State.TILING, State.DONE, State.FAILED])
limits = st.integers(1, 3)
# Mostly the instant of some job, just before it, or just after.
instants = st.none() | st.just(0.0) | st.builds(lambda number, more: BEGIN + number + more, st.integers(0, 12), st.sampled_from([-0.5, 0.0, 0.5]))  # fmt: skip
parts = st.one_of(
    st.builds(dict, states=st.frozensets(states, max_size=3)),
    st.builds(dict, collections=st.frozensets(st.sampled_from(COLLECTIONS), max_size=2)),
    st.builds(dict, hook=hooks),
    st.builds(dict, text=st.sampled_from(TEXTS)),
    st.builds(dict, submitted_after=instants),
    st.builds(dict, submitted_before=instants),
)
# Who wants everything of a job at once gets nothing, mostly.
selections = st.lists(parts, max_size=3).map(
    lambda parts: JobFilter(**{name: wanted for part in parts for name, wanted in part.items()})
)
wanted = st.builds(Wanted, state=st.none() | states, session=st.none() | sessions, only=selections)
# What one call may look at, for pages of one job in one of two states: one more than is read of the first at once.
LITTLE, FEW = 3, 2


class ListingsAlike(Alike[Jobs]):
    """Time goes on with each change, so that no two jobs have an instant in common: in which order a table lists those
    is its own affair."""

    known = Bundle("known")
    shows_all = True  # whether one call may look at as many jobs as there are

    def __init__(self) -> None:
        super().__init__()
        self._now = BEGIN

    def _later(self) -> float:
        self._now += 1.0
        return self._now

    @initialize(target=known)
    def jobs_of_all_kinds(self) -> Any:
        kinds = [(State.QUEUED, 0), (State.DONE, 0), (State.DONE, 1), (State.QUEUED, 1)]
        return multiple(
            *(
                self.create(key=key, session=session, collection=COLLECTIONS[of], hook=HOOKS[of], state=state)
                for session, (key, (state, of)) in product(SESSIONS, zip(KEYS, kinds, strict=True))
            )
        )

    @rule(target=known, key=keys, session=sessions, collection=st.sampled_from(COLLECTIONS), hook=hooks, state=states)
    def create(self, key: str, session: str, collection: str, hook: str, state: State) -> Job:
        job = a_job(key, session=session, now=self._later(), hook=hook, state=state)
        # The same id wherever it goes: who creates it again may say other things of it.
        job = replace(job, destination=replace(job.destination, collection=collection))
        return self.both(lambda jobs: jobs.create(job))

    @rule(target=known, was=known, state=states)
    def move(self, was: Job, state: State) -> Job:
        here = self.both(lambda jobs: jobs.get(was.id)) or was
        now = replace(here, state=state, updated_at=self._later())
        self.both(lambda jobs: jobs.move(here, now))
        return now

    @rule(wanted=wanted, limit=limits)
    def all_pages(self, wanted: Wanted, limit: int) -> None:
        if not self.shows_all:
            only = replace(wanted.only, states=frozenset(sorted(wanted.only.states)[:FEW]))
            wanted, limit = replace(wanted, only=only), 1
        self.both(lambda jobs: self._pages(jobs, wanted, limit))

    def _pages(self, jobs: Jobs, wanted: Wanted, limit: int) -> list[tuple[Job, ...]]:
        pages: list[tuple[Job, ...]] = []
        cursor = None
        while not pages or cursor is not None:
            page = wanted.of(jobs, cursor, limit)
            pages.append(page.jobs)
            cursor = page.cursor
            assert len(pages) < 99, "it never ends"
        return pages if self.shows_all else [tuple(job for page in pages for job in page)]

    @precondition(lambda self: self.shows_all)
    @rule(was=known, wanted=wanted, state=states, limit=limits)
    def a_job_changes_between_two_pages(self, was: Job, wanted: Wanted, state: State, limit: int) -> None:
        cursors = self._page(wanted, (None, None), limit)
        # A job keeps its place among those of a session: there one that was passed over may be wanted by now.
        if not (wanted.session and (wanted.state or wanted.only.states)):
            self.move(was=was, state=state)
        while None not in cursors:
            cursors = self._page(wanted, cursors, limit)

    @precondition(lambda self: self.shows_all)
    @rule(wanted=wanted, other=wanted)
    def a_page_of_something_else(self, wanted: Wanted, other: Wanted) -> None:
        """Who changes what is wanted and keeps the cursor is refused, or given a page: which, is not promised."""
        cursors = self._page(wanted, (None, None), 1)
        if None not in cursors:
            for each in (other, replace(other, state=wanted.state, session=wanted.session)):
                self.each(lambda jobs, each=each: each.of(jobs, cursors[jobs is self.real], 2), type)

    def _page(
        self, wanted: Wanted, cursors: tuple[str | None, str | None], limit: int
    ) -> tuple[str | None, str | None]:
        """Ask for the page behind the cursor that each side gave, and return those of the next one."""
        memory, real = self.each(
            lambda jobs: wanted.of(jobs, cursors[jobs is self.real], limit),
            lambda page: (page.jobs, page.cursor is None),
        )
        return memory.cursor, real.cursor

    @rule(state=states, most=st.integers(0, 5))
    def count(self, state: State, most: int) -> None:
        self.both(lambda jobs: jobs.count(state, limit=most))

    def teardown(self) -> None:
        for state in State:
            self.count(state=state, most=99)
        for session in (None, *SESSIONS):
            self.all_pages(wanted=Wanted(None, session, JobFilter()), limit=3)


@few_or_all("examples", 3, 8)
@pytest.mark.parametrize("shows_all", [True, False], ids=["all at once", "a little at a time"])
def test_listings_in_memory_and_in_dynamodb_are_alike(
    aws: Any, monkeypatch: pytest.MonkeyPatch, shows_all: bool, examples: int
) -> None:
    client, tables = aws("dynamodb"), count()
    if not shows_all:
        monkeypatch.setattr("chalicelib.adapters.dynamodb.listings.MAX_SCANNED", LITTLE)

    def machine() -> ListingsAlike:
        machine, table = ListingsAlike(), f"jobs-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real, machine.shows_all = MemoryJobs(), JobTable(client, table), shows_all
        return machine

    hold_parity(machine, examples=examples)
