"""Submit: create the job of a request, or return the existing one. The duration does not depend on the slide size."""

from collections.abc import Collection
from dataclasses import replace

from chalicelib.core.errors import (
    AwsUnavailableError,
    BucketNotAllowedError,
    NotRetryableError,
    NotTiffError,
    SlideError,
    SlidehookError,
    SourceError,
    TransientError,
)
from chalicelib.core.jobs.model import (
    Destination,
    Job,
    Options,
    State,
    Subscriber,
    has_subscriber,
    new_job,
    problem,
    require_found,
)
from chalicelib.core.jobs.source import OBJECT_ID, Source, destination_of_key, parse_s3_url
from chalicelib.core.jobs.sync import Sync
from chalicelib.core.jobs.transitions import failed, next_attempt
from chalicelib.core.plan.messages import step_message
from chalicelib.core.tiff.directory import MAGIC_BYTES, looks_like_tiff
from chalicelib.core.web.s3_notifications import Arrival
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.slides import Slides

# The hook of all jobs that publish a slide, also of those that an S3 event or a sync submits.
UPLOAD = "upload"


def submit_upload(
    source_url: str,
    collection: str,
    session: str,
    options: Options,
    *,
    mongo_collection: str | None = None,
    force: bool = False,
    callback_url: str | None = None,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job that publishes the object at `s3://bucket/key` in a session. See `submit`.

    Raises BucketNotAllowedError, SourceError, DestinationError. Nothing is stored then.
    """
    bucket, key = parse_s3_url(source_url)
    if bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {bucket!r} may not be read", pointer="/source")
    destination = archive.locate(collection, session, mongo_collection)
    return submit(
        UPLOAD, bucket, key, destination, options, force=force, callback_url=callback_url,
        slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
    )  # fmt: skip


def submit_arrival(
    event: Arrival,
    *,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job for an S3 event. The key of the object names collection and session.

    An object that cannot be submitted becomes a failed job, because no client receives the error. Raises
    TransientError.
    """
    collection = session = ""
    try:
        collection, session = destination_of_key(event.key)
        return submit_upload(
            f"s3://{event.bucket}/{event.key}", collection, session, Options(), source_buckets=source_buckets,
            slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
        )  # fmt: skip
    except TransientError:
        raise
    except SlidehookError as error:
        return _failed_upload(event, collection, session, error, jobs=jobs, clock=clock)


def _failed_upload(
    event: Arrival, collection: str, session: str, error: SlidehookError, *, jobs: Jobs, clock: Clock
) -> Job:
    """Return a new failed job for an S3 event that cannot be submitted. A repeated event returns the same job."""
    now = clock.now()
    source = Source(
        bucket=event.bucket,
        key=event.key,
        etag=event.etag,
        size_bytes=event.size_bytes,
        version_id=event.version_id,
        last_modified_at=event.at,
    )
    destination = Destination(collection=collection, session=session, image_store="", database="")
    job = new_job(UPLOAD, source, destination, Options(), now=now)
    return jobs.create(failed(job, problem(error), now=now, cleanup_at=None))


def submit_listed(
    sync: Sync,
    source: Source,
    *,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job for an object of a sync, with the destination and options of the sync.

    If the sync has no destination, the object is submitted as by an S3 event. Raises the errors of `submit_upload`.
    """
    if sync.place is None:
        event = Arrival(
            bucket=source.bucket,
            key=source.key,
            etag=source.etag,
            size_bytes=source.size_bytes,
            version_id=None,
            at=source.last_modified_at,
        )
        return submit_arrival(
            event, source_buckets=source_buckets,
            slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
        )  # fmt: skip
    return submit_upload(
        str(source), sync.place.collection, sync.place.session, sync.options, source_buckets=source_buckets,
        slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
    )  # fmt: skip


def submit(
    hook: str,
    bucket: str,
    key: str,
    destination: Destination,
    options: Options,
    *,
    force: bool = False,
    callback_url: str | None = None,
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job of this source, destination and options. It is queued if it is new or has to run again.

    `force` runs a published job again. The current tiles stay published until the new ones are complete.
    `callback_url` receives a callback when the job ends. Safe to retry. Raises NoSuchSourceError, EmptySourceError,
    NotTiffError, TooManySubscribersError. Nothing is stored then.
    """
    source, now = _pinned(bucket, key, slides, clock)
    job = new_job(hook, source, destination, options, now=now)
    return enqueue(job, force=force, callback_url=callback_url, jobs=jobs, archive=archive, queue=queue)


def submit_newer_version(
    job: Job, *, slides: Slides, jobs: Jobs, archive: Archive, queue: Queue, clock: Clock
) -> Job | None:
    """Submit the current version of the object of `job`, with the same destination and options. Return its job.

    None if the object does not exist or is not a slide. If the object has its former content again, `job` is returned.
    """
    source = job.source
    try:
        return submit(
            job.hook, source.bucket, source.key, job.destination, job.options,
            slides=slides, jobs=jobs, archive=archive, queue=queue, clock=clock,
        )  # fmt: skip
    except (SourceError, SlideError):
        return None


def retry(
    job_id: str,
    *,
    source_buckets: Collection[str],
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Start the next attempt of an ended job, and return the job. Tiles that are already staged are reused.

    Raises NotFoundError if the job does not exist; NotRetryableError if it is running, published or a verification, or
    if its object has changed; and the errors of `submit_upload`.
    """
    job = require_found(job_id, jobs.get(job_id))
    if job.is_live:
        raise NotRetryableError(f"job {job.id} is {job.state}", hint="Wait until the job has ended.")
    if job.verifies is not None:
        hint = f'Verify the slide again: call the hook verify with {{"job": "{job.verifies.job}"}}.'
        raise NotRetryableError(f"job {job.id} is a verification and cannot be retried", hint=hint)
    if job.state is State.DONE and archive.shows(job):
        raise NotRetryableError(f"job {job.id} is done", hint="To publish the slide again, submit it with `force`.")
    destination, pinned = job.destination, job.source
    if not OBJECT_ID.fullmatch(destination.collection) or not OBJECT_ID.fullmatch(destination.session):
        # A job of an S3 event whose key does not name a destination.
        advice = job.error.hint if job.error else None
        raise NotRetryableError(f"the key of {pinned} does not name a destination", hint=advice)
    if pinned.bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {pinned.bucket!r} may not be read")
    source, now = _pinned(pinned.bucket, pinned.key, slides, clock)
    if source.etag != pinned.etag:
        hint = "Submit the slide again. Its new content is a new job."
        raise NotRetryableError(f"{pinned} has changed since this job was submitted", hint=hint)
    located = archive.locate(destination.collection, destination.session, destination.mongo_collection)
    again = next_attempt(job, source, now=now, destination=located)
    if jobs.move(job, again):
        queue.send([step_message(again, "plan")])
    return require_found(job_id, jobs.get(job_id))


def _pinned(bucket: str, key: str, slides: Slides, clock: Clock) -> tuple[Source, float]:
    """Return an object with a TIFF header, and an instant at which it was the current version.

    The instants of two versions have the order in which the versions were written. The dates of S3 cannot order them,
    because they are in whole seconds, and S3 events are not ordered. Raises AwsUnavailableError if the object is
    overwritten repeatedly.
    """
    source, first_bytes = slides.pin(bucket, key, first_bytes=MAGIC_BYTES)
    for _ in range(MAX_READS):
        require_tiff(source, first_bytes)
        now = clock.now()
        previous = source
        source, first_bytes = slides.pin(bucket, key, first_bytes=MAGIC_BYTES)
        if source == previous:
            return source, now
    raise AwsUnavailableError(f"{source} was overwritten during each attempt to read it")


# Reads of an object or a job that changes concurrently.
MAX_READS = 4


def require_tiff(source: Source, first_bytes: bytes) -> None:
    """Raise NotTiffError unless the object begins with a TIFF header."""
    if not looks_like_tiff(first_bytes):
        problem: SlideError = NotTiffError(f"{source} does not begin with a TIFF header", pointer="/source")
        raise problem


def enqueue(
    job: Job, *, force: bool = False, callback_url: str | None = None, jobs: Jobs, archive: Archive, queue: Queue
) -> Job:
    """Store the job, or start the next attempt of the stored one if it has to run again. Send its first message.

    `callback_url` is added to its subscribers. If the job has ended and does not run again, the URL receives the
    outcome. The job is written before the message is sent. After a crash in between, `rescue` sends the message. Safe
    to retry. Raises TooManySubscribersError; nothing is written then.
    """
    if callback_url is not None:
        job = replace(job, subscribers=(Subscriber(callback_url, job.attempt),))
    stored = jobs.create(job)
    if stored == job:
        queue.send([step_message(job, "plan")])
        return stored
    if callback_url is not None:
        has_subscriber(stored, callback_url)
    if not stored.is_live and (force or _has_to_run_again(stored, archive)):
        again = next_attempt(
            stored,
            job.source,
            now=job.submitted_at,
            destination=job.destination,
            from_scratch=force,
            verifies=job.verifies,
        )
        if jobs.move(stored, again):
            queue.send([step_message(again, "plan")])
        stored = jobs.get(job.id) or again
    # After the move: an earlier subscription would receive the outcome of the previous attempt.
    return stored if callback_url is None else _subscribed(stored, callback_url, jobs)


def _subscribed(job: Job, url: str, jobs: Jobs) -> Job:
    for _ in range(MAX_READS):
        if has_subscriber(job, url):
            return job
        jobs.subscribe(job, Subscriber(url, job.attempt))
        job = require_found(job.id, jobs.get(job.id))
    raise AwsUnavailableError(f"job {job.id} changed during each attempt to add a subscriber")


def _has_to_run_again(job: Job, archive: Archive) -> bool:
    if job.state is State.DONE:
        return not archive.shows(job)
    return True
