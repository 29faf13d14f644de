"""One worker: what Lambda's event sources do, for every queue and for the minute timer.

    python -m infra.local.pump --number 1

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
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import template as templates
from infra.deploy.template import QueueFunction, Resolver, TimedFunction
from infra.local.barrier import Barriers
from infra.local.lambda_events import Context, EventSource, Function, scheduled_event, sqs_event, succeeded
from infra.local.visibility import Held

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


log = logging.getLogger("pump")

FIRST_MINUTE_AFTER_SECONDS = 1.0
STOP_WITHIN_SECONDS = 3.0
_PAUSE_AFTER_ERROR_SECONDS = 1.0
_TIMED_OUT_EXIT_CODE = 70


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
        """Block until the worker is stopped, then wait shortly for running functions."""
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
    parser = argparse.ArgumentParser(prog="python -m infra.local.pump")
    parser.add_argument("--number", type=int, default=1, help="worker 1 fires the minute timer")
    parser.add_argument("--prefix", default="slidehook", help="what the queues' names begin with")
    parser.add_argument("--barriers", type=Path, default=Path(".local/barriers"), help="folder of infra.local.barrier")
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
