"""Syncs in memory and in DynamoDB give the same answers, whatever they are asked."""

from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, rule

from chalicelib.adapters.dynamodb.syncs import SyncTable
from chalicelib.adapters.memory import MemorySyncs
from chalicelib.core.jobs.model import Options
from chalicelib.core.jobs.sync import Entry, Sync, advanced, new_sync, next_run
from chalicelib.ports.syncs import Syncs
from tests.contracts.conftest import create_jobs_table
from tests.contracts.likeness import Alike, hold_parity
from tests.contracts.samples import SESSION
from tests.contracts.test_syncs_contract import ENTRIES, PLACE
from tests.effort import few_or_all

PREFIXES = ("", "lung/", "liver/")
moments = st.integers(0, 9)
pages = st.sampled_from([(), ENTRIES[:1], ENTRIES])


def instant(prefix: str, moment: int) -> float:
    """No two syncs have an instant in common: in which order a table lists those is its own affair."""
    return 100.125 + 3 * moment + PREFIXES.index(prefix)


class SyncsAlike(Alike[Syncs]):
    known = Bundle("known")

    @rule(target=known, prefix=st.sampled_from(PREFIXES), moment=moments)
    def create(self, prefix: str, moment: int) -> Sync:
        sync = new_sync("slides", prefix, PLACE if prefix else None, Options(), now=instant(prefix, moment))
        return self.both(lambda syncs: syncs.create(sync))

    @rule(target=known, was=known)
    def look(self, was: Sync) -> Any:
        found = self.both(lambda syncs: syncs.get(was.id))
        return multiple() if found is None else found

    @rule(
        target=known, was=known, entries=pages, moment=moments, ends=st.booleans(), cursor=st.sampled_from([None, "b"])
    )
    def a_page_further(
        self, was: Sync, entries: tuple[Entry, ...], moment: int, ends: bool, cursor: str | None
    ) -> Sync:
        now = instant(was.prefix, moment)
        self.both(lambda syncs: syncs.put_page(was, entries))
        after = advanced(
            was, entries, now=now, ended_at=now if ends else None, cursor=cursor, is_listed=ends, sessions=(SESSION,)
        )
        self.both(lambda syncs: syncs.move(was, after))
        return after

    @rule(was=known, ends=st.booleans(), moment=moments)
    def two_bring_it_a_page_further(self, was: Sync, ends: bool, moment: int) -> None:
        """And who was slower goes on from what it takes for the state of things."""
        here = self.both(lambda syncs: syncs.get(was.id)) or was
        self.a_page_further(was=here, entries=(), moment=moment, ends=ends, cursor=None)
        other = self.a_page_further(was=here, entries=ENTRIES, moment=moment, ends=not ends, cursor="b")
        self.a_page_further(was=other, entries=(), moment=moment, ends=False, cursor=None)

    @rule(target=known, was=known, moment=moments)
    def next_run(self, was: Sync, moment: int) -> Sync:
        after = next_run(was, now=instant(was.prefix, moment))
        self.both(lambda syncs: syncs.move(was, after))
        return after

    @rule(was=known, run=st.integers(1, 3), number=st.integers(0, 3))
    def page(self, was: Sync, run: int, number: int) -> None:
        self.both(lambda syncs: syncs.page(replace(was, run=run), number))

    @rule(live=st.booleans(), limit=st.integers(1, 3))
    def latest(self, live: bool, limit: int) -> None:
        self.both(lambda syncs: syncs.latest(live=live, limit=limit))

    def teardown(self) -> None:
        for live in (True, False):
            for sync in self.both(lambda syncs, live=live: syncs.latest(live=live, limit=9)):
                self.both(lambda syncs, sync=sync: syncs.get(sync.id))
                for number in range(4):
                    self.both(lambda syncs, sync=sync, number=number: syncs.page(sync, number))


@few_or_all("examples", 5, 15)
def test_syncs_in_memory_and_in_dynamodb_are_alike(aws: Any, examples: int) -> None:
    client, tables = aws("dynamodb"), count()

    def machine() -> SyncsAlike:
        machine, table = SyncsAlike(), f"syncs-{next(tables)}"
        create_jobs_table(client, table)
        machine.memory, machine.real = MemorySyncs(), SyncTable(client, table)
        return machine

    hold_parity(machine, examples=examples)
