"""The jobs table in memory."""

from collections.abc import Callable
from dataclasses import replace
from threading import RLock

from chalicelib.adapters.cursors import Position, dump_cursor, just_before, listings_of, load_cursor
from chalicelib.adapters.memory.before import BeforeWrite, do_nothing
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.filter import EVERY_JOB, JobFilter
from chalicelib.core.jobs.model import ChunkRecord, Job, Problem, State, Subscriber, shortened
from chalicelib.ports.jobs import JobPage


class MemoryJobs:
    """ports.Jobs as a dictionary. A lock makes each write atomic."""

    def __init__(self, *, before_write: BeforeWrite = do_nothing) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._jobs: dict[str, Job] = {}
        self._records: dict[tuple[str, int, int], tuple[int, ChunkRecord]] = {}
        # Notification -> the end of the attempt, and the number of subscribers.
        self._notifications: dict[PendingNotification, tuple[float, int]] = {}

    def create(self, job: Job) -> Job:
        self._before_write("create")
        with self._lock:
            if job.id in self._jobs:
                return self._jobs[job.id]
            self._jobs[job.id] = _as_stored(job)
            if not job.is_live:
                self._store_notification(job)
            return job

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def move(self, was: Job, now: Job) -> bool:
        self._before_write("move")
        with self._lock:
            stored = self._jobs.get(was.id)
            if stored is None or _version(stored) != _version(was):
                return False
            # A cleanup that was scheduled in between must not be lost.
            if not was.is_live and not now.is_live and stored.cleanup_at != was.cleanup_at:
                return False
            if was.is_live and not now.is_live:
                self._store_notification(now)
            self._jobs[now.id] = _as_stored(
                now,
                subscribers=stored.subscribers,
                chunks_done=stored.chunks_done if now.chunks_done == was.chunks_done else now.chunks_done,
                tiles_done=stored.tiles_done if now.tiles_done == was.tiles_done else now.tiles_done,
                bytes_done=stored.bytes_done if now.bytes_done == was.bytes_done else now.bytes_done,
                tiles_bad=stored.tiles_bad if now.tiles_bad == was.tiles_bad else now.tiles_bad,
            )
            return True

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        self._before_write("subscribe")
        with self._lock:
            stored = self._jobs.get(job.id)
            expected = (job.is_live, job.attempt, job.subscribers)
            if stored is None or (stored.is_live, stored.attempt, stored.subscribers) != expected:
                return False
            self._jobs[job.id] = subscribed = replace(stored, subscribers=(*stored.subscribers, subscriber))
            if not subscribed.is_live:
                self._store_notification(subscribed)
            return True

    def _store_notification(self, ended: Job) -> None:
        notification = PendingNotification(job=ended.id, attempt=ended.attempt)
        self._notifications[notification] = (ended.ended_at or ended.updated_at, len(ended.subscribers))

    def pending_notifications(self, *, before: float, limit: int) -> tuple[PendingNotification, ...]:
        with self._lock:
            found = [(at, notification) for notification, (at, _) in self._notifications.items() if at < before]
        return tuple(notification for _, notification in sorted(found, key=lambda each: each[0])[:limit])

    def acknowledge(self, notification: PendingNotification, *, subscribers: int) -> None:
        self._before_write("acknowledge")
        with self._lock:
            if notification in self._notifications and self._notifications[notification][1] <= subscribers:
                del self._notifications[notification]

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        self._before_write("chunk record")
        with self._lock:
            key = (job.id, job.generation, record.number)
            # A record of a later attempt is not overwritten.
            if self._records.get(key, (0, record))[0] <= job.attempt:
                self._records[key] = (job.attempt, record)
        self._before_write("chunk done")
        with self._lock:
            stored = self._jobs.get(job.id)
            if stored is None or _version(stored) != (State.TILING, job.attempt, job.generation):
                return None
            if record.number not in stored.chunks_done:
                self._jobs[job.id] = replace(
                    stored,
                    chunks_done=stored.chunks_done | {record.number},
                    tiles_done=stored.tiles_done + record.tiles,
                    bytes_done=stored.bytes_done + record.source_bytes,
                    tiles_bad=stored.tiles_bad + record.tiles_bad,
                    updated_at=record.ended_at,
                    rescues=0,
                )
            return self._jobs[job.id]

    def chunk_records(self, job: Job) -> tuple[ChunkRecord, ...]:
        with self._lock:
            stored = self._jobs.get(job.id)
            if stored is None or stored.generation != job.generation:
                return ()
            keys = [(job.id, job.generation, number) for number in sorted(stored.chunks_done)]
            return tuple(self._records[key][1] for key in keys if key in self._records)

    def record_transient_error(self, job: Job, error: Problem) -> None:
        self._before_write("record transient error")
        self._change(
            job.id,
            lambda stored: stored.is_live and stored.attempt == job.attempt,
            {"last_transient_error": shortened(error)},
        )

    def count_rescue(self, job: Job, *, now: float) -> bool:
        self._before_write("count rescue")
        expected = (job.state, job.attempt, job.rescues)
        return self._change(
            job.id,
            lambda stored: (stored.state, stored.attempt, stored.rescues) == expected,
            {"rescues": job.rescues + 1, "updated_at": now},
        )

    def schedule_cleanup(self, job_id: str, at: float) -> None:
        self._before_write("schedule cleanup")
        self._change(job_id, lambda stored: not stored.is_live and (stored.cleanup_at or 0.0) < at, {"cleanup_at": at})

    def _change(self, job_id: str, condition: Callable[[Job], bool], changes: dict[str, object]) -> bool:
        with self._lock:
            stored = self._jobs.get(job_id)
            if stored is None or not condition(stored):
                return False
            self._jobs[job_id] = replace(stored, **changes)  # type: ignore[arg-type]
            return True

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: JobFilter = EVERY_JOB
    ) -> JobPage:
        listings = listings_of(state, session, only.states)
        positions = load_cursor(listings, cursor)
        found = sorted(
            ((listing, Position(listing.at(job), job.id)) for job in self._all() for listing in listings
             if listing.holds(job) and state in (None, job.state) and only.takes(job)),
            key=lambda each: _newest_first(each[1]),
        )  # fmt: skip
        remaining = [each for each in found if _is_after(each[1], positions.get(each[0]))]
        page = remaining[:limit]
        jobs = tuple(self._jobs[position.job] for _, position in page)
        if len(remaining) <= limit:
            return JobPage(jobs=jobs, cursor=None)
        # A listing without jobs on this page continues where the page ends. A job that changes from now on is newer and
        # must not appear on a later page.
        starts = {listing: just_before(page[-1][1]) for listing in listings}
        return JobPage(jobs=jobs, cursor=dump_cursor({**starts, **positions, **dict(page)}))

    def count(self, state: State, *, limit: int) -> int:
        return min(limit, sum(job.state is state for job in self._all()))

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        start = (after.updated_at, after.id) if after is not None else (float("-inf"), "")
        found = {(job.updated_at, job.id): job for job in self._all() if job.state is state and job.updated_at < before}
        return tuple(found[key] for key in sorted(key for key in found if key > start)[:limit])

    def due_for_cleanup(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        start = (after.cleanup_at or 0.0, after.id) if after is not None else (float("-inf"), "")
        due = [(job.cleanup_at, job.id) for job in self._all() if job.cleanup_at is not None and job.cleanup_at <= now]
        return tuple(self._jobs[job_id] for at, job_id in sorted(due) if (at, job_id) > start)[:limit]

    def _all(self) -> tuple[Job, ...]:
        with self._lock:
            return tuple(self._jobs.values())


def _as_stored(job: Job, **changes: object) -> Job:
    """Return the job with changes and with shortened messages, as the real table stores it."""
    history = tuple(replace(each, error=shortened(each.error)) if each.error else each for each in job.history)
    errors = {
        name: error and shortened(error)
        for name, error in (("error", job.error), ("last_transient_error", job.last_transient_error))
    }
    return replace(job, **errors, history=history, **changes)  # type: ignore[arg-type]


def _version(job: Job) -> tuple[State, int, int]:
    return job.state, job.attempt, job.generation


def _is_after(position: Position, other: Position | None) -> bool:
    return other is None or _newest_first(position) > _newest_first(other)


def _newest_first(position: Position) -> tuple[float, str]:
    return -position.at, position.job
