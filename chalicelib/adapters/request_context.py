"""The request context of the current thread: the request id, and the job, attempt and chunk that it processes.

Entry points set it. Log lines and job events contain it, so that a request id can be traced from a webhook to the last
tile. Other code does not use it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """`request_id` is the id of the request, S3 event or sync, `entrypoint` the handler that received it."""

    request_id: str | None = None
    entrypoint: str | None = None
    job: str | None = None
    attempt: int | None = None
    chunk: int | None = None


_EMPTY = RequestContext()
_CURRENT: ContextVar[RequestContext] = ContextVar("request_context", default=_EMPTY)


def current() -> RequestContext:
    """Return the request context of the current thread, an empty one outside of `request_context`."""
    return _CURRENT.get()


@contextmanager
def request_context(
    request_id: str | None,
    entrypoint: str,
    *,
    job: str | None = None,
    attempt: int | None = None,
    chunk: int | None = None,
) -> Iterator[None]:
    """Set the request context for the body of a `with` statement."""
    token = _CURRENT.set(
        RequestContext(request_id=request_id, entrypoint=entrypoint, job=job, attempt=attempt, chunk=chunk)
    )
    try:
        yield
    finally:
        _CURRENT.reset(token)


class JsonLines(LambdaPowertoolsFormatter):
    """Formats log records as JSON, with the fields of Powertools, the request context and `extra`."""

    def __init__(self, worker: str) -> None:
        super().__init__(service="slidehook", worker=worker or None, utc=True, use_rfc3339=True)

    def format(self, record: logging.LogRecord) -> str:
        # The formatter writes the attributes of a record as fields.
        for field in fields(RequestContext):
            value = getattr(current(), field.name)
            if value is not None and not hasattr(record, field.name):
                setattr(record, field.name, value)
        return super().format(record)


def write_json(log: logging.Logger, *, worker: str) -> None:
    """Set the JSON formatter on all handlers of a logger. `worker` becomes a field of each line."""
    for handler in log.handlers:
        handler.setFormatter(JsonLines(worker))
