"""Submit: a request becomes a job, or finds the job that it already is. Milliseconds, whatever the slide's size."""

from chalicelib.core.errors import NotTiffError, SlideError
from chalicelib.core.job import Destination, Job, Options, State, new_job, next_attempt
from chalicelib.core.message import Message
from chalicelib.core.source import Source
from chalicelib.core.tiff import MAGIC_BYTES, looks_like_tiff
from chalicelib.ports import Archive, Clock, Jobs, Queue, Slides


def submit(
    hook: str,
    bucket: str,
    key: str,
    destination: Destination,
    options: Options,
    *,
    slides: Slides,
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job for this call, queued if it is new or has to run again.

    Raises NoSuchSourceError, EmptySourceError, NotTiffError; nothing is left behind then.
    """
    # Read before the object is pinned: of two calls, the one that pinned the older bytes then has the earlier time.
    now = clock.now()
    source, first_bytes = slides.pin(bucket, key, first_bytes=MAGIC_BYTES)
    refuse_what_is_no_tiff(source, first_bytes)
    return enqueue(new_job(hook, source, destination, options, now=now), jobs=jobs, archive=archive, queue=queue)


def refuse_what_is_no_tiff(source: Source, first_bytes: bytes) -> None:
    if not looks_like_tiff(first_bytes):
        problem: SlideError = NotTiffError(f"{source} does not begin like a TIFF", pointer="/source")
        raise problem


def enqueue(job: Job, *, jobs: Jobs, archive: Archive, queue: Queue) -> Job:
    """Store the job, or wake the one that is stored, and send its first message.

    The item is written first, the message second: a crash between the two leaves a queued job, which `rescue` sends.
    """
    stored = jobs.create(job)
    if stored == job:
        queue.send([Message(do="plan", job=job.id, attempt=job.attempt)])
        return stored
    if not _has_to_run_again(stored, archive):
        return stored
    again = next_attempt(stored, job.source, now=job.submitted_at, destination=job.destination)
    if jobs.move(stored, again):
        queue.send([Message(do="plan", job=again.id, attempt=again.attempt)])
    return jobs.get(job.id) or again


def _has_to_run_again(job: Job, archive: Archive) -> bool:
    if job.state is State.DONE:
        return not archive.shows(job)
    return not job.is_live
