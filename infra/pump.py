"""One worker: what Lambda's event sources do, for every queue and for the minute timer.

    python -m infra.pump --number 1

A thread a queue receives messages by long polling, builds the event that Lambda would build,
calls the function of app.py, and deletes what succeeded. So a function runs one invocation at a
time in each worker, like a Lambda container, while functions of different queues run side by side.

What AWS does and this does too: an exception, or an unknown id among `batchItemFailures`, fails
the whole batch; a failed message is left to its visibility timeout; after maxReceiveCount the
queue itself hands it to the dead letters; a function that outlives its timeout is killed, here by
ending the worker, which the launcher starts again.

Two things differ. On AWS visibility is six times the function's timeout, which would keep the
message of a killed worker hidden for minutes. Locally it is short, and the worker renews it for
as long as the function runs.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import functools
import importlib
import logging
import math
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra import template as templates
from infra.barrier import Barriers
from infra.template import QueueFunction, Resolver, TimedFunction

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

Function = Callable[[dict[str, Any], Any], Any]

log = logging.getLogger("pump")

FIRST_MINUTE_AFTER_SECONDS = 1.0
STOP_WITHIN_SECONDS = 3.0
_PAUSE_AFTER_ERROR_SECONDS = 1.0
_TIMED_OUT_EXIT_CODE = 70


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Lambda's context object; the remaining time counts down from `timeout_seconds`."""

    function_name: str
    invoked_function_arn: str
    memory_limit_in_mb: str
    timeout_seconds: float
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started_at: float = field(default_factory=time.monotonic)

    @property
    def log_group_name(self) -> str:
        """The group that CloudWatch would log to."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """One stream a worker."""
        return f"worker-{os.getpid()}"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function would be killed, never below 0."""
        left_seconds = self.timeout_seconds - (time.monotonic() - self.started_at)
        return max(0, int(left_seconds * 1000))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """A queue and the function that reads it."""

    function: Function
    settings: QueueFunction
    queue_url: str
    queue_arn: str
    visibility_seconds: int

    @property
    def region(self) -> str:
        """The queue's region, as its ARN says."""
        return self.queue_arn.split(":")[3]

    @property
    def account(self) -> str:
        """The queue's account, as its ARN says."""
        return self.queue_arn.split(":")[4]


def sqs_event(messages: Sequence[Mapping[str, Any]], source: EventSource) -> dict[str, Any]:
    """Return the event that Lambda makes of received messages."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {
                    name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": source.queue_arn,
                "awsRegion": source.region,
            }
            for message in messages
        ]
    }


def _message_attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode("ascii")
    return attribute


def scheduled_event(*, region: str, account: str, rule: str, now: datetime) -> dict[str, Any]:
    """Return the event that EventBridge sends when a schedule is due."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": account,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [f"arn:aws:events:{region}:{account}:rule/{rule}"],
        "detail": {},
    }


def succeeded(answer: Any, message_ids: Sequence[str]) -> list[str]:
    """Return the ids of the messages that the function's answer declares done.

    Follows ReportBatchItemFailures: nothing, null or an empty list is complete success; an entry
    that names no message of the batch, or no id at all, makes the whole batch a failure.
    """
    if answer is None or answer == {}:
        return list(message_ids)
    if not isinstance(answer, Mapping):
        return []
    failures = answer.get("batchItemFailures")
    if not failures:
        return list(message_ids)
    if not isinstance(failures, list) or not all(isinstance(entry, Mapping) for entry in failures):
        return []
    failed = {entry.get("itemIdentifier") for entry in failures}
    if not failed <= set(message_ids):
        return []
    return [message_id for message_id in message_ids if message_id not in failed]


