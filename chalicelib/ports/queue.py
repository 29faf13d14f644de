"""Messages between the steps."""

from collections.abc import Sequence
from typing import Protocol

from chalicelib.core.plan.messages import Message


class Queue(Protocol):
    def send(self, messages: Sequence[Message]) -> None:
        """Send all messages, each at least once; on an error some may have been sent."""
