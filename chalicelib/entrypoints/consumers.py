"""From queue messages and the minute timer to the steps.

The only place that catches everything: whatever one record does, the others of its batch are not run again for it.
"""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.adapters.request_context import errand
from chalicelib.adapters.sqs import parse_message
from chalicelib.core.errors import AwsUnavailableError, SlidehookError, SourceChangedError, TransientError
from chalicelib.core.jobs.backoff import retry_after_seconds
from chalicelib.core.jobs.model import Job, Problem, problem
from chalicelib.core.jobs.sync import Sync
from chalicelib.core.plan.messages import Message
from chalicelib.core.web.s3_notifications import arrivals
from chalicelib.entrypoints.callbacks import tell
from chalicelib.ports.clock import Clock
from chalicelib.services import Services
from chalicelib.steps.cleanup import due_for_sweep, settle, sweep
from chalicelib.steps.finish import finish
from chalicelib.steps.rescue import given_up, rescue, silent_jobs
from chalicelib.steps.tile import tile

Record = Mapping[str, Any]
Failures = dict[str, list[dict[str, str]]]

logger = logging.getLogger("slidehook")

SYNCS_PER_MINUTE = 5
# What the timer leaves to the next minute.
MINUTE_RESERVE_SECONDS = 20.0


def on_arrivals(event: Mapping[str, Any], system: Services) -> Failures:
    """Submit what S3 says has arrived."""
    return _each(event, lambda record: _submit_arrivals(record, system), system)


def on_work(event: Mapping[str, Any], context: Any, system: Services) -> Failures:
    """Run the steps that messages of the jobs and chunks queues ask for."""
    clock = system.clock_until(context.get_remaining_time_in_millis)
    return _each(event, lambda record: _work(record, clock, system), system)


def on_dead_letters(event: Mapping[str, Any], system: Services) -> Failures:
    """End the jobs whose messages were given up on; arrivals are tried once more, slowly, and never dropped."""
    return _each(event, lambda record: _handle_dead_letter(record, system), system)


def on_minute(system: Services, context: Any = None) -> None:
    """Send silent jobs on their way again, sweep what is left over, and go on with syncs as long as there is time."""
    jobs, archive = system.jobs, system.archive
    clock = system.clock_until(context.get_remaining_time_in_millis) if context is not None else system.clock
    for job in silent_jobs(jobs=jobs, clock=clock):
        _guarded(job, lambda job: rescue(job, jobs=jobs, work=system.work, queue=system.queue, clock=clock), system)
    for job in due_for_sweep(jobs=jobs, clock=clock):
        _guarded(job, lambda job: sweep(job, jobs=jobs, archive=archive, clock=clock), system)

    _look_after_callbacks(clock, system)
    _begin_scheduled_sync(system)
    for sync in system.syncs.latest(live=True, limit=SYNCS_PER_MINUTE):
        _go_on_with(sync, clock, system)


def _look_after_callbacks(clock: Clock, system: Services) -> None:
    """Announce what whoever ended it did not, and send deliveries whose message was lost on their way again."""
    if not system.settings.callback_secrets:
        return
    from chalicelib.steps.deliver import forgotten, overdue

    system.queue.send(overdue(deliveries=system.deliveries, clock=clock))
    for notice in forgotten(jobs=system.jobs, clock=clock):
        if clock.remaining_seconds() > MINUTE_RESERVE_SECONDS:
            tell(notice.job, notice.attempt, system)


def _begin_scheduled_sync(system: Services) -> None:
    """Let the incoming bucket be compared with what readers see, as often as the settings say."""
    from chalicelib.hooks.sync import scheduled

    if system.settings.sync_seconds <= 0:
        return
    try:
        scheduled(
            system.settings.incoming_bucket, every_seconds=system.settings.sync_seconds,
            source_buckets=system.settings.source_buckets, syncs=system.syncs, queue=system.queue, clock=system.clock,
        )  # fmt: skip
    except SlidehookError as error:
        logger.warning("the sync of the incoming bucket was not begun: %s", error)


