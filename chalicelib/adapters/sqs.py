"""The SQS queues of the messages between steps."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.plan.messages import Message

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

MAX_BATCH_MESSAGES = 10  # the limit of SQS
TRIES = 4


class QueueRefusedError(RuntimeError):
    """SQS rejected a message as invalid. This is a bug or a missing permission, not a user error."""


class JobQueues:
    """ports.Queue over two SQS queues. Messages of the step `tile` go to the chunks queue, all others to the jobs
    queue, because chunks have their own workers."""

    def __init__(self, client: "SQSClient", *, jobs_queue: str, chunks_queue: str) -> None:
        self._client = client
        self._jobs_queue = jobs_queue
        self._chunks_queue = chunks_queue

    def send(self, messages: Sequence[Message]) -> None:
        chunks = [message for message in messages if message.step == "tile"]
        others = [message for message in messages if message.step != "tile"]
        for queue_url, group in ((self._jobs_queue, others), (self._chunks_queue, chunks)):
            for first in range(0, len(group), MAX_BATCH_MESSAGES):
                self._send_batch(queue_url, group[first : first + MAX_BATCH_MESSAGES])

    def _send_batch(self, queue_url: str, messages: Sequence[Message]) -> None:
        """Send up to ten messages. SQS can reject single messages of a batch; these are sent again."""
        waiting = {str(number): _entry(number, message) for number, message in enumerate(messages)}
        for _ in range(TRIES):
            entries: Any = list(waiting.values())
            with translate_transient_errors(f"{len(entries)} messages to {queue_url}"):
                response = self._client.send_message_batch(QueueUrl=queue_url, Entries=entries)
            failed = response.get("Failed", [])
            if not failed:
                return
            for failure in failed:
                if failure["SenderFault"]:
                    raise QueueRefusedError(f"{queue_url}: {failure['Code']}: {failure.get('Message', 'no reason')}")
            waiting = {failure["Id"]: waiting[failure["Id"]] for failure in failed}
        raise AwsUnavailableError(f"SQS did not accept {len(waiting)} messages for {queue_url} in {TRIES} tries")

    def delay(self, queue_url: str, receipt_handle: str, seconds: int) -> None:
        """Set the visibility timeout of a received message to `seconds` from now.

        `queue_url` can be an ARN, because Lambda events contain ARNs. All queues are in one account and region.
        """
        if queue_url.startswith("arn:"):
            queue_url = f"{self._jobs_queue.rsplit('/', 1)[0]}/{queue_url.rsplit(':', 1)[-1]}"
        with translate_transient_errors(f"a message of {queue_url}"):
            self._client.change_message_visibility(
                QueueUrl=queue_url,
                ReceiptHandle=receipt_handle,
                VisibilityTimeout=max(0, seconds),
            )


def _entry(number: int, message: Message) -> dict[str, Any]:
    # On a standard queue, a message group enables fair queues: messages of quiet groups are received before those of a
    # busy group (SQS Developer Guide, "Amazon SQS fair queues").
    group = {"MessageGroupId": message.group} if message.group else {}
    delay: dict[str, Any] = {"DelaySeconds": message.delay_seconds} if message.delay_seconds else {}
    return {"Id": str(number), "MessageBody": _body(message), **group, **delay}


def _body(message: Message) -> str:
    fields: dict[str, object] = {
        "step": message.step,
        "job": message.job,
        "attempt": message.attempt,
        "chunk": message.chunk,
    }
    if message.delivery is not None:
        fields["delivery"] = message.delivery
    return json.dumps(fields, separators=(",", ":"))


def parse_message(body: str) -> Message:
    """Return the message of a body that `JobQueues` wrote. Raises ValueError for any other body."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise ValueError(f"the message is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError("the message is not a JSON object")  # noqa: TRY004 - callers expect ValueError
    job, attempt, chunk, delivery = (fields.get(name) for name in ("job", "attempt", "chunk", "delivery"))
    step = fields.get("step", fields.get("do"))  # `do`: a message of an earlier version
    if step not in ("plan", "tile", "finish", "sync", "deliver"):
        raise ValueError(f"unknown step {step!r}")
    if not isinstance(job, str) or not job:
        raise ValueError("the message has no job id")
    if not _is_count(attempt, least=1):
        raise ValueError(f"the attempt is not a number from 1: {attempt!r}")
    if not (_is_count(chunk, least=0) if step == "tile" else chunk is None):
        raise ValueError(f"step '{step}' with chunk {chunk!r}")
    if not (isinstance(delivery, str) and delivery if step == "deliver" else delivery is None):
        raise ValueError(f"step '{step}' with delivery {delivery!r}")
    return Message(step=step, job=job, attempt=attempt, chunk=chunk, delivery=delivery)


def _is_count(value: object, *, least: int) -> TypeGuard[int]:
    return type(value) is int and value >= least
