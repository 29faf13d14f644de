"""Idempotency stores in memory and in DynamoDB behave alike."""

from itertools import count, product
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from chalicelib.adapters.dynamodb.idempotency import IdempotencyTable
from chalicelib.adapters.memory import MemoryIdempotencyStore
from chalicelib.ports.idempotency import KEEP_RESPONSE_SECONDS, RESERVATION_SECONDS, IdempotencyStore, StoredResponse
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, hold_parity
from tests.contracts.test_idempotency_contract import NOW, TOLD
from tests.effort import few_or_all

KEYS = ("a", "b#ü")
CALLS = ("one", "other")
# Just within, at the end of, and behind what a reservation and an answer last.
LATER = (
    0.0,
    1.0,
    RESERVATION_SECONDS - 0.5,
    RESERVATION_SECONDS,
    KEEP_RESPONSE_SECONDS,
    KEEP_RESPONSE_SECONDS + RESERVATION_SECONDS,
)

keys, calls = st.sampled_from(KEYS), st.sampled_from(CALLS)
instants = st.sampled_from([NOW + each for each in LATER])
recorded = st.sampled_from(
    [TOLD, StoredResponse(status=404, body=""), StoredResponse(status=200, body="{}", headers=(("X", ""),))]
)


class AnswersAlike(Alike[IdempotencyStore]):
    @rule(key=keys, call=calls, now=instants)
    def begin(self, key: str, call: str, now: float) -> None:
        self.both(lambda answers: answers.begin(key, call, now=now))

    @rule(key=keys, call=calls, recorded=recorded, now=instants)
    def keep(self, key: str, call: str, recorded: StoredResponse, now: float) -> None:
        self.both(lambda answers: answers.keep(key, call, recorded, now=now))

    @rule(key=keys, call=calls, recorded=recorded, now=instants, later=st.sampled_from(LATER))
    def make_a_call_and_repeat_it(
        self, key: str, call: str, recorded: StoredResponse, now: float, later: float
    ) -> None:
        self.begin(key=key, call=call, now=now)
        self.keep(key=key, call=call, recorded=recorded, now=now)
        self.begin(key=key, call=call, now=now + later)

    @rule(key=keys, call=calls)
    def forget(self, key: str, call: str) -> None:
        self.both(lambda answers: answers.forget(key, call))

    def teardown(self) -> None:
        for key, later in product(KEYS, LATER):
            self.begin(key=key, call="last", now=NOW + later)


@few_or_all("examples", 5, 20)
def test_answers_in_memory_and_in_dynamodb_are_alike(aws: Any, examples: int) -> None:
    client, tables = aws("dynamodb"), count()

    def machine() -> AnswersAlike:
        machine, table = AnswersAlike(), f"answers-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real = MemoryIdempotencyStore(), IdempotencyTable(client, table)
        return machine

    hold_parity(machine, examples=examples)
