"""Messages between the steps."""

from collections.abc import Sequence
from typing import Protocol

from chalicelib.core.plan.messages import Message


class Queue(Protocol):
    """The queues of messages. Delivery is at least once and not ordered."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send all messages, each at least once. After an error, some of them may have been sent."""
