"""What steps leave for one another is found alike in memory and in S3."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from chalicelib.adapters.memory import MemoryWork
from chalicelib.adapters.s3 import S3Work
from chalicelib.ports.work import Work
from tests.contracts.likeness import Alike, hold_parity
from tests.effort import few_or_all

# A key names its content.
CONTENTS = {"jobs/1/plan.json": b"{}", "jobs/1/pixels/0/1_2 ü+": b"0123456789", "jobs/2/records.bin": b""}
keys = st.sampled_from(sorted(CONTENTS))
edges = st.sampled_from([-1, 0, 1, 2, 3, 9, 10, 11])


@dataclass
class Bench:
    work: Work
    lose: Callable[[str], object]
    another: Callable[[], Work]


class WorkAlike(Alike[Bench]):
    @initialize()
    def put_all(self) -> None:
        for key in CONTENTS:
            self.put(key=key)

    @rule(key=keys)
    def put(self, key: str) -> None:
        self.both(lambda bench: bench.work.put(key, CONTENTS[key]))

    @rule(key=keys)
    def get(self, key: str) -> None:
        self.both(lambda bench: bench.work.get(key))

    @rule(key=keys, start=edges, stop=st.none() | edges)
    def get_a_part(self, key: str, start: int, stop: int | None) -> None:
        self.both(lambda bench: bench.work.get(key, start, stop))

    @rule(key=keys)
    def lose(self, key: str) -> None:
        """An object has expired. Who has read it may still know it; others do not."""
        self.each(lambda bench: bench.lose(key), lambda _: None)
        for bench in (self.memory, self.real):
            bench.work = bench.another()

    def teardown(self) -> None:
        for key in CONTENTS:
            self.get(key=key)


@few_or_all("examples", 8, 40)
def test_work_in_memory_and_in_s3_is_alike(aws: Any, examples: int) -> None:
    client, buckets = aws("s3"), count()

    def machine() -> WorkAlike:
        machine, memory, bucket = WorkAlike(), MemoryWork(), f"work-{next(buckets)}"
        client.create_bucket(Bucket=bucket)
        machine.memory = Bench(memory, lambda key: memory.objects.pop(key, None), lambda: memory)
        machine.real = Bench(
            S3Work(client, bucket),
            lambda key: client.delete_object(Bucket=bucket, Key=key),
            lambda: S3Work(client, bucket),
        )
        return machine

    hold_parity(machine, examples=examples)
