"""The door's book in memory and in DynamoDB give the same answers, whatever they are asked."""

from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from chalicelib.adapters.dynamodb.access_records import AccessRecordTable
from chalicelib.adapters.memory import MemoryAccessRecords
from chalicelib.ports.access_records import AccessRecords, Receipt
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, hold_parity
from tests.effort import few_or_all

KEYS = ("a", "a#1", "ü")
WHO = ("a", "a#2", "")
CODES = ("a", "b")

moments = st.sampled_from([0.0, 59.999, 60.0, 119.5, 120.0, 1e9 + 0.25])
receipts = st.builds(
    Receipt,
    key=st.sampled_from(KEYS),
    body=st.sampled_from(["one", "other"]),
    signed_at=st.integers(0, 3),
    location=st.sampled_from(["", "/jobs/1", "/jobs/2"]),
)


class AccessRecordsAlike(Alike[AccessRecords]):
    @rule(receipt=receipts, now=moments)
    def keep(self, receipt: Receipt, now: float) -> None:
        self.both(lambda book: book.keep(receipt, now=now))

    @rule(key=st.sampled_from(KEYS))
    def receipt(self, key: str) -> None:
        self.both(lambda book: book.receipt(key))

    @rule(who=st.sampled_from(WHO), now=moments)
    def count_try(self, who: str, now: float) -> None:
        self.both(lambda book: book.count_try(who, now=now))

    @rule(code=st.sampled_from(CODES), token=st.sampled_from(WHO), expires_at=moments)
    def keep_code(self, code: str, token: str, expires_at: float) -> None:
        self.both(lambda book: book.keep_code(code, token, expires_at=expires_at))

    @rule(code=st.sampled_from(CODES), now=moments)
    def redeem_code(self, code: str, now: float) -> None:
        self.both(lambda book: book.redeem_code(code, now=now))

    def teardown(self) -> None:
        for code in CODES:
            self.redeem_code(code=code, now=0.0)
        for key in KEYS:
            self.receipt(key=key)
        for who in WHO:
            for minute in range(3):
                self.count_try(who=who, now=60.0 * minute)


@few_or_all("examples", 6, 20)
def test_the_doors_books_in_memory_and_in_dynamodb_are_alike(aws: Any, examples: int) -> None:
    client, tables = aws("dynamodb"), count()

    def machine() -> AccessRecordsAlike:
        machine, table = AccessRecordsAlike(), f"book-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real = MemoryAccessRecords(), AccessRecordTable(client, table)
        return machine

    hold_parity(machine, examples=examples)
