"""Sync: process a sync page by page.

If a worker is killed or its time is over, the minute timer continues with the unfinished page. The timer starts a new
invocation, because Lambda stops recursive chains of messages (AWS Lambda Developer Guide, "recursive loop detection").
"""

from collections.abc import Callable, Collection, Mapping
from itertools import islice

from chalicelib.core.errors import (
    BucketNotAllowedError,
    NoSuchSessionError,
    NoSuchSourceError,
    SlidehookError,
    TransientError,
)
from chalicelib.core.jobs.model import Job, Options, Problem, State
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.sync import (
    MAX_MESSAGE,
    MAX_SESSIONS,
    Entry,
    Outcome,
    Sync,
    advanced,
    id_of,
    is_slide,
    new_sync,
    next_run,
    outcome_of,
    place_of,
)
from chalicelib.core.plan.messages import Message
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.ports.slides import Slides
from chalicelib.ports.syncs import Syncs

# A page takes a few hundred requests and some seconds, if all of its objects are submitted.
PAGE = 100
RESERVE_SECONDS = 20.0

Submit = Callable[[Sync, Source], Job]


def begin(sync: Sync, *, source_buckets: Collection[str], syncs: Syncs, queue: Queue) -> Sync:
    """Start a sync, or a new run of an ended one. Return the running sync. Safe to retry.

    Raises BucketNotAllowedError.
    """
    if sync.bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {sync.bucket!r} may not be read", pointer="/prefix")
    stored = syncs.create(sync)
    if stored.ended_at is not None:
        again = next_run(stored, now=sync.submitted_at)
        stored = again if syncs.move(stored, again) else syncs.get(sync.id) or again
    if stored.is_live:
        # The message starts the sync at once; without it, the timer would.
        queue.send([Message(step="sync", job=stored.id, attempt=stored.run, group=stored.group)])
    return stored


def begin_scheduled(
    bucket: str, *, every_seconds: float, source_buckets: Collection[str], syncs: Syncs, queue: Queue, clock: Clock
) -> None:
    """Start the sync of a whole bucket if it is due. The keys of the objects name their destinations."""
    sync = new_sync(bucket, "", None, Options(), now=clock.now())
    if is_due(syncs.get(sync.id), every_seconds=every_seconds, now=clock.now()):
        begin(sync, source_buckets={*source_buckets, bucket}, syncs=syncs, queue=queue)


def is_due(sync: Sync | None, *, every_seconds: float, now: float) -> bool:
    """Return whether a scheduled sync has to start."""
    return sync is None or (not sync.is_live and now - sync.submitted_at >= every_seconds)


def work(
    sync: Sync, submit: Submit, *, slides: Slides, jobs: Jobs, archive: Archive, syncs: Syncs, clock: Clock
) -> None:
    """Process the pages of a sync until RESERVE_SECONDS remain.

    Safe to run concurrently: the first worker that ends a page continues, and a submission is idempotent.
    """
    shown = _ShownSlides(archive)
    while sync.is_live and clock.remaining_seconds() > RESERVE_SECONDS:
        page = _Page(sync, submit, slides, jobs, archive, clock, shown)
        after = page.find_missing() if sync.is_listed else page.compare_listed()
        syncs.put_page(sync, tuple(page.entries))
        if not syncs.move(sync, after):
            return
        sync = after


