"""The queues between the steps: what every implementation of ports.Queue promises, and what is particular to SQS."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.adapters.memory import MemoryQueue
from chalicelib.adapters.sqs import JobQueues, QueueRefusedError, parse_message
from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.plan.messages import Message
from chalicelib.ports.queue import Queue

JOB = "ab" * 16
PLAN = Message(step="plan", job=JOB, attempt=1)
FINISH = Message(step="finish", job=JOB, attempt=2)


def tiles(count: int) -> list[Message]:
    return [Message(step="tile", job=JOB, attempt=1, chunk=number) for number in range(count)]


@dataclass(frozen=True)
class SqsBench:
    """SQS with the two queues."""

    client: Any
    queue: JobQueues
    jobs_url: str
    chunks_url: str

    def bodies(self, url: str) -> list[str]:
        """Receive and delete all that waits in a queue."""
        found = []
        while batch := self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in batch:
                found.append(message["Body"])
                self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def received(self) -> list[Message]:
        return [parse_message(body) for url in (self.jobs_url, self.chunks_url) for body in self.bodies(url)]


@pytest.fixture
def sqs(aws: Callable[[str], Any]) -> SqsBench:
    client = aws("sqs")
    jobs_url, chunks_url = (client.create_queue(QueueName=name)["QueueUrl"] for name in ("jobs", "chunks"))
    return SqsBench(client, JobQueues(client, jobs_queue=jobs_url, chunks_queue=chunks_url), jobs_url, chunks_url)


@dataclass(frozen=True)
class Bench:
    queue: Queue
    received: Callable[[], list[Message]]


@pytest.fixture(params=["memory", "sqs"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        memory = MemoryQueue()
        return Bench(memory, lambda: memory.sent)
    found: SqsBench = request.getfixturevalue("sqs")
    return Bench(found.queue, found.received)


def test_a_group_of_its_own_for_each_collection_goes_with_the_message(sqs: SqsBench) -> None:
    urgent, bulk = (Message(step="tile", job=JOB, attempt=1, chunk=0, group=group) for group in ("a" * 24, "b" * 24))
    sqs.queue.send([urgent, bulk, *tiles(1)])
    received = sqs.client.receive_message(
        QueueUrl=sqs.chunks_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
    )["Messages"]
    groups = Counter(message.get("Attributes", {}).get("MessageGroupId") for message in received)
    assert groups == Counter(["a" * 24, "b" * 24, None])


def test_every_message_arrives_as_it_was_sent(bench: Bench) -> None:
    bench.queue.send([PLAN, *tiles(3), FINISH])
    assert Counter(bench.received()) == Counter([PLAN, *tiles(3), FINISH])


def test_more_messages_than_a_batch_holds_all_arrive(bench: Bench) -> None:
    bench.queue.send(tiles(57))
    assert Counter(bench.received()) == Counter(tiles(57))


def test_sending_nothing_sends_nothing(bench: Bench) -> None:
    bench.queue.send([])
    assert bench.received() == []


def test_messages_are_added_to_those_that_wait(bench: Bench) -> None:
    bench.queue.send([PLAN])
    bench.queue.send([PLAN, FINISH])
    assert Counter(bench.received()) == Counter([PLAN, PLAN, FINISH])


# -- SQS --------------------------------------------------------------------------------------------------------------


def test_chunks_go_to_a_queue_of_their_own(sqs: SqsBench) -> None:
    sqs.queue.send([PLAN, *tiles(2), FINISH])
    assert sorted(json.loads(body)["step"] for body in sqs.bodies(sqs.jobs_url)) == ["finish", "plan"]
    assert sorted(json.loads(body)["chunk"] for body in sqs.bodies(sqs.chunks_url)) == [0, 1]


def test_a_message_is_a_small_json_object(sqs: SqsBench) -> None:
    sqs.queue.send([Message(step="tile", job=JOB, attempt=3, chunk=7)])
    (body,) = sqs.bodies(sqs.chunks_url)
    assert json.loads(body) == {"step": "tile", "job": JOB, "attempt": 3, "chunk": 7}


def test_what_is_told_of_an_end_goes_with_the_jobs_and_waits_in_the_queue_if_need_be(sqs: SqsBench) -> None:
    message = Message(step="deliver", job=JOB, attempt=2, delivery="msg_7")
    sqs.queue.send([message, replace(message, attempt=3, delay_seconds=900)])
    assert sqs.received() == [message]
    waiting = sqs.client.get_queue_attributes(QueueUrl=sqs.jobs_url, AttributeNames=["All"])["Attributes"]
    assert waiting["ApproximateNumberOfMessagesDelayed"] == "1"


def _refuse_first_entries(sqs: SqsBench, *, batches: int, sender_fault: bool) -> list[int]:
    """From now on SQS takes all but the first message of a batch, so many times; tells how many each batch had."""
    sizes: list[int] = []
    refused: list[str] = []

    def take_out(params: dict[str, Any], **_: Any) -> dict[str, Any]:
        entries = params["Entries"]
        sizes.append(len(entries))
        if len(sizes) > batches:
            return params
        refused.append(entries[0]["Id"])
        # SQS takes no empty batch: of a single message only the answer is changed.
        return {**params, "Entries": entries[1:] or entries}

    def say_so(parsed: dict[str, Any], **_: Any) -> None:
        if refused:
            failed = refused.pop()
            parsed["Successful"] = [entry for entry in parsed.get("Successful", []) if entry["Id"] != failed]
            parsed["Failed"] = [
                {"Id": failed, "Code": "InternalError", "Message": "not now", "SenderFault": sender_fault}
            ]

    sqs.client.meta.events.register("provide-client-params.sqs.SendMessageBatch", take_out)
    sqs.client.meta.events.register("after-call.sqs.SendMessageBatch", say_so)
    return sizes


def test_what_sqs_refused_of_a_batch_is_sent_again_and_nothing_else(sqs: SqsBench) -> None:
    sizes = _refuse_first_entries(sqs, batches=1, sender_fault=False)
    sqs.queue.send(tiles(5))
    assert Counter(sqs.received()) == Counter(tiles(5))
    assert sizes == [5, 1]


def test_a_queue_that_keeps_refusing_asks_for_patience(sqs: SqsBench) -> None:
    sizes = _refuse_first_entries(sqs, batches=1000, sender_fault=False)
    with pytest.raises(AwsUnavailableError, match="1 messages"):
        sqs.queue.send(tiles(3))
    assert sizes == [3, 1, 1, 1]


def test_a_message_that_sqs_calls_wrong_is_not_sent_again(sqs: SqsBench) -> None:
    sizes = _refuse_first_entries(sqs, batches=1000, sender_fault=True)
    with pytest.raises(QueueRefusedError, match="not now"):
        sqs.queue.send(tiles(3))
    assert sizes == [3]


def test_a_queue_that_is_away_asks_for_patience(sqs: SqsBench) -> None:
    def away(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="http://queue")

    sqs.client.meta.events.register("before-send.sqs", away)
    with pytest.raises(AwsUnavailableError, match="1 messages"):
        sqs.queue.send([PLAN])


@pytest.mark.parametrize("named_by", ["url", "arn"])
def test_a_received_message_can_be_hidden_and_shown(sqs: SqsBench, named_by: str) -> None:
    attributes = sqs.client.get_queue_attributes(QueueUrl=sqs.jobs_url, AttributeNames=["QueueArn"])["Attributes"]
    name = {"url": sqs.jobs_url, "arn": attributes["QueueArn"]}[named_by]
    sqs.queue.send([PLAN])
    (message,) = sqs.client.receive_message(QueueUrl=sqs.jobs_url, VisibilityTimeout=600)["Messages"]
    sqs.queue.delay(name, message["ReceiptHandle"], 300)
    assert sqs.bodies(sqs.jobs_url) == []
    sqs.queue.delay(name, message["ReceiptHandle"], 0)
    assert len(sqs.bodies(sqs.jobs_url)) == 1


def test_message_of_an_earlier_version_is_parsed() -> None:
    body = '{"do": "tile", "job": "a", "attempt": 3, "chunk": 7}'
    assert parse_message(body) == Message(step="tile", job="a", attempt=3, chunk=7)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"Event": "s3:TestEvent"}', "unknown step None"),
        ('{"step": "sing", "job": "a", "attempt": 1}', "unknown step 'sing'"),
        ('{"step": ["plan"], "job": "a", "attempt": 1}', "unknown step"),
        ('{"step": "plan", "attempt": 1}', "no job id"),
        ('{"step": "plan", "job": "", "attempt": 1}', "no job id"),
        ('{"step": "plan", "job": 5, "attempt": 1}', "no job id"),
        ('{"step": "plan", "job": "a"}', "not a number from 1"),
        ('{"step": "plan", "job": "a", "attempt": 0}', "not a number from 1"),
        ('{"step": "plan", "job": "a", "attempt": true}', "not a number from 1"),
        ('{"step": "plan", "job": "a", "attempt": "1"}', "not a number from 1"),
        ('{"step": "tile", "job": "a", "attempt": 1}', "chunk None"),
        ('{"step": "tile", "job": "a", "attempt": 1, "chunk": -1}', "chunk -1"),
        ('{"step": "finish", "job": "a", "attempt": 1, "chunk": 3}', "chunk 3"),
        ('{"step": "deliver", "job": "a", "attempt": 1}', "delivery None"),
        ('{"step": "deliver", "job": "a", "attempt": 1, "delivery": ""}', "delivery ''"),
        ('{"step": "deliver", "job": "a", "attempt": 1, "delivery": 7}', "delivery 7"),
        ('{"step": "plan", "job": "a", "attempt": 1, "delivery": "msg_7"}', "delivery 'msg_7'"),
    ],
)
def test_what_is_no_message_is_refused_with_a_sentence(body: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_message(body)
