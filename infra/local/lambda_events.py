"""Events and contexts as Lambda passes them to a handler."""

from __future__ import annotations

import base64
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from infra.deploy.template import QueueFunction


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


Function = Callable[[dict[str, Any], Any], Any]
