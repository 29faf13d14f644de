"""Barriers: a worker waits with a message that matches, and with no other."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.barrier import Barriers, matches
from infra.local.provision import Clients, provision
from infra.local.pump import Worker, event_sources
from tests.timeouts import TIMEOUT_SECONDS, eventually

CHUNK = json.dumps({"step": "tile", "job": "a", "attempt": 1, "chunk": 3})
PLAN = json.dumps({"step": "plan", "job": "a", "attempt": 1, "chunk": None})


@pytest.mark.parametrize(
    ("barrier", "body", "held"),
    [
        ({}, CHUNK, True),
        ({}, "not JSON", True),
        ({"step": "tile"}, CHUNK, True),
        ({"step": "tile"}, PLAN, False),
        ({"step": "tile"}, '["tile"]', False),
        ({"job": "a"}, PLAN, True),
        ({"job": "b"}, PLAN, False),
        ({"from_chunk": 3}, CHUNK, True),
        ({"from_chunk": 4}, CHUNK, False),
        ({"from_chunk": 0}, PLAN, False),
    ],
)
def test_barrier_matches_messages_by_its_fields(barrier: dict[str, Any], body: str, held: bool) -> None:
    assert matches(barrier, body) is held


def test_barriers_hold_nothing_without_a_folder(tmp_path: Path) -> None:
    assert not Barriers(tmp_path / "missing").hold([CHUNK])


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_barrier_without_fields_holds_every_message(tmp_path: Path, content: str) -> None:
    (tmp_path / "all.json").write_text(content)
    assert Barriers(tmp_path).hold([PLAN])


@pytest.fixture
def worker(clients: Clients, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Send a message to the worker of the chunks queue, which calls `function` with each body."""
    provision(clients)
    started: list[tuple[Worker, threading.Thread]] = []

    def send(body: str, function: Callable[[str], None]) -> None:
        def chunks(event: dict[str, Any], _context: Any) -> None:
            function(event["Records"][0]["body"])

        module = SimpleNamespace(arrivals=chunks, jobs=chunks, chunks=chunks, dead_letters=chunks)
        sources = event_sources(module, clients.sqs, "slidehook")
        (queue,) = (each for each in sources if each.settings.handler == "chunks")
        clients.sqs.set_queue_attributes(QueueUrl=queue.queue_url, Attributes={"ReceiveMessageWaitTimeSeconds": "0"})
        clients.sqs.send_message(QueueUrl=queue.queue_url, MessageBody=body)
        made = Worker([queue], clients.sqs, "slidehook", Barriers(tmp_path))
        started.append((made, threading.Thread(target=made._poll, args=(queue,))))
        started[-1][1].start()

    yield send
    for made, thread in started:
        made.stop(0, None)
        thread.join()


def test_worker_waits_at_a_barrier_until_it_is_removed(worker: Callable[..., None], tmp_path: Path) -> None:
    barrier = tmp_path / "chunk.json"
    barrier.write_text('{"step": "tile"}')
    called: list[str] = []
    done = threading.Event()
    worker(CHUNK, lambda body: (called.append(body), done.set()))
    (waiting,) = eventually(lambda: list(tmp_path.glob("waiting/*")), what="a worker at the barrier")
    assert waiting.read_text() == CHUNK
    assert called == []
    barrier.unlink()
    assert done.wait(TIMEOUT_SECONDS)
    assert called == [CHUNK]
    assert not waiting.exists()


def test_worker_stops_while_it_waits_at_a_barrier(tmp_path: Path) -> None:
    (tmp_path / "all.json").touch()
    stopping = threading.Event()
    stopping.set()
    assert Barriers(tmp_path).wait([CHUNK], stopping) is False
    assert list(tmp_path.glob("waiting/*")) == []
