"""The queue in memory and SQS hand out the same messages, whatever was sent."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from chalicelib.adapters.memory import MemoryQueue
from chalicelib.adapters.sqs import JobQueues
from chalicelib.core.plan.messages import Message
from chalicelib.ports.queue import Queue
from tests.contracts.likeness import Alike, hold_parity
from tests.contracts.test_queue_contract import JOB, SqsBench
from tests.effort import few_or_all

names = st.fixed_dictionaries(
    {
        "job": st.sampled_from([JOB, "cd" * 16]),
        "attempt": st.integers(1, 2),
        "group": st.sampled_from(["", "a" * 24, "b" * 24]),
    }
)
others = st.builds(lambda do, to: Message(step=do, **to), st.sampled_from(["plan", "finish", "sync"]), names)
chunks = st.builds(lambda chunk, to: Message(step="tile", chunk=chunk, **to), st.integers(0, 3), names)


@dataclass(frozen=True)
class Bench:
    queue: Queue
    take: Callable[[], list[Message]]


class QueuesAlike(Alike[Bench]):
    @rule(messages=st.lists(others | chunks, max_size=25))
    def send(self, messages: list[Message]) -> None:
        self.both(lambda bench: bench.queue.send(messages))

    @rule()
    def take(self) -> None:
        self.both(lambda bench: Counter(bench.take()))

    def teardown(self) -> None:
        self.take()


@few_or_all("examples", 6, 25)
def test_a_queue_in_memory_and_sqs_are_alike(aws: Any, examples: int) -> None:
    client, queues = aws("sqs"), count()

    def machine() -> QueuesAlike:
        urls = [client.create_queue(QueueName=f"{name}-{next(queues)}")["QueueUrl"] for name in ("jobs", "chunks")]
        sqs = SqsBench(client, JobQueues(client, jobs_queue=urls[0], chunks_queue=urls[1]), *urls)
        machine, memory = QueuesAlike(), MemoryQueue()

        def take() -> list[Message]:
            taken, memory.sent = memory.sent, []
            return taken

        machine.memory, machine.real = Bench(memory, take), Bench(sqs.queue, sqs.received)
        return machine

    hold_parity(machine, examples=examples, steps=12)
