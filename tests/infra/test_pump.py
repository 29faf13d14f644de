"""The pump against what AWS documents of its event sources. SQS is moto's, the functions are plain Python."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from infra.deploy import template
from infra.local.lambda_events import Context, EventSource, scheduled_event, succeeded
from infra.local.provision import Clients, provision
from infra.local.pump import event_sources, handle, poll_once, receive
from infra.local.visibility import Held
from tests.timeouts import TIMEOUT_SECONDS

BATCH = 10


class Recorder:
    """A function that remembers its events and answers as it is told."""

    def __init__(self, answer: Callable[[list[dict[str, Any]]], Any] = lambda _records: None) -> None:
        self.events: list[dict[str, Any]] = []
        self.contexts: list[Context] = []
        self._answer = answer

    def __call__(self, event: dict[str, Any], context: Context) -> Any:
        self.events.append(event)
        self.contexts.append(context)
        return self._answer(event["Records"])

    @property
    def bodies(self) -> list[str]:
        return [record["body"] for event in self.events for record in event["Records"]]


def source(clients: Clients, function: Any, *, handler: str = "arrivals", visibility_seconds: int = 30) -> EventSource:
    """Return the event source of `handler` in a freshly provisioned system."""
    provision(clients, visibility_seconds=visibility_seconds)
    module = SimpleNamespace(arrivals=function, jobs=function, chunks=function, dead_letters=function)
    sources = event_sources(module, clients.sqs, "slidehook")
    found = next(each for each in sources if each.settings.handler == handler)
    clients.sqs.purge_queue(QueueUrl=found.queue_url)
    return found


def send(clients: Clients, to: EventSource, *bodies: str) -> None:
    for body in bodies:
        clients.sqs.send_message(QueueUrl=to.queue_url, MessageBody=body)


def left_in(queue: EventSource, clients: Clients) -> list[str]:
    """Return, for each message that the queue still holds, whether a receiver could see it."""
    counts: Any = clients.sqs.get_queue_attributes(QueueUrl=queue.queue_url, AttributeNames=["All"])["Attributes"]
    return ["hidden"] * int(counts["ApproximateNumberOfMessagesNotVisible"]) + ["visible"] * int(
        counts["ApproximateNumberOfMessages"]
    )


def fail(*bodies: str) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda records: {
        "batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in records if each["body"] in bodies]
    }


def test_the_function_gets_the_event_that_lambda_builds(clients: Clients) -> None:
    function = Recorder()
    queue = source(clients, function)
    clients.sqs.send_message(
        QueueUrl=queue.queue_url,
        MessageBody="hello",
        MessageAttributes={
            "hop": {"DataType": "String", "StringValue": "1"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        },
    )
    assert poll_once(queue, clients.sqs, wait_seconds=0) == 1
    (record,) = function.events[0]["Records"]
    assert set(record) == {
        *("messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody"),
        *("eventSource", "eventSourceARN", "awsRegion"),
    }
    assert record["body"] == "hello"
    assert record["md5OfBody"] == "5d41402abc4b2a76b9719d911017c592"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:slidehook-arrivals"
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(record["attributes"])
    assert record["messageAttributes"] == {
        "hop": {"stringValue": "1", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "raw": {"binaryValue": "AAE=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    }
    json.dumps(function.events[0])  # Lambda's events are JSON


def test_the_context_counts_down_from_the_functions_timeout(clients: Clients) -> None:
    left: list[int] = []

    def function(_event: Any, context: Context) -> None:
        left.append(context.get_remaining_time_in_millis())
        while context.get_remaining_time_in_millis() == left[0]:
            pass
        left.append(context.get_remaining_time_in_millis())
        assert re.fullmatch(r"[0-9a-f-]{36}", context.aws_request_id)
        assert context.function_name == "slidehook-arrivals"
        assert context.invoked_function_arn.endswith(":function:slidehook-arrivals")
        assert context.memory_limit_in_mb == "512"

    queue = source(clients, function)
    send(clients, queue, "one")
    poll_once(queue, clients.sqs, wait_seconds=0)
    assert 0 < left[1] < left[0] <= 60_000
    assert left_in(queue, clients) == []


def test_no_time_is_left_after_the_timeout() -> None:
    context = Context(
        function_name="f", invoked_function_arn="arn", memory_limit_in_mb="1", timeout_seconds=1, started_at=-1e9
    )
    assert context.get_remaining_time_in_millis() == 0


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_an_answer_without_failures_deletes_the_batch(clients: Clients, answer: Any) -> None:
    queue = source(clients, Recorder(lambda _records: answer))
    send(clients, queue, "one", "two", "three")
    assert poll_once(queue, clients.sqs, wait_seconds=0) == 3
    assert left_in(queue, clients) == []


def test_only_what_failed_stays_in_the_queue(clients: Clients) -> None:
    function = Recorder(fail("two"))
    queue = source(clients, function, visibility_seconds=0)
    send(clients, queue, "one", "two", "three")
    poll_once(queue, clients.sqs, wait_seconds=0)
    assert left_in(queue, clients) == ["visible"]
    poll_once(queue, clients.sqs, wait_seconds=0)
    assert function.bodies == ["one", "two", "three", "two"]
    assert function.events[1]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"


@pytest.mark.parametrize(
    "failures",
    [
        [{"itemIdentifier": "no such message"}],
        [{"itemIdentifier": ""}],
        [{"itemIdentifier": None}],
        [{}],
        ["not a mapping"],
        "not a list",
    ],
)
def test_an_answer_that_names_no_message_of_the_batch_fails_all_of_it(clients: Clients, failures: Any) -> None:
    queue = source(clients, Recorder(lambda _records: {"batchItemFailures": failures}))
    send(clients, queue, "one", "two")
    poll_once(queue, clients.sqs, wait_seconds=0)
    assert left_in(queue, clients) == ["hidden", "hidden"]


def test_one_unknown_id_beside_a_known_one_fails_the_batch() -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "stranger"}]}
    assert succeeded(answer, ["a", "b"]) == []


@pytest.mark.parametrize("answer", ["text", 5, ["list"], True])
def test_an_answer_that_is_no_object_fails_the_batch(answer: Any) -> None:
    assert succeeded(answer, ["a", "b"]) == []


def test_an_exception_fails_the_batch_and_not_the_worker(clients: Clients, caplog: pytest.LogCaptureFixture) -> None:
    def function(_event: Any, _context: Any) -> None:
        raise ValueError("a fault in the code")

    queue = source(clients, function)
    send(clients, queue, "one", "two")
    assert poll_once(queue, clients.sqs, wait_seconds=0) == 2
    assert left_in(queue, clients) == ["hidden", "hidden"]
    assert "a fault in the code" in caplog.text


def test_a_worker_that_is_killed_leaves_its_message(clients: Clients) -> None:
    def function(_event: Any, _context: Any) -> None:
        raise KeyboardInterrupt  # nothing after the call runs, as in a killed process

    queue = source(clients, function, visibility_seconds=0)
    send(clients, queue, "one")
    with pytest.raises(KeyboardInterrupt):
        poll_once(queue, clients.sqs, wait_seconds=0)
    survivor = Recorder()
    poll_once(replace(queue, function=survivor), clients.sqs, wait_seconds=0)
    assert survivor.bodies == ["one"]
    assert survivor.events[0]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"


def test_a_message_that_always_fails_ends_in_the_dead_letters_after_five_receives(clients: Clients) -> None:
    function = Recorder(fail("poison"))
    queue = source(clients, function, handler="chunks", visibility_seconds=0)
    dead_letters = source(clients, Recorder(), handler="dead_letters", visibility_seconds=0)
    send(clients, queue, "poison")
    while poll_once(queue, clients.sqs, wait_seconds=0):
        assert len(function.events) <= 5
    assert len(function.events) == 5
    assert left_in(queue, clients) == []
    (message,) = receive(dead_letters, clients.sqs, wait_seconds=0)
    assert message["Body"] == "poison"


def test_a_message_stays_hidden_for_as_long_as_its_function_runs(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals: list[dict[str, Any]] = []
    renewed = threading.Event()

    def renew(params: dict[str, Any], **_: Any) -> None:
        renewals.extend(params["Entries"])
        renewed.set()

    clients.sqs.meta.events.register("provide-client-params.sqs.ChangeMessageVisibilityBatch", renew)
    monkeypatch.setattr(Held, "_pause_seconds", lambda _self, _deadline: 0.01)  # not a third of the visibility

    def function(event: Any, _context: Any) -> None:
        (record,) = event["Records"]
        assert renewed.wait(TIMEOUT_SECONDS)
        assert renewals[0] == {"Id": "0", "ReceiptHandle": record["receiptHandle"], "VisibilityTimeout": 30}
        assert left_in(queue, clients) == ["hidden"]

    queue = source(clients, function, visibility_seconds=30)
    send(clients, queue, "long")
    poll_once(queue, clients.sqs, wait_seconds=0)
    assert left_in(queue, clients) == []


def test_messages_are_renewed_three_times_within_their_visibility(clients: Clients) -> None:
    queue = replace(source(clients, Recorder()), visibility_seconds=30)
    held = Held([], queue, clients.sqs, lambda: None)
    assert held._pause_seconds(time.monotonic() + 3600) == 10
    assert held._pause_seconds(time.monotonic() - 1) == 0


def test_a_function_that_outlives_its_timeout_ends_the_worker(clients: Clients) -> None:
    ended = threading.Event()

    def function(_event: Any, _context: Any) -> None:
        assert ended.wait(TIMEOUT_SECONDS)

    queue = source(clients, function)
    impatient = replace(queue, settings=replace(queue.settings, timeout_seconds=0))
    send(clients, queue, "endless")
    handle(
        receive(queue, clients.sqs, wait_seconds=0), impatient, clients.sqs, prefix="slidehook", on_timeout=ended.set
    )
    assert ended.is_set()


def test_batches_are_as_large_as_the_definition_says(clients: Clients) -> None:
    arrivals, chunks = Recorder(), Recorder()
    arrivals_queue = source(clients, arrivals, handler="arrivals")
    chunks_queue = source(clients, chunks, handler="chunks")
    send(clients, arrivals_queue, *map(str, range(BATCH)))
    send(clients, chunks_queue, *map(str, range(BATCH)))
    assert poll_once(arrivals_queue, clients.sqs, wait_seconds=0) == BATCH
    assert poll_once(chunks_queue, clients.sqs, wait_seconds=0) == 1


def test_an_empty_queue_calls_nobody(clients: Clients) -> None:
    function = Recorder()
    assert poll_once(source(clients, function), clients.sqs, wait_seconds=0) == 0
    assert function.events == []


def test_the_minute_gets_the_event_that_eventbridge_sends() -> None:
    event = scheduled_event(
        region="eu-west-1", account="1234", rule="slidehook-minute", now=datetime(2024, 2, 29, 12, 30, 5, tzinfo=UTC)
    )
    assert re.fullmatch(r"[0-9a-f-]{36}", event.pop("id"))
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "1234",
        "time": "2024-02-29T12:30:05Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:1234:rule/slidehook-minute"],
        "detail": {},
    }


def test_every_function_that_reads_a_queue_is_pumped() -> None:
    settings = {each.handler: (each.queue, each.batch_size) for each in template.load().queue_functions()}
    assert settings == {
        "arrivals": ("ArrivalsQueue", 10),
        "jobs": ("JobsQueue", 1),
        "chunks": ("ChunksQueue", 1),
        "dead_letters": ("DeadLettersQueue", 10),
    }