class Held:
    """Keeps messages hidden while their function runs, and ends the worker when time is up."""

    def __init__(
        self,
        messages: Sequence[Mapping[str, Any]],
        source: EventSource,
        sqs: SQSClient,
        on_timeout: Callable[[], None],
        *,
        timeout_seconds: float | None = None,
    ) -> None:
        self._messages = messages
        self._source = source
        self._sqs = sqs
        self._on_timeout = on_timeout
        self._timeout_seconds = source.settings.timeout_seconds if timeout_seconds is None else timeout_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _renew(self) -> None:
        deadline = time.monotonic() + self._timeout_seconds
        while not self._over.wait(self._pause_seconds(deadline)):
            if time.monotonic() >= deadline:
                self._on_timeout()
                return
            try:
                self._hide_again()
            except (BotoCoreError, ClientError) as error:
                log.warning("could not renew messages of %s: %s", self._source.queue_url, error)

    def _pause_seconds(self, deadline: float) -> float:
        left_seconds = max(0.0, deadline - time.monotonic())
        return min(left_seconds, self._source.visibility_seconds / 3)

    def _hide_again(self) -> None:
        self._sqs.change_message_visibility_batch(
            QueueUrl=self._source.queue_url,
            Entries=[
                {
                    "Id": str(number),
                    "ReceiptHandle": message["ReceiptHandle"],
                    "VisibilityTimeout": self._source.visibility_seconds,
                }
                for number, message in enumerate(self._messages)
            ],
        )


def poll_once(
    source: EventSource, sqs: SQSClient, *, prefix: str = "slidehook", wait_seconds: int | None = None
) -> int:
    """Receive one batch, run the function on it, delete what succeeded. Return the batch's size."""
    messages = receive(source, sqs, wait_seconds=wait_seconds)
    if messages:
        handle(messages, source, sqs, prefix=prefix)
    return len(messages)


def receive(source: EventSource, sqs: SQSClient, *, wait_seconds: int | None = None) -> Sequence[Any]:
    """Return one batch of messages. Without `wait_seconds` the queue's own setting for long polling holds."""
    waiting: Any = {} if wait_seconds is None else {"WaitTimeSeconds": wait_seconds}
    return sqs.receive_message(
        QueueUrl=source.queue_url,
        MaxNumberOfMessages=source.settings.batch_size,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
        **waiting,
    ).get("Messages", [])


def handle(
    messages: Sequence[Any],
    source: EventSource,
    sqs: SQSClient,
    *,
    prefix: str,
    on_timeout: Callable[[], None] | None = None,
) -> None:
    """Run the function on one batch and delete what succeeded."""
    with Held(messages, source, sqs, on_timeout or _end_worker):
        done = _invoke(source, messages, prefix)
    handles = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
    if done:
        sqs.delete_message_batch(
            QueueUrl=source.queue_url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": handles[message_id]} for number, message_id in enumerate(done)
            ],
        )


def _invoke(source: EventSource, messages: Sequence[Any], prefix: str) -> list[str]:
    """Run the function and return the ids of the messages that are done with."""
    handler = source.settings.handler
    context = _context(source.settings, prefix=prefix, region=source.region, account=source.account)
    try:
        answer = source.function(sqs_event(messages, source), context)
    except Exception:
        # The event source survives whatever its function does; the messages come back.
        log.exception("%s failed on %d message(s)", handler, len(messages))
        return []
    done = succeeded(answer, [message["MessageId"] for message in messages])
    seconds = time.monotonic() - context.started_at
    log.info("%s: %d of %d message(s) in %.3f s", handler, len(done), len(messages), seconds)
    return done


def _context(settings: QueueFunction | TimedFunction, *, prefix: str, region: str, account: str) -> Context:
    name = f"{prefix}-{settings.handler}"
    return Context(
        function_name=name,
        invoked_function_arn=f"arn:aws:lambda:{region}:{account}:function:{name}",
        memory_limit_in_mb=str(settings.memory_mb),
        timeout_seconds=settings.timeout_seconds,
    )


def _end_worker() -> None:
    log.error("a function ran longer than its timeout; this worker ends, its messages come back")
    logging.shutdown()
    os._exit(_TIMED_OUT_EXIT_CODE)


