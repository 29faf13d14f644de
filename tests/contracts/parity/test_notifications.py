"""Subscribers of jobs, and notices of their ends, are alike in memory and in DynamoDB."""

from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule

from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.memory import MemoryJobs
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.model import ENDED, LIVE, Job, State, Subscriber
from chalicelib.ports.jobs import Jobs
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, hold_parity
from tests.contracts.parity.test_jobs import KEYS, instant, limits, states
from tests.contracts.samples import a_job
from tests.effort import few_or_all

EVER = 1e9

keys = st.sampled_from(KEYS)
attempts = st.integers(1, 3)
subscribers = st.builds(Subscriber, st.sampled_from(["https://one.example/", "https://two.example/?ü"]), attempts)
live, ended = (st.sampled_from(sorted(each)) for each in (LIVE, ENDED))


def end(key: str, attempt: int) -> float:
    """Each attempt ends at one instant, and no two at the same: in which order a table lists those is its own affair.
    Clocks differ: a later one may end earlier."""
    return instant(key, {1: 5, 2: 1, 3: 3}[attempt])


class NoticesAlike(Alike[Jobs]):
    known = Bundle("known")

    @initialize(target=known)
    def one_job_of_each_kind(self) -> Any:
        made = zip(KEYS, (State.QUEUED, State.TILING, State.FAILED), strict=True)
        return multiple(*(self.create(key=key, state=state, recorded=[]) for key, state in made))

    @rule(target=known, key=keys, state=states, recorded=st.lists(subscribers, max_size=2))
    def create(self, key: str, state: State, recorded: list[Subscriber]) -> Job:
        job = self._standing(a_job(key, subscribers=tuple(recorded)), state, 1)
        return self.both(lambda jobs: jobs.create(job))

    @rule(target=known, was=known)
    def look(self, was: Job) -> Job:
        return self._here(was)

    def _here(self, was: Job) -> Job:
        return self.both(lambda jobs: jobs.get(was.id)) or was

    @rule(target=known, was=known, state=states, attempt=attempts)
    def move(self, was: Job, state: State, attempt: int) -> Job:
        return self._move(was, state, attempt)

    @rule(target=known, was=known, state=ended)
    def its_attempt_ends(self, was: Job, state: State) -> Job:
        here = self._here(was)
        return self._move(here, state, here.attempt)

    @rule(target=known, was=known, state=live, attempt=attempts)
    def another_attempt_begins(self, was: Job, state: State, attempt: int) -> Job:
        return self._move(self._here(was), state, attempt)

    def _move(self, was: Job, state: State, attempt: int) -> Job:
        now = self._standing(was, state, attempt)
        self.both(lambda jobs: jobs.move(was, now))
        return now

    @staticmethod
    def _standing(job: Job, state: State, attempt: int) -> Job:
        ended_at = end(job.source.key, attempt) if state in ENDED else None
        return replace(job, state=state, attempt=attempt, ended_at=ended_at)

    @rule(was=known, subscriber=subscribers)
    def subscribe(self, was: Job, subscriber: Subscriber) -> None:
        self.both(lambda jobs: jobs.subscribe(was, subscriber))

    @rule(was=known, subscriber=subscribers)
    def subscribe_where_it_is(self, was: Job, subscriber: Subscriber) -> None:
        self.subscribe(was=self._here(was), subscriber=subscriber)

    @rule(was=known, subscriber=subscribers, attempt=attempts)
    def subscribe_to_what_it_was(self, was: Job, subscriber: Subscriber, attempt: int) -> None:
        """Look, and subscribe to that; in between another attempt may have begun."""
        here = self._here(was)
        self._move(here, here.state, attempt)
        self.subscribe(was=here, subscriber=subscriber)

    @rule(was=known, subscriber=subscribers, others=st.integers(-1, 1))
    def who_subscribes_to_what_has_ended_is_told_of_it(self, was: Job, subscriber: Subscriber, others: int) -> None:
        here = self._here(was)
        self.subscribe(was=self._move(here, State.DONE, here.attempt), subscriber=subscriber)
        self.pending_notifications(before=EVER, limit=9)
        self.acknowledge(key=here.source.key, attempt=here.attempt, known=len(self._here(was).subscribers) + others)
        self.pending_notifications(before=EVER, limit=9)

    @rule(before=st.builds(end, keys, attempts), limit=limits)
    def pending_notifications(self, before: float, limit: int) -> None:
        self.both(lambda jobs: jobs.pending_notifications(before=before, limit=limit))

    @rule(was=known)
    def just_untold(self, was: Job) -> None:
        here = self._here(was)
        self.pending_notifications(before=here.ended_at or here.updated_at, limit=9)

    @rule(key=keys, attempt=attempts, known=st.integers(0, 4))
    def acknowledge(self, key: str, attempt: int, known: int) -> None:
        notice = PendingNotification(job=a_job(key).id, attempt=attempt)
        self.both(lambda jobs: jobs.acknowledge(notice, subscribers=known))

    def teardown(self) -> None:
        for key in KEYS:
            self.both(lambda jobs, key=key: jobs.get(a_job(key).id))
        # For whom a notice waits is seen only by taking it away.
        for known in range(6):
            for notice in self.both(lambda jobs: jobs.pending_notifications(before=EVER, limit=99)):
                self.both(lambda jobs, notice=notice, known=known: jobs.acknowledge(notice, subscribers=known))


@few_or_all("examples", 4, 12)
def test_notices_in_memory_and_in_dynamodb_are_alike(aws: Any, examples: int) -> None:
    client, tables = aws("dynamodb"), count()

    def machine() -> NoticesAlike:
        machine, table = NoticesAlike(), f"jobs-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real = MemoryJobs(), JobTable(client, table, stores_notifications=True)
        return machine

    hold_parity(machine, examples=examples)
