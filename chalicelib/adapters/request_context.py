"""What a thread is at just now: who asked for it, and for which job, attempt and chunk.

Entry points set it; the log's lines and the lines of a job carry it, so that one id leads from a webhook to the last
tile. Nothing else depends on it: whoever forgets to set it loses the id, and no more.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """`asked_by` is the id of the request, arrival or sync, `door` where it came in."""

    asked_by: str | None = None
    door: str | None = None
    job: str | None = None
    attempt: int | None = None
    chunk: int | None = None


_NOTHING = RequestContext()
_CURRENT: ContextVar[RequestContext] = ContextVar("errand", default=_NOTHING)


def current() -> RequestContext:
    return _CURRENT.get()


@contextmanager
def errand(
    asked_by: str | None, door: str, *, job: str | None = None, attempt: int | None = None, chunk: int | None = None
) -> Iterator[None]:
    """Let everything within be done on this errand."""
    token = _CURRENT.set(RequestContext(asked_by=asked_by, door=door, job=job, attempt=attempt, chunk=chunk))
    try:
        yield
    finally:
        _CURRENT.reset(token)


class JsonLines(LambdaPowertoolsFormatter):
    """A line of the log as JSON, in Powertools' fields, with the errand it belongs to, and what `extra` adds."""

    def __init__(self, worker: str) -> None:
        super().__init__(service="slidehook", worker=worker or None, utc=True, use_rfc3339=True)

    def format(self, record: logging.LogRecord) -> str:
        # The attributes of a record become fields of its line.
        for field in fields(RequestContext):
            value = getattr(current(), field.name)
            if value is not None and not hasattr(record, field.name):
                setattr(record, field.name, value)
        return super().format(record)


def write_json(log: logging.Logger, *, worker: str) -> None:
    """Let the handlers of a logger write JSON."""
    for handler in log.handlers:
        handler.setFormatter(JsonLines(worker))