class _ShownSlides:
    """Caches the published slides of one session, because keys are sorted by session, and a session can have 100 000
    slides. Slides that are published later are not in the cache."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._session, self._slides = "", dict[str, str]()

    def of(self, session: str) -> Mapping[str, str]:
        """Return the published slides of a session, with the job of each. {} if the session does not exist."""
        if session != self._session:
            try:
                self._slides = dict(sorted(self._archive.shown_slides(session).items()))
            except NoSuchSessionError:
                self._slides = {}
            self._session = session
        return self._slides


class _Page:
    """Builds one page of the report of a sync."""

    def __init__(
        self,
        sync: Sync,
        submit: Submit,
        slides: Slides,
        jobs: Jobs,
        archive: Archive,
        clock: Clock,
        shown: _ShownSlides,
    ) -> None:
        self._sync, self._submit = sync, submit
        self._slides, self._jobs, self._archive, self._clock = slides, jobs, archive, clock
        self._shown = shown
        self.entries: list[Entry] = []

    def compare_listed(self) -> Sync:
        """Compare the next objects of the listing with their jobs. Return the sync after them."""
        sync = self._sync
        try:
            found = self._slides.list(sync.bucket, sync.prefix, cursor=sync.cursor, limit=PAGE)
        except NoSuchSourceError as error:
            # A missing bucket ends the sync. Its slides are not reported as missing.
            self.entries.append(Entry(key=sync.prefix, outcome="failed", code=error.code, message=str(error)))
            return advanced(sync, tuple(self.entries), now=self._clock.now(), **self._end_if(ends=True))
        sessions = dict.fromkeys(sync.sessions)
        for source in found.objects:
            self.entries.append(self._entry(source))
            session = place_of(sync, source.key).session
            if session and len(sessions) < MAX_SESSIONS:
                sessions[session] = None
        if sync.place is not None:
            sessions[sync.place.session] = None
        return advanced(
            sync,
            tuple(self.entries),
            now=self._clock.now(),
            cursor=found.cursor,
            is_listed=found.cursor is None,
            sessions=tuple(sessions),
            **self._end_if(ends=found.cursor is None and not sessions),
        )

    def _entry(self, source: Source) -> Entry:
        if not is_slide(self._sync, source.key):
            return Entry(key=source.key, outcome="ignored")
        job = self._jobs.get(id_of(self._sync, source))
        shown = self._shown_job(place_of(self._sync, source.key).session, source.slide)
        outcome = outcome_of(source, job, shown)
        if outcome != "present" and job is not None and job.state is State.DONE and self._archive.shows(job):
            outcome, shown = "present", job  # published after `shown` was read
        if outcome is None:
            return self._submitted(source, replaces=shown is not None)
        error = job.error if job is not None and outcome == "failed" else None
        return _entry(source.key, outcome, shown if outcome == "present" else job, error)

    def _submitted(self, source: Source, *, replaces: bool) -> Entry:
        """Submit an object and return its entry. An object that is refused does not stop the sync."""
        try:
            job = self._submit(self._sync, source)
        except TransientError:
            raise
        except SlidehookError as error:
            return Entry(key=source.key, outcome="failed", code=error.code, message=str(error)[:MAX_MESSAGE])
        if job.state is State.FAILED:
            return _entry(source.key, "failed", job, job.error)
        return _entry(source.key, "replaced" if replaces else "added", job, None)

    def _shown_job(self, session: str, slide: str) -> Job | None:
        job_id = self._shown.of(session).get(slide)
        return self._jobs.get(job_id) if job_id else None

    def find_missing(self) -> Sync:
        """Find published slides of a session whose objects do not exist. Return the sync after them."""
        sync = self._sync
        session = sync.sessions[sync.session]
        slides = self._shown.of(session)
        for job_id in islice(slides.values(), sync.view, sync.view + PAGE):
            job = self._jobs.get(job_id)
            if job is not None and self._is_missing(job):
                self.entries.append(_entry(job.source.key, "missing", job, None))
        if sync.view + PAGE < len(slides):
            position = {"view": sync.view + PAGE}
        else:
            position = {"session": sync.session + 1, "view": 0}
        ends = position.get("session", 0) == len(sync.sessions)
        return advanced(sync, tuple(self.entries), now=self._clock.now(), **position, **self._end_if(ends=ends))

    def _is_missing(self, job: Job) -> bool:
        source = job.source
        if source.bucket != self._sync.bucket or not source.key.startswith(self._sync.prefix):
            return False
        try:
            self._slides.pin(source.bucket, source.key, first_bytes=1)
        except NoSuchSourceError:
            return True
        except TransientError:
            raise
        except SlidehookError:
            return False
        return False

    def _end_if(self, *, ends: bool) -> dict[str, float]:
        return {"ended_at": self._clock.now()} if ends else {}


def _entry(key: str, outcome: Outcome, job: Job | None, error: Problem | None) -> Entry:
    return Entry(
        key=key,
        outcome=outcome,
        job=job.id if job else None,
        code=error.code if error else None,
        message=error.message[:MAX_MESSAGE] if error else None,
    )
