"""What a thread is at just now: who asked for it, and for which job, attempt and chunk.

Entry points set it; the log's lines and the lines of a job carry it, so that one id leads from a webhook to the last
tile. Nothing else depends on it: whoever forgets to set it loses the id, and no more.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """`asked_by` is the id of the request, arrival or sync, `door` where it came in."""

    asked_by: str | None = None
    door: str | None = None
    job: str | None = None
    attempt: int | None = None
    chunk: int | None = None


_NOTHING = Errand()
_CURRENT: ContextVar[Errand] = ContextVar("errand", default=_NOTHING)


def current() -> Errand:
    return _CURRENT.get()


@contextmanager
def errand(
    asked_by: str | None, door: str, *, job: str | None = None, attempt: int | None = None, chunk: int | None = None
) -> Iterator[None]:
    """Let everything within be done on this errand."""
    token = _CURRENT.set(Errand(asked_by=asked_by, door=door, job=job, attempt=attempt, chunk=chunk))
    try:
        yield
    finally:
        _CURRENT.reset(token)


class JsonLines(logging.Formatter):
    """A line of the log as JSON, with the errand it belongs to. `extra={"event": {...}}` are more fields of it."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        now, told = current(), getattr(record, "event", {})
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "worker": self._worker,
            **{field.name: getattr(now, field.name) for field in fields(now)},
            **told,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value not in (None, "")}, default=str)


def write_json(log: logging.Logger, *, worker: str) -> None:
    """Let the handlers of a logger write JSON."""
    for handler in log.handlers:
        handler.setFormatter(JsonLines(worker))
