"""Renewal of the visibility timeout while a message is processed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.local.lambda_events import EventSource

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger("pump")


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
