"""Submit: create the job of a request, or return the existing one. It takes milliseconds for any slide size."""

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

# The hook of every job that publishes a slide, also of those that an S3 event or a sync submits.
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

    Raises BucketNotAllowedError, SourceError, DestinationError; nothing is stored then.
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
    """Return the job for an object that was uploaded to the bucket. Its key names collection and session.

    No client waits for a response, so an object that cannot be submitted becomes a failed job. Raises TransientError.
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
    """Store an S3 event that cannot be submitted as a failed job. A repeated event returns the same job."""
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
    """Return the job for an object that a sync has found, with the destination and options of the sync.

    A sync without a destination submits the object as an S3 event does. Raises SlidehookError as `submit_upload`.
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
    """Return the job for this call, queued if it is new or has to run again; `force` lets it run again when readers see
    what it made. The current tiles stay published until the new ones are complete. `callback_url` receives a callback
    at its end.

    Raises NoSuchSourceError, EmptySourceError, NotTiffError, TooManySubscribersError; nothing is left behind then.
    """
    source, now = _pinned(bucket, key, slides, clock)
    job = new_job(hook, source, destination, options, now=now)
    return enqueue(job, force=force, callback_url=callback_url, jobs=jobs, archive=archive, queue=queue)


def follow(job: Job, *, slides: Slides, jobs: Jobs, archive: Archive, queue: Queue, clock: Clock) -> Job | None:
    """Submit what has taken the place of the bytes that `job` is pinned to, with the same destination and options.

    None if it is gone, or no slide. Where the old bytes are back, it is `job` that is returned.
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
    """Begin the next attempt of an ended job, and return it. It does only what is missing.

    Raises NotFoundError, NotRetryableError (it is running, readers see what it made, or the object has other bytes by
    now), and what a submit raises.
    """
    job = require_found(job_id, jobs.get(job_id))
    if job.is_live:
        raise NotRetryableError(f"job {job.id} is {job.state}", hint="Nothing to do: it is on its way.")
    if job.verifies is not None:
        hint = f'Verify the slide again: call the hook verify with {{"job": "{job.verifies.job}"}}.'
        raise NotRetryableError(f"job {job.id} is a verification, and has ended", hint=hint)
    if job.state is State.DONE and archive.shows(job):
        raise NotRetryableError(f"job {job.id} is done", hint="To do it again all the same, submit it with `force`.")
    place, pinned = job.destination, job.source
    if not OBJECT_ID.fullmatch(place.collection) or not OBJECT_ID.fullmatch(place.session):
        # A job of an S3 event whose key does not name a destination.
        raise NotRetryableError(f"{pinned} would be refused again", hint=job.error.hint if job.error else None)
    if pinned.bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {pinned.bucket!r} may not be read")
    source, now = _pinned(pinned.bucket, pinned.key, slides, clock)
    if source.etag != pinned.etag:
        hint = "Submit the slide again: other bytes are another job."
        raise NotRetryableError(f"{pinned} has other bytes than when this job was submitted", hint=hint)
    destination = archive.locate(place.collection, place.session, place.mongo_collection)
    again = next_attempt(job, source, now=now, destination=destination)
    if jobs.move(job, again):
        queue.send([step_message(again, "plan")])
    return require_found(job_id, jobs.get(job_id))


def _pinned(bucket: str, key: str, slides: Slides, clock: Clock) -> tuple[Source, float]:
    """Return an object that begins like a TIFF, and an instant at which it stood as it was pinned.

    The instants of two versions are in the order in which they were written, in any order of their callers: S3
    reports dates in whole seconds, and does not order its events. Raises AwsUnavailableError if the object is
    overwritten all the time.
    """
    source, first_bytes = slides.pin(bucket, key, first_bytes=MAGIC_BYTES)
    for _ in range(MOST_LOOKS):
        require_tiff(source, first_bytes)
        now = clock.now()
        before = source
        source, first_bytes = slides.pin(bucket, key, first_bytes=MAGIC_BYTES)
        if source == before:
            return source, now
    raise AwsUnavailableError(f"{source} is overwritten faster than it can be looked at")


MOST_LOOKS = 4


def require_tiff(source: Source, first_bytes: bytes) -> None:
    if not looks_like_tiff(first_bytes):
        problem: SlideError = NotTiffError(f"{source} does not begin like a TIFF", pointer="/source")
        raise problem


def enqueue(
    job: Job, *, force: bool = False, callback_url: str | None = None, jobs: Jobs, archive: Archive, queue: Queue
) -> Job:
    """Store the job, or wake the one that is stored, and send its first message. `callback_url` becomes one of its
    subscribers; if it has ended and does not run again, it receives the outcome as well.

    The item is written first, the message second: a crash between the two leaves a queued job, which `rescue` sends.
    Raises TooManySubscribersError, before anything is begun.
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
    # Second: who subscribes first would hear of the attempt before.
    return stored if callback_url is None else _subscribed(stored, callback_url, jobs)


def _subscribed(job: Job, url: str, jobs: Jobs) -> Job:
    for _ in range(MOST_LOOKS):
        if has_subscriber(job, url):
            return job
        jobs.subscribe(job, Subscriber(url, job.attempt))
        job = require_found(job.id, jobs.get(job.id))
    raise AwsUnavailableError(f"job {job.id} changes faster than it can be subscribed to")


def _has_to_run_again(job: Job, archive: Archive) -> bool:
    if job.state is State.DONE:
        return not archive.shows(job)
    return True
