"""A cache whose entries expire: the thousandth tile of a slide does not read the slide again."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

MOST_ANSWERS = 1024

Answer = TypeVar("Answer")


class TtlCache(Generic[Answer]):
    """The last answers to some questions, each with the instant it was asked for. What is not there is not kept: it may
    come the next moment. Threads may share it; at worst two of them ask."""

    def __init__(self, seconds_now: Callable[[], float] = time.monotonic) -> None:
        self._seconds_now = seconds_now
        self._answers: dict[Hashable, tuple[float, Answer]] = {}

    def get(self, question: Hashable, ask: Callable[[], Answer | None], *, most_seconds_old: float) -> Answer | None:
        """Return a kept answer that is younger than `most_seconds_old`, else what `ask` says."""
        now = self._seconds_now()
        asked_at, kept = self._answers.get(question, (now, None))
        if kept is not None and now - asked_at < most_seconds_old:
            return kept
        answer = ask()
        if answer is None:
            self._answers.pop(question, None)
            return None
        if len(self._answers) >= MOST_ANSWERS:
            self._answers.clear()
        self._answers[question] = now, answer
        return answer