def _go_on_with(sync: Sync, clock: Clock, system: Services) -> None:
    from chalicelib.hooks.sync import go_on

    try:
        with errand(f"sync {sync.id} run {sync.run}", "sync"):
            go_on(
                sync, source_buckets=system.settings.source_buckets,
                slides=system.slides, jobs=system.jobs, archive=system.archive, queue=system.queue,
                syncs=system.syncs, clock=clock,
            )  # fmt: skip
    except TransientError as error:
        logger.warning("sync %s: %s; the next minute goes on", sync.id, error)
    except Exception:
        logger.exception("sync %s: the minute timer failed", sync.id)


def _guarded(job: Job, step: Callable[[Job], None], system: Services) -> None:
    """Run a step of the minute timer: a job that cannot be helped does not keep the others from it."""
    with errand(job.asked_by, "minute", job=job.id, attempt=job.attempt):
        try:
            step(job)
        except TransientError as error:
            logger.warning("job %s: %s; the next minute tries again", job.id, error)
        except SlidehookError as error:
            settle(job, error, jobs=system.jobs, archive=system.archive, clock=system.clock)
            tell(job.id, job.attempt, system)
        except Exception:
            logger.exception("job %s: the minute timer failed", job.id)


def _each(event: Mapping[str, Any], handle: Callable[[Record], None], system: Services) -> Failures:
    failures = []
    for record in event["Records"]:
        try:
            handle(record)
        except TransientError as error:
            logger.warning("message %s: %s; it is tried again", record["messageId"], error)
            failures.append(record["messageId"])
            _delay_retry(record, system)
        except Exception:
            logger.exception("message %s failed: %.2000s", record["messageId"], record.get("body"))
            failures.append(record["messageId"])
    return {"batchItemFailures": [{"itemIdentifier": failed} for failed in failures]}


def _delay_retry(record: Record, system: Services) -> None:
    """Let a message wait before it comes again, longer each time. Without it, it comes when its visibility ends."""
    try:
        seconds = retry_after_seconds(_receives(record), dice=system.dice)
        system.queue.delay(record["eventSourceARN"], record["receiptHandle"], round(seconds))
    except Exception as error:  # noqa: BLE001 - a courtesy: whatever it is, the message comes again by itself
        logger.warning("message %s could not be delayed: %s", record["messageId"], error)


def _receives(record: Record) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", "1"))


def _submit_arrivals(record: Record, system: Services) -> None:
    # What checks a request's fields, and what reads slides below, is loaded by those who need it: a worker that copies
    # chunks starts sooner without.
    from chalicelib.hooks.upload import arrive

    for arrival in arrivals(json.loads(record["body"])):
        with errand(record["messageId"], "arrivals"):
            job = arrive(
                arrival,
                source_buckets=system.settings.source_buckets,
                slides=system.slides,
                jobs=system.jobs,
                archive=system.archive,
                queue=system.queue,
                clock=system.clock,
            )
        logger.info("arrival s3://%s/%s: job %s", arrival.bucket, arrival.key, job.id)
        if not job.is_live:
            tell(job.id, job.attempt, system)  # it was refused


def _work(record: Record, clock: Clock, system: Services) -> None:
    message = parse_message(record["body"])
    if message.do == "sync":
        sync = system.syncs.get(message.job)
        if sync is not None and sync.run == message.attempt:
            _go_on_with(sync, clock, system)
        return
    if message.do == "deliver":
        _deliver(message, clock, system)
        return
    job = system.jobs.get(message.job)
    if job is None or job.attempt != message.attempt or not job.is_live:
        logger.info("job %s attempt %s is over: %s dropped", message.job, message.attempt, message.do)
        return
    with errand(job.asked_by, message.do, job=job.id, attempt=job.attempt, chunk=message.chunk):
        logger.info("job %s attempt %d: %s %s", job.id, job.attempt, message.do, message.chunk)
        _attempted(message, job, clock, system)


