"""The job table in memory and in DynamoDB give the same answers, whatever they are asked."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, initialize, multiple, rule

from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.memory import MemoryJobs
from chalicelib.core.jobs.model import Attempt, BadTile, ChunkRecord, Job, Problem, State
from chalicelib.ports.jobs import JobPage, Jobs
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, Refusal, hold_parity
from tests.contracts.samples import OTHER_SESSION, SESSION, a_job
from tests.effort import few_or_all

SESSIONS = (SESSION, OTHER_SESSION, "")  # none: an arrival that was refused
KEYS = ("a.svs", "b.svs", "c.svs")
ENDLESS = Problem(code="storage_busy", message="long" * 501, hint="ü")
TOLD = Attempt(attempt=1, started_at=1.0, ended_at=2.5, outcome=State.FAILED, error=ENDLESS)
BAD = BadTile(level=0, column=1, row=2, offset=3, reason="torn")

numbers = st.integers(0, 3)
moments = st.integers(0, 9)
limits = st.integers(1, 4)
states = st.sampled_from(State)
problems = st.sampled_from(
    [
        Problem(code="mongodb_unavailable", message="it is away", hint="wait"),
        Problem(code="storage_busy", message="", hint=""),
        ENDLESS,
    ]
)


def instant(key: str, moment: int) -> float:
    """No two jobs have an instant in common: in which order a table lists those is its own affair."""
    return 100.125 + 3 * moment + KEYS.index(key)


def instants() -> st.SearchStrategy[float]:
    return st.builds(instant, st.sampled_from(KEYS), moments)


# What a move changes: mostly little, so that it is where another one was, or has been.
changes: st.SearchStrategy[Mapping[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "state": states,
        "attempt": st.integers(1, 3),
        "generation": st.integers(0, 2),
        "updated_at": moments,
        "cleanup_at": st.none() | moments,
        "ended_at": st.none() | moments,
        "rescues": st.integers(0, 2),
        "chunks_done": st.frozensets(numbers),
        "tiles_done": numbers,
        "bytes_done": numbers,
        "tiles_bad": numbers,
        "bad_tiles": st.sampled_from([(), (BAD,)]),
        "last_transient_error": st.none() | problems,
        "error": st.none() | problems,
        "history": st.sampled_from([(), (TOLD,)]),
        "discarded": st.sampled_from([(), (0,), (0, 1)]),
    },
)
records = st.builds(
    dict, number=numbers, tiles=numbers, source_bytes=numbers, digest=st.just(2**96 - 1), tiles_bad=st.integers(0, 1)
)


class JobsAlike(Alike[Jobs]):
    known = Bundle("known")
    cursors = Bundle("cursors")

    @initialize(target=known, moment=moments, ended=st.sampled_from([State.FAILED, State.DONE, State.QUEUED]))
    def a_few_jobs(self, moment: int, ended: State) -> Any:
        made = [
            self._new(*each, moment, state) for *each, state in zip(KEYS, SESSIONS, (State.TILING, ended), strict=False)
        ]
        return multiple(*(self.both(lambda jobs, job=job: jobs.create(job)) for job in made))

    def _new(self, key: str, session: str, moment: int, state: State) -> Job:
        job = a_job(key, now=instant(key, moment))
        # The same id wherever it goes: who creates it again may say other things of it.
        return replace(job, destination=replace(job.destination, session=session), state=state)

    @rule(target=known, key=st.sampled_from(KEYS), session=st.sampled_from(SESSIONS), moment=moments, state=states)
    def create(self, key: str, session: str, moment: int, state: State) -> Job:
        job = self._new(key, session, moment, state)
        return self.both(lambda jobs: jobs.create(job))

    @rule(target=known, was=known, changes=changes)
    def move(self, was: Job, changes: Mapping[str, Any]) -> Job:
        return self._move(was, changes)

    @rule(
        target=known,
        was=known,
        changes=changes,
        meanwhile=st.sampled_from(["", "sweep", "sweep", "chunk", "rescue"]),
        moment=moments,
    )
    def move_from_where_it_is(self, was: Job, changes: Mapping[str, Any], meanwhile: str, moment: int) -> Job:
        """Look, and move from there; in between somebody may do something else."""
        here = self.both(lambda jobs: jobs.get(was.id)) or was
        match meanwhile:
            case "sweep":
                self.schedule_cleanup(was=here, moment=moment)
            case "chunk":
                self.finish_chunk(
                    was=here, what={"number": 1, "tiles": 2, "source_bytes": 3, "digest": 4}, moment=moment
                )
            case "rescue":
                self.count_rescue(was=here, moment=moment)
        return self._move(here, changes)

    def _move(self, was: Job, changes: Mapping[str, Any]) -> Job:
        key = was.source.key
        timed = {name: instant(key, at) for name, at in changes.items() if name.endswith("_at") and at is not None}
        now = replace(was, **{**changes, **timed})
        self.both(lambda jobs: jobs.move(was, now))
        return now

    @rule(target=known, was=known)
    def look(self, was: Job) -> Any:
        found = self.both(lambda jobs: jobs.get(was.id))
        return multiple() if found is None else found

    @rule(target=known, was=known, what=records, moment=moments)
    def finish_chunk(self, was: Job, what: dict[str, Any], moment: int) -> Any:
        record = ChunkRecord(ended_at=instant(was.source.key, moment), **what)
        found = self.both(lambda jobs: jobs.finish_chunk(was, record))
        return multiple() if found is None else found

    @rule(was=known, late=records, moment=moments)
    def a_worker_of_an_earlier_attempt_comes_late(self, was: Job, late: dict[str, Any], moment: int) -> None:
        here = self.both(lambda jobs: jobs.get(was.id)) or was
        after = self._move(here, {"state": State.TILING, "attempt": here.attempt + 1})
        self.finish_chunk(was=after, what={**late, "tiles": 7}, moment=moment)
        self.finish_chunk(was=here, what=late, moment=moment)
        self.chunk_records(was=after)

    @rule(was=known)
    def chunk_records(self, was: Job) -> None:
        self.both(lambda jobs: jobs.chunk_records(was))

    @rule(was=known, problem=problems)
    def record_transient_error(self, was: Job, problem: Problem) -> None:
        self.both(lambda jobs: jobs.record_transient_error(was, problem))

    @rule(was=known, moment=moments)
    def count_rescue(self, was: Job, moment: int) -> None:
        self.both(lambda jobs: jobs.count_rescue(was, now=instant(was.source.key, moment)))

    @rule(was=known, moment=moments)
    def schedule_cleanup(self, was: Job, moment: int) -> None:
        self.both(lambda jobs: jobs.schedule_cleanup(was.id, instant(was.source.key, moment)))

    @rule(target=cursors, state=st.none() | states, session=st.none() | st.sampled_from(SESSIONS[:2]), limit=limits)
    def first_page(self, state: State | None, session: str | None, limit: int) -> Any:
        page = self.both(lambda jobs: jobs.list(state=state, session=session, cursor=None, limit=limit))
        return multiple() if page.cursor is None else (state, session, page.cursor)

    @rule(target=cursors, place=consumes(cursors), limit=limits)
    def next_page(self, place: tuple[State | None, str | None, str], limit: int) -> Any:
        state, session, cursor = place
        page = self.both(lambda jobs: jobs.list(state=state, session=session, cursor=cursor, limit=limit))
        return multiple() if page.cursor is None else (state, session, page.cursor)

    @rule(place=cursors, state=st.none() | states, session=st.none() | st.sampled_from(SESSIONS[:2]))
    def page_of_another_listing(
        self, place: tuple[State | None, str | None, str], state: State | None, session: str | None
    ) -> None:
        self.both(lambda jobs: jobs.list(state=state, session=session, cursor=place[2], limit=2))

    @rule(state=states, before=instants(), limit=limits)
    def silent(self, state: State, before: float, limit: int) -> None:
        found = self.both(lambda jobs: jobs.silent(state, before=before, limit=limit))
        if found:
            self.both(lambda jobs: jobs.silent(state, before=before, limit=limit, after=found[-1]))

    @rule(was=known)
    def just_silent_and_just_due(self, was: Job) -> None:
        here = self.both(lambda jobs: jobs.get(was.id)) or was
        self.both(lambda jobs: jobs.silent(here.state, before=here.updated_at, limit=9))
        self.both(lambda jobs: jobs.due_for_cleanup(now=here.cleanup_at or 0.0, limit=9))

    @rule(now=instants(), limit=limits)
    def due_for_cleanup(self, now: float, limit: int) -> None:
        found = self.both(lambda jobs: jobs.due_for_cleanup(now=now, limit=limit))
        if found:
            self.both(lambda jobs: jobs.due_for_cleanup(now=now, limit=limit, after=found[-1]))

    def teardown(self) -> None:
        everything: JobPage | Refusal = self.both(
            lambda jobs: jobs.list(state=None, session=None, cursor=None, limit=9)
        )
        assert isinstance(everything, JobPage)
        for job in everything.jobs:
            self.both(lambda jobs, job=job: (jobs.get(job.id), jobs.chunk_records(job)))
        self.both(lambda jobs: jobs.due_for_cleanup(now=1e9, limit=9))
        for state in State:
            self.both(lambda jobs, state=state: jobs.silent(state, before=1e9, limit=9))
            self.both(lambda jobs, state=state: jobs.count(state, limit=2))
        for session in SESSIONS[:2]:
            self.both(lambda jobs, session=session: jobs.list(state=None, session=session, cursor=None, limit=9))


@few_or_all("examples", 7, 25)
def test_jobs_in_memory_and_in_dynamodb_are_alike(aws: Any, examples: int) -> None:
    client, tables = aws("dynamodb"), count()

    def machine() -> JobsAlike:
        machine, table = JobsAlike(), f"jobs-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real = MemoryJobs(), JobTable(client, table)
        return machine

    hold_parity(machine, examples=examples)
