"""Sync: a bounded piece of a sync's work at a time, until it is through.

Whoever is killed, or runs out of time, leaves a page that is not done, and the minute timer goes on from there: in a
new invocation, so that no chain of messages grows with the prefix (AWS stops those after some links).
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

# A page of a few hundred requests is done in some seconds, also if all of it has to be submitted.
PAGE = 100
RESERVE_SECONDS = 20.0

Submit = Callable[[Sync, Source], Job]


def begin(sync: Sync, *, source_buckets: Collection[str], syncs: Syncs, queue: Queue) -> Sync:
    """Return the sync, running: begun now, or the run that is at it. Raises BucketNotAllowedError."""
    if sync.bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {sync.bucket!r} may not be read", pointer="/prefix")
    stored = syncs.create(sync)
    if stored.ended_at is not None:
        again = next_run(stored, now=sync.submitted_at)
        stored = again if syncs.move(stored, again) else syncs.get(sync.id) or again
    if stored.is_live:
        # Without this message it begins with the next minute.
        queue.send([Message(step="sync", job=stored.id, attempt=stored.run, group=stored.group)])
    return stored


def begin_scheduled(
    bucket: str, *, every_seconds: float, source_buckets: Collection[str], syncs: Syncs, queue: Queue, clock: Clock
) -> None:
    """Start the sync of a whole bucket, whose keys name the destinations, if it is due."""
    sync = new_sync(bucket, "", None, Options(), now=clock.now())
    if is_due(syncs.get(sync.id), every_seconds=every_seconds, now=clock.now()):
        begin(sync, source_buckets={*source_buckets, bucket}, syncs=syncs, queue=queue)


def is_due(sync: Sync | None, *, every_seconds: float, now: float) -> bool:
    """Tell whether a sync that runs on a schedule is to begin."""
    return sync is None or (not sync.is_live and now - sync.submitted_at >= every_seconds)


def work(
    sync: Sync, submit: Submit, *, slides: Slides, jobs: Jobs, archive: Archive, syncs: Syncs, clock: Clock
) -> None:
    """Bring a sync forward, page by page, as far as there is time. Another worker may process the same sync: the first
    that ends a page first goes on with the next, and submitting twice is submitting once."""
    shown = _Shown(archive)
    while sync.is_live and clock.remaining_seconds() > RESERVE_SECONDS:
        page = _Page(sync, submit, slides, jobs, archive, clock, shown)
        after = page.missing() if sync.is_listed else page.listed()
        syncs.put_page(sync, tuple(page.entries))
        if not syncs.move(sync, after):
            return
        sync = after


class _Shown:
    """What readers of the sessions see, one session at a time: keys come session by session, and one may hold 100 000
    slides, which are not read again for each page. What is published meanwhile it does not know."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._session, self._slides = "", dict[str, str]()

    def of(self, session: str) -> Mapping[str, str]:
        """Return the slides that are shown, each with its job; none for a session that does not exist."""
        if session != self._session:
            try:
                self._slides = dict(sorted(self._archive.shown_slides(session).items()))
            except NoSuchSessionError:
                self._slides = {}
            self._session = session
        return self._slides


class _Page:
    """One page of a sync's report in the making."""

    def __init__(
        self, sync: Sync, submit: Submit, slides: Slides, jobs: Jobs, archive: Archive, clock: Clock, shown: _Shown
    ) -> None:
        self._sync, self._submit = sync, submit
        self._slides, self._jobs, self._archive, self._clock = slides, jobs, archive, clock
        self._shown = shown
        self.entries: list[Entry] = []

    def listed(self) -> Sync:
        """Look at the next objects of the listing; return the sync after them."""
        sync = self._sync
        try:
            found = self._slides.list(sync.bucket, sync.prefix, cursor=sync.cursor, limit=PAGE)
        except NoSuchSourceError as error:
            # A missing bucket ends the sync. It does not mean that all slides are missing.
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
            outcome, shown = "present", job  # published since it was looked at what is shown
        if outcome is None:
            return self._submitted(source, replaces=shown is not None)
        error = job.error if job is not None and outcome == "failed" else None
        return _entry(source.key, outcome, shown if outcome == "present" else job, error)

    def _submitted(self, source: Source, *, replaces: bool) -> Entry:
        """Submit an object. One that is refused does not keep the others."""
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

    def missing(self) -> Sync:
        """Look for the objects of the next slides that readers see in one session; return the sync after them."""
        sync = self._sync
        session = sync.sessions[sync.session]
        slides = self._shown.of(session)
        for job_id in islice(slides.values(), sync.view, sync.view + PAGE):
            job = self._jobs.get(job_id)
            if job is not None and self._is_missing(job):
                self.entries.append(_entry(job.source.key, "missing", job, None))
        if sync.view + PAGE < len(slides):
            where = {"view": sync.view + PAGE}
        else:
            where = {"session": sync.session + 1, "view": 0}
        ends = where.get("session", 0) == len(sync.sessions)
        return advanced(sync, tuple(self.entries), now=self._clock.now(), **where, **self._end_if(ends=ends))

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