class Worker:
    """All threads of one worker process."""

    def __init__(self, sources: Sequence[EventSource], sqs: SQSClient, prefix: str, barriers: Barriers) -> None:
        self._sources = sources
        self._sqs = sqs
        self._prefix = prefix
        self._barriers = barriers
        self._stopping = threading.Event()
        self._at_work = threading.Condition()
        self._batches_in_work = 0

    def start(self, minute: Function | None, settings: TimedFunction) -> None:
        """Start polling, and the minute timer if this worker has it."""
        for source in self._sources:
            self._spawn(source.settings.handler, functools.partial(self._poll, source))
        if minute is not None:
            self._spawn("minute", lambda: self._fire_each_minute(minute, settings))

    def wait(self) -> None:
        """Block until told to stop, then give running functions a moment to end."""
        self._stopping.wait()
        with self._at_work:
            self._at_work.wait_for(lambda: self._batches_in_work == 0, STOP_WITHIN_SECONDS)

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Take no further message."""
        self._stopping.set()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        threading.Thread(target=target, name=name, daemon=True).start()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._at_work:
            self._batches_in_work += 1
        try:
            yield
        finally:
            with self._at_work:
                self._batches_in_work -= 1
                self._at_work.notify_all()

    def _poll(self, source: EventSource) -> None:
        while not self._stopping.is_set():
            try:
                messages = receive(source, self._sqs)
                if messages and not self._stopping.is_set() and self._passes(messages, source):
                    with self._counted():
                        handle(messages, source, self._sqs, prefix=self._prefix)
            except (BotoCoreError, ClientError) as error:
                log.warning("%s: %s", source.queue_url, error)
                self._stopping.wait(_PAUSE_AFTER_ERROR_SECONDS)

    def _passes(self, messages: Sequence[Any], source: EventSource) -> bool:
        """Wait at the barriers before these messages. Return whether the worker goes on with them."""
        bodies = [message["Body"] for message in messages]
        if not self._barriers.hold(bodies):
            return True
        with Held(messages, source, self._sqs, _end_worker, timeout_seconds=math.inf):
            return self._barriers.wait(bodies, self._stopping)

    def _fire_each_minute(self, minute: Function, settings: TimedFunction) -> None:
        region, account = self._sources[0].region, self._sources[0].account
        pause_seconds = FIRST_MINUTE_AFTER_SECONDS
        while not self._stopping.wait(pause_seconds):
            event = scheduled_event(
                region=region,
                account=account,
                rule=f"{self._prefix}-{settings.handler}",
                now=datetime.now(UTC),
            )
            context = _context(settings, prefix=self._prefix, region=region, account=account)
            try:
                minute(event, context)
            except Exception:
                log.exception("minute failed; it runs again in a minute")
            pause_seconds = 60.0


def event_sources(module: Any, sqs: SQSClient, prefix: str) -> list[EventSource]:
    """Return every event source of resources.yaml, bound to `module`'s functions."""
    template = templates.load()
    names = Resolver(template, {"AWS::StackName": prefix})
    sources = []
    for settings in template.queue_functions():
        name = names.resolve(template.resources[settings.queue]["Properties"]["QueueName"])
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "VisibilityTimeout"])[
            "Attributes"
        ]
        sources.append(
            EventSource(
                function=getattr(module, settings.handler),
                settings=settings,
                queue_url=url,
                queue_arn=attributes["QueueArn"],
                visibility_seconds=int(attributes["VisibilityTimeout"]),
            )
        )
    return sources


def main(arguments: list[str] | None = None) -> int:
    """Run one worker until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m infra.pump")
    parser.add_argument("--number", type=int, default=1, help="worker 1 fires the minute timer")
    parser.add_argument("--prefix", default="slidehook", help="what the queues' names begin with")
    parser.add_argument("--barriers", type=Path, default=Path(".local/barriers"), help="folder of infra.barrier")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    module = importlib.import_module("app")
    # A long poll takes 20 s to answer; botocore's own retries would hide that the endpoint went.
    config = Config(read_timeout=30, retries={"total_max_attempts": 2}, max_pool_connections=16)
    sqs: SQSClient = boto3.client("sqs", config=config)
    worker = Worker(event_sources(module, sqs, options.prefix), sqs, options.prefix, Barriers(options.barriers))
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, worker.stop)
    settings = templates.load().timed_function("Minute")
    worker.start(module.minute if options.number == 1 else None, settings)
    log.info("worker %d (pid %d) takes messages", options.number, os.getpid())
    worker.wait()
    logging.shutdown()
    # Not sys.exit: that would wait for threads which a function may have left running.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
