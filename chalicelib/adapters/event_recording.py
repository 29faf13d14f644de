"""A jobs table that records an event after each change.

An event is stored after its change, by one write without retries. A failure of that write does not affect the job. If a
worker stops in between, the event is missing.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, replace

from chalicelib.adapters.request_context import current
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.events import (
    MAX_EVENTS,
    Event,
    chunk_event,
    move_event,
    new_job_event,
    rescue_event,
    transient_error_event,
)
from chalicelib.core.jobs.filter import EVERY_JOB, JobFilter
from chalicelib.core.jobs.model import ChunkRecord, Job, Problem, State, Subscriber
from chalicelib.ports.clock import Clock
from chalicelib.ports.events import Events
from chalicelib.ports.jobs import JobPage, Jobs

logger = logging.getLogger("slidehook")


class EventRecordingJobs:
    """ports.Jobs that wraps another one and records events.

    It also adds the request id to new attempts and the name of the worker to ended attempts.
    """

    def __init__(self, jobs: Jobs, events: Events, *, clock: Clock, worker: str) -> None:
        self._jobs, self._events, self._clock, self._worker = jobs, events, clock, worker

    def create(self, job: Job) -> Job:
        annotated = self._annotated(None, job)
        stored = self._jobs.create(annotated)
        if stored != annotated:
            return stored
        self._record(lambda at: new_job_event(annotated, at=at))
        return job  # the same value: the job is new

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def move(self, was: Job, now: Job) -> bool:
        annotated = self._annotated(was, now)
        if not self._jobs.move(was, annotated):
            return False
        self._record(lambda at: move_event(was, annotated, at=at), trims=now.attempt > was.attempt)
        return True

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        return self._jobs.subscribe(job, subscriber)

    def pending_notifications(self, *, before: float, limit: int) -> tuple[PendingNotification, ...]:
        return self._jobs.pending_notifications(before=before, limit=limit)

    def acknowledge(self, notification: PendingNotification, *, subscribers: int) -> None:
        self._jobs.acknowledge(notification, subscribers=subscribers)

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        after = self._jobs.finish_chunk(job, record)
        if after is not None:
            self._record(lambda at: chunk_event(after, record, at=at))
        return after

    def chunk_records(self, job: Job) -> tuple[ChunkRecord, ...]:
        return self._jobs.chunk_records(job)

    def record_transient_error(self, job: Job, error: Problem) -> None:
        self._jobs.record_transient_error(job, error)
        self._record(lambda at: transient_error_event(job, error, chunk=current().chunk, at=at))

    def count_rescue(self, job: Job, *, now: float) -> bool:
        counted = self._jobs.count_rescue(job, now=now)
        if counted:
            self._record(lambda at: rescue_event(job, at=at), trims=True)
        return counted

    def schedule_cleanup(self, job_id: str, at: float) -> None:
        self._jobs.schedule_cleanup(job_id, at)

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: JobFilter = EVERY_JOB
    ) -> JobPage:
        return self._jobs.list(state=state, session=session, cursor=cursor, limit=limit, only=only)

    def count(self, state: State, *, limit: int) -> int:
        return self._jobs.count(state, limit=limit)

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        return self._jobs.silent(state, before=before, limit=limit, after=after)

    def due_for_cleanup(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        return self._jobs.due_for_cleanup(now=now, limit=limit, after=after)

    def _annotated(self, was: Job | None, now: Job) -> Job:
        """Return the job with the request id of a new attempt and the worker of an ended one."""
        if (was is None or now.attempt > was.attempt) and now.request_id != current().request_id:
            now = replace(now, request_id=current().request_id)
        if (was is None or was.is_live) and now.history and not now.is_live:
            now = replace(now, history=(*now.history[:-1], replace(now.history[-1], worker=self._worker)))
        return now

    def _record(self, build_event: Callable[[float], Event | None], *, trims: bool = False) -> None:
        try:
            event = build_event(self._clock.now())
            if event is None:
                return
            context = current()
            event = replace(event, worker=self._worker, request_id=context.request_id, entrypoint=context.entrypoint)
            if context.job not in (None, event.job):
                event = replace(event, message=f"{event.message or ''} (for job {context.job})".strip())
            if logger.isEnabledFor(logging.INFO):
                logger.info("job %s: %s", event.job, event.event, extra=_fields(event))
            self._events.append(event)
            if trims:
                self._events.trim(event.job, keep=MAX_EVENTS)
        except Exception as error:  # noqa: BLE001 - a failed event must not affect the job
            logger.warning("job event not stored: %r", error)


def _fields(event: Event) -> dict[str, object]:
    """Return the additional fields of a log line, which has its own timestamp and message."""
    found = asdict(event)
    del found["at"]
    found["reason"] = found.pop("message")
    return {name: value for name, value in found.items() if value not in (None, "")}