def _attempted(message: Message, job: Job, clock: Clock, system: Services) -> None:
    """Run a step; an error that cannot pass ends the job, another one is noted."""
    try:
        _step(message, job, clock, system)
        if message.do == "finish":
            tell(job.id, job.attempt, system)
    except SlidehookError as error:
        if error.permanent:
            if isinstance(error, SourceChangedError) and job.verifies is None:
                _follow(job, system)
            logger.warning("job %s ends: %s (%s)", job.id, error, error.code)
            _settle(message, error, system)
            return
        system.jobs.record_transient_error(job, problem(error))
        raise
    except Exception as error:
        fault = Problem(code=SlidehookError.code, message=f"{type(error).__name__}: {error}", hint=SlidehookError.hint)
        system.jobs.record_transient_error(job, fault)
        raise


def _deliver(message: Message, clock: Clock, system: Services) -> None:
    from chalicelib.steps.deliver import deliver

    if not system.settings.callback_secrets:
        logger.warning("job %s: there is no secret to sign %s with", message.job, message.delivery)
        return
    deliver(
        message.job, message.delivery or "", secrets=system.settings.callback_secrets, dice=system.dice,
        callbacks=system.callbacks, deliveries=system.deliveries, queue=system.queue, clock=clock,
    )  # fmt: skip


def _follow(job: Job, system: Services) -> None:
    """Submit the newer bytes before their predecessor ends: who dies in between does both again."""
    from chalicelib.steps.submit import follow

    newer = follow(
        job, slides=system.slides, jobs=system.jobs, archive=system.archive, queue=system.queue, clock=system.clock
    )
    if newer is not None and newer.id == job.id:
        raise AwsUnavailableError(f"{job.source} was overwritten, and is as it was again")


def _step(message: Message, job: Job, clock: Clock, system: Services) -> None:
    if message.do == "tile" and message.chunk is not None:
        tile(
            job, message.chunk, threads=system.settings.threads, cores=system.settings.cores,
            slides=system.slides, jobs=system.jobs, archive=system.archive, work=system.work, queue=system.queue,
            clock=clock,
        )  # fmt: skip
    elif message.do == "plan":
        from chalicelib.steps.plan import plan

        plan(
            job, chunk_bytes=system.settings.chunk_bytes,
            slides=system.slides, jobs=system.jobs, archive=system.archive, work=system.work, queue=system.queue,
            clock=clock,
        )  # fmt: skip
    elif job.verifies is not None:
        from chalicelib.steps.verify import conclude

        conclude(job, jobs=system.jobs, archive=system.archive, queue=system.queue, clock=clock)
    else:
        finish(
            job,
            slides=system.slides, jobs=system.jobs, archive=system.archive, work=system.work, clock=clock,
        )  # fmt: skip


def _settle(message: Message, error: SlidehookError, system: Services) -> None:
    # Read again: the step has moved the job on since it was read. Another attempt may have begun, which did not fail.
    job = system.jobs.get(message.job)
    if job is not None and job.attempt == message.attempt:
        settle(job, error, jobs=system.jobs, archive=system.archive, clock=system.clock)
        tell(job.id, job.attempt, system)


def _handle_dead_letter(record: Record, system: Services) -> None:
    body = json.loads(record["body"])
    if "Records" in body or "Event" in body:
        _submit_arrivals(record, system)
        return
    message = parse_message(record["body"])
    if message.do in ("sync", "deliver"):
        return  # the minute timer goes on with it
    job = system.jobs.get(message.job)
    if job is not None and job.attempt == message.attempt and job.is_live and _is_missing(message, job):
        with errand(job.asked_by, "dead letters", job=job.id, attempt=job.attempt, chunk=message.chunk):
            settle(job, given_up(job, message), jobs=system.jobs, archive=system.archive, clock=system.clock)
            tell(job.id, job.attempt, system)


def _is_missing(message: Message, job: Job) -> bool:
    """Tell whether what the message asked for is still to be done: another one like it may have done it."""
    if message.do == "plan":
        return job.plan_digest is None or job.tiling_at is None
    return message.chunk not in job.chunks_done
