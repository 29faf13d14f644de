"""The queues in memory."""

from collections.abc import Sequence

from chalicelib.core.plan.messages import Message


class MemoryQueue:
    """ports.Queue as a list. `sent` contains all messages in order; tests take them from it."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        self.sent += messages
