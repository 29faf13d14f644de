"""What is told of the ends of jobs is alike in memory and in DynamoDB."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count, product
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule

from chalicelib.adapters.dynamodb.deliveries import DeliveryTable
from chalicelib.adapters.memory import MemoryDeliveries
from chalicelib.core.jobs.deliveries import (
    NO_RESULT,
    Answer,
    Delivery,
    Try,
    answered,
    begun,
    delivery_id,
    disabled,
    replayed,
)
from chalicelib.core.jobs.model import State
from chalicelib.ports.deliveries import Deliveries
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, hold_parity
from tests.contracts.test_deliveries_contract import JOB, a_delivery
from tests.effort import few_or_all

JOBS = (JOB, "1" * 32)
URLS = ("https://one.example/", "https://two.example/?ü", "https://three.example/a#b")
SCOPES = (*JOBS, "upload")
WHICH = tuple(product(JOBS, URLS))
IDS = {(job, url): delivery_id(job, 1, State.DONE, url) for job, url in WHICH}
EVER = 1e9

which = st.sampled_from(WHICH)
moments = st.integers(0, 9)
limits = st.integers(1, 4)
answers = st.sampled_from(
    [
        Answer(status=204),
        Answer(status=410),
        Answer(status=503, retry_after="3600"),
        Answer(error="no connection: ü"),
    ]
)
LOG = (Try(at=1.5, milliseconds=20, status=500), Try(at=2.0, milliseconds=0, error=NO_RESULT))


def instant(job: str, url: str, moment: int) -> float:
    """No two deliveries have an instant in common: in which order a table lists those is its own affair. The schedule
    counts in whole seconds."""
    return 100.0 + moment + WHICH.index((job, url)) / 16


# What nobody does, and what may be written all the same.
changes: st.SearchStrategy[Mapping[str, Any]] = st.fixed_dictionaries(
    {"version": st.integers(0, 3)},
    optional={
        "state": st.sampled_from(["pending", "delivered", "failed", "disabled"]),
        "next_at": st.none() | moments,
        "begun_at": st.none() | moments,
        "tries": st.integers(0, 10),
        "by_hand": st.booleans(),
        "log": st.sampled_from([(), LOG[:1], LOG]),
    },
)


class DeliveriesAlike(Alike[Deliveries]):
    known = Bundle("known")

    @initialize(target=known, moment=moments)
    def a_few_deliveries(self, moment: int) -> Any:
        return multiple(*(self.create(which=each, moment=moment, body="{}") for each in WHICH[1:4]))

    @rule(target=known, which=which, moment=moments, body=st.sampled_from(["{}", '{"über":"ä"}']))
    def create(self, which: tuple[str, str], moment: int, body: str) -> Delivery:
        job, url = which
        delivery = a_delivery(url, at=instant(job, url, moment), id=IDS[which], job=job, scope=job, body=body)
        return self.both(lambda deliveries: deliveries.create(delivery))

    @rule(was=known, moment=moments)
    def create_it_again(self, was: Delivery, moment: int) -> None:
        self.create(which=(was.job, was.url), moment=moment, body='{"again":true}')

    @rule(target=known, was=known)
    def look(self, was: Delivery) -> Delivery:
        return self._here(was)

    def _here(self, was: Delivery) -> Delivery:
        return self.both(lambda deliveries: deliveries.get(was.job, was.id)) or was

    @rule(job=st.sampled_from(JOBS), which=which)
    def look_for(self, job: str, which: tuple[str, str]) -> None:
        self.both(lambda deliveries: deliveries.get(job, IDS[which]))

    @rule(target=known, was=known, answer=st.none() | answers, moment=moments)
    def try_it(self, was: Delivery, answer: Answer | None, moment: int) -> Delivery:
        """Begin a try; without an answer, die in it."""
        now = instant(was.job, was.url, moment)
        trying = self._move(was, begun(was, now=now))
        return trying if answer is None else self._move(trying, answered(trying, answer, now=now + 1, jitter=0.5))

    @rule(target=known, was=known, answer=st.none() | answers, moment=moments)
    def try_it_as_it_is(self, was: Delivery, answer: Answer | None, moment: int) -> Delivery:
        return self.try_it(was=self._here(was), answer=answer, moment=moment)

    @rule(target=known, was=known, moment=moments)
    def send_it_again(self, was: Delivery, moment: int) -> Delivery:
        return self._move(was, replayed(was, now=instant(was.job, was.url, moment)))

    @rule(target=known, was=known, moment=moments)
    def its_url_wants_no_more(self, was: Delivery, moment: int) -> Delivery:
        return self._move(was, disabled(was, now=instant(was.job, was.url, moment)))

    @rule(target=known, was=known, changes=changes)
    def change(self, was: Delivery, changes: Mapping[str, Any]) -> Delivery:
        timed = {
            name: instant(was.job, was.url, at)
            for name, at in changes.items()
            if name.endswith("_at") and at is not None
        }
        return self._move(self._here(was), replace(was, **{**changes, **timed}))

    def _move(self, was: Delivery, now: Delivery) -> Delivery:
        self.both(lambda deliveries: deliveries.move(was, now))
        return now

    @rule(job=st.sampled_from([*JOBS, "2" * 32]))
    def of_job(self, job: str) -> None:
        self.both(lambda deliveries: deliveries.of_job(job))

    @rule(which=which, moment=moments, limit=limits)
    def due(self, which: tuple[str, str], moment: int, limit: int) -> None:
        self.both(lambda deliveries: deliveries.due(before=instant(*which, moment), limit=limit))

    @rule(was=known)
    def just_due(self, was: Delivery) -> None:
        here = self._here(was)
        self.both(lambda deliveries: deliveries.due(before=here.next_at or 0.0, limit=9))

    @rule(scope=st.sampled_from(SCOPES), url=st.sampled_from(URLS), is_wanted=st.booleans())
    def switch(self, scope: str, url: str, is_wanted: bool) -> None:
        self.both(lambda deliveries: (deliveries.enable if is_wanted else deliveries.disable)(scope, url))

    def teardown(self) -> None:
        self.both(lambda deliveries: deliveries.due(before=EVER, limit=99))
        for job in JOBS:
            self.of_job(job=job)
        for scope, url in product(SCOPES, URLS):
            self.both(lambda deliveries, scope=scope, url=url: deliveries.is_disabled(scope, url))


@few_or_all("examples", 5, 20)
def test_deliveries_in_memory_and_in_dynamodb_are_alike(aws: Any, examples: int) -> None:
    client, tables = aws("dynamodb"), count()

    def machine() -> DeliveriesAlike:
        machine, table = DeliveriesAlike(), f"deliveries-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real = MemoryDeliveries(), DeliveryTable(client, table)
        return machine

    hold_parity(machine, examples=examples)
