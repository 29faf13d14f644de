"""Runs steps for queue messages and the minute timer.

Exceptions are handled for each record, so that a failing record does not repeat the others of its batch.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.adapters.request_context import request_context
from chalicelib.adapters.sqs import parse_message
from chalicelib.binding import bind
from chalicelib.core.errors import AwsUnavailableError, SlidehookError, SourceChangedError, TransientError
from chalicelib.core.jobs.backoff import retry_after_seconds
from chalicelib.core.jobs.model import Job, Problem, problem
from chalicelib.core.jobs.sync import Sync
from chalicelib.core.plan.messages import Message
from chalicelib.core.plan.next_step import is_pending, step_of
from chalicelib.core.web.s3_notifications import arrivals
from chalicelib.entrypoints.callbacks import notify
from chalicelib.ports.clock import Clock
from chalicelib.services import Services
from chalicelib.steps.cleanup import clean_up, due_for_cleanup, end_with_error
from chalicelib.steps.rescue import rescue, retries_exhausted, silent_jobs
from chalicelib.steps.tile import tile

Record = Mapping[str, Any]
Failures = dict[str, list[dict[str, str]]]

logger = logging.getLogger("slidehook")

SYNCS_PER_MINUTE = 5
# Below this remaining time the timer leaves the rest to the next minute.
MINUTE_RESERVE_SECONDS = 20.0


def on_arrivals(event: Mapping[str, Any], services: Services) -> Failures:
    """Submit the objects that S3 reports as created."""
    return _each(event, lambda record: _submit_arrivals(record, services), services)


def on_work(event: Mapping[str, Any], context: Any, services: Services) -> Failures:
    """Run the steps of messages from the jobs and chunks queues."""
    clock = services.clock_until(context.get_remaining_time_in_millis)
    return _each(event, lambda record: _work(record, clock, services), services)


def on_dead_letters(event: Mapping[str, Any], services: Services) -> Failures:
    """Fail the jobs whose messages were received too often. S3 events are submitted again."""
    return _each(event, lambda record: _handle_dead_letter(record, services), services)


def on_minute(services: Services, context: Any = None) -> None:
    """Rescue silent jobs, clean up, send pending callbacks, and continue syncs while time remains."""
    clock = services.clock_until(context.get_remaining_time_in_millis) if context is not None else services.clock
    for job in bind(silent_jobs, services, clock=clock)():
        _run_for_job(job, bind(rescue, services, clock=clock), services)
    for job in bind(due_for_cleanup, services, clock=clock)():
        _run_for_job(job, bind(clean_up, services, clock=clock), services)
    _send_pending_callbacks(clock, services)
    _begin_scheduled_sync(services)
    for sync in services.syncs.latest(live=True, limit=SYNCS_PER_MINUTE):
        _continue_sync(sync, clock, services)


def _send_pending_callbacks(clock: Clock, services: Services) -> None:
    """Send the callbacks of jobs whose worker died first, and repeat deliveries whose message was lost."""
    if not services.settings.callback_secrets:
        return
    from chalicelib.steps.deliver import due_deliveries, late_notifications

    services.queue.send(bind(due_deliveries, services, clock=clock)())
    for notification in bind(late_notifications, services, clock=clock)():
        if clock.remaining_seconds() > MINUTE_RESERVE_SECONDS:
            notify(notification.job, notification.attempt, services)


def _begin_scheduled_sync(services: Services) -> None:
    """Start the sync of the incoming bucket if it is due."""
    from chalicelib.steps.sync import begin_scheduled

    settings = services.settings
    if settings.sync_interval_seconds <= 0:
        return
    try:
        bind(begin_scheduled, services)(settings.incoming_bucket, every_seconds=settings.sync_interval_seconds)
    except SlidehookError as error:
        logger.warning("the sync of the incoming bucket did not start: %s", error)


def _continue_sync(sync: Sync, clock: Clock, services: Services) -> None:
    from chalicelib.steps.submit import submit_listed
    from chalicelib.steps.sync import work

    try:
        with request_context(f"sync {sync.id} run {sync.run}", "sync"):
            bind(work, services, clock=clock)(sync, bind(submit_listed, services, clock=clock))
    except TransientError as error:
        logger.warning("sync %s: %s; it continues in the next minute", sync.id, error)
    except Exception:
        logger.exception("sync %s failed in the minute timer", sync.id)


def _run_for_job(job: Job, step: Callable[[Job], None], services: Services) -> None:
    """Run a step of the minute timer. A failing job does not stop the others."""
    with request_context(job.request_id, "minute", job=job.id, attempt=job.attempt):
        try:
            step(job)
        except TransientError as error:
            logger.warning("job %s: %s; it is retried in the next minute", job.id, error)
        except SlidehookError as error:
            bind(end_with_error, services)(job, error)
            notify(job.id, job.attempt, services)
        except Exception:
            logger.exception("job %s failed in the minute timer", job.id)


def _each(event: Mapping[str, Any], handle: Callable[[Record], None], services: Services) -> Failures:
    failures = []
    for record in event["Records"]:
        try:
            handle(record)
        except TransientError as error:
            logger.warning("message %s: %s; it is retried", record["messageId"], error)
            failures.append(record["messageId"])
            _delay_retry(record, services)
        except Exception:
            logger.exception("message %s failed: %.2000s", record["messageId"], record.get("body"))
            failures.append(record["messageId"])
    return {"batchItemFailures": [{"itemIdentifier": failed} for failed in failures]}


def _delay_retry(record: Record, services: Services) -> None:
    """Delay the next receive of a message, longer each time. Without it, the visibility timeout is the delay."""
    try:
        seconds = retry_after_seconds(_receives(record), jitter=services.jitter)
        services.queue.delay(record["eventSourceARN"], record["receiptHandle"], round(seconds))
    except Exception as error:  # noqa: BLE001 - the message is received again without it
        logger.warning("message %s could not be delayed: %s", record["messageId"], error)


def _receives(record: Record) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


def _submit_arrivals(record: Record, services: Services) -> None:
    # Imported on use: a worker that copies chunks starts faster without it.
    from chalicelib.steps.submit import submit_arrival

    for arrival in arrivals(json.loads(record["body"])):
        with request_context(record["messageId"], "arrivals"):
            job = bind(submit_arrival, services)(arrival)
        logger.info("arrival s3://%s/%s: job %s", arrival.bucket, arrival.key, job.id)
        if not job.is_live:
            notify(job.id, job.attempt, services)  # it was refused


def _work(record: Record, clock: Clock, services: Services) -> None:
    message = parse_message(record["body"])
    if message.step == "sync":
        sync = services.syncs.get(message.job)
        if sync is not None and sync.run == message.attempt:
            _continue_sync(sync, clock, services)
        return
    if message.step == "deliver":
        _deliver(message, clock, services)
        return
    job = services.jobs.get(message.job)
    if job is None or job.attempt != message.attempt or not job.is_live:
        logger.info("job %s attempt %s has ended: %s dropped", message.job, message.attempt, message.step)
        return
    with request_context(job.request_id, message.step, job=job.id, attempt=job.attempt, chunk=message.chunk):
        logger.info("job %s attempt %d: %s %s", job.id, job.attempt, message.step, message.chunk)
        _attempt(message, job, clock, services)


def _attempt(message: Message, job: Job, clock: Clock, services: Services) -> None:
    """Run the step of a message. A permanent error ends the job, a transient one is recorded and raised."""
    try:
        _step(message, job, clock, services)
        if message.step == "finish":
            notify(job.id, job.attempt, services)
    except SlidehookError as error:
        if error.permanent:
            if isinstance(error, SourceChangedError) and job.verifies is None:
                _submit_newer_version(job, services)
            logger.warning("job %s ends: %s (%s)", job.id, error, error.code)
            _end(message, error, services)
            return
        services.jobs.record_transient_error(job, problem(error))
        raise
    except Exception as error:
        fault = Problem(code=SlidehookError.code, message=f"{type(error).__name__}: {error}", hint=SlidehookError.hint)
        services.jobs.record_transient_error(job, fault)
        raise


def _step(message: Message, job: Job, clock: Clock, services: Services) -> None:
    step = step_of(message, job)
    if step == "tile":
        bind(tile, services, clock=clock)(job, message.chunk or 0)
    elif step == "plan":
        from chalicelib.steps.plan import plan

        bind(plan, services, clock=clock)(job)
    elif step == "finish_verification":
        from chalicelib.steps.verify import finish_verification

        bind(finish_verification, services, clock=clock)(job)
    else:
        from chalicelib.steps.finish import finish

        bind(finish, services, clock=clock)(job)


def _deliver(message: Message, clock: Clock, services: Services) -> None:
    from chalicelib.steps.deliver import deliver

    if not services.settings.callback_secrets:
        logger.warning("job %s: no secret is configured to sign delivery %s", message.job, message.delivery)
        return
    bind(deliver, services, clock=clock)(message.job, message.delivery or "")


def _submit_newer_version(job: Job, services: Services) -> None:
    """Submit the newer bytes before the job ends. A crash in between repeats both."""
    from chalicelib.steps.submit import submit_newer_version

    newer = bind(submit_newer_version, services)(job)
    if newer is not None and newer.id == job.id:
        raise AwsUnavailableError(f"{job.source} was overwritten, and has its former content again")


def _end(message: Message, error: SlidehookError, services: Services) -> None:
    # Read again: the step has changed the job. A newer attempt has not failed.
    job = services.jobs.get(message.job)
    if job is not None and job.attempt == message.attempt:
        bind(end_with_error, services)(job, error)
        notify(job.id, job.attempt, services)


def _handle_dead_letter(record: Record, services: Services) -> None:
    body = json.loads(record["body"])
    if "Records" in body or "Event" in body:
        _submit_arrivals(record, services)
        return
    message = parse_message(record["body"])
    if message.step in ("sync", "deliver"):
        return  # the minute timer continues it
    job = services.jobs.get(message.job)
    if job is not None and job.attempt == message.attempt and job.is_live and is_pending(message, job):
        with request_context(job.request_id, "dead letters", job=job.id, attempt=job.attempt, chunk=message.chunk):
            bind(end_with_error, services)(job, retries_exhausted(job, message))
            notify(job.id, job.attempt, services)
