"""The queue as a list."""

from collections.abc import Sequence

from chalicelib.core.plan.messages import Message


class MemoryQueue:
    """A queue that keeps what was sent, in order. Nobody receives from it but by looking at `sent`."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        self.sent += messages
