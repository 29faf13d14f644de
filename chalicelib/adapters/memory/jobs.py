"""The job table as a dictionary."""

from collections.abc import Callable
from dataclasses import replace
from threading import RLock

from chalicelib.adapters.cursors import Place, dump_cursor, just_before, listings_of, load_cursor
from chalicelib.adapters.memory.before import BeforeWrite, go_on
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.filter import EVERY_JOB, JobFilter
from chalicelib.core.jobs.model import ChunkRecord, Job, Problem, State, Subscriber, shortened
from chalicelib.ports.jobs import JobPage


class MemoryJobs:
    """The job table as a dictionary. A lock makes each write one."""

    def __init__(self, *, before_write: BeforeWrite = go_on) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._jobs: dict[str, Job] = {}
        self._records: dict[tuple[str, int, int], tuple[int, ChunkRecord]] = {}
        # By job and attempt: when it ended, and how many subscribers were known of then.
        self._notifications: dict[PendingNotification, tuple[float, int]] = {}

    def create(self, job: Job) -> Job:
        self._before_write("create")
        with self._lock:
            if job.id in self._jobs:
                return self._jobs[job.id]
            self._jobs[job.id] = _kept(job)
            if not job.is_live:
                self._leave_notice(job)
            return job

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def move(self, was: Job, now: Job) -> bool:
        self._before_write("move")
        with self._lock:
            stored = self._jobs.get(was.id)
            if stored is None or _standing(stored) != _standing(was):
                return False
            # A cleanup that was scheduled meanwhile must not be lost.
            if not was.is_live and not now.is_live and stored.cleanup_at != was.cleanup_at:
                return False
            if was.is_live and not now.is_live:
                self._leave_notice(now)
            self._jobs[now.id] = _kept(
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
                self._leave_notice(subscribed)
            return True

    def _leave_notice(self, ended: Job) -> None:
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
            place = (job.id, job.generation, record.number)
            # A worker of an earlier attempt writes no more over a later one's.
            if self._records.get(place, (0, record))[0] <= job.attempt:
                self._records[place] = (job.attempt, record)
        self._before_write("chunk done")
        with self._lock:
            stored = self._jobs.get(job.id)
            if stored is None or _standing(stored) != (State.TILING, job.attempt, job.generation):
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
            places = [(job.id, job.generation, number) for number in sorted(stored.chunks_done)]
            return tuple(self._records[place][1] for place in places if place in self._records)

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
        places = load_cursor(listings, cursor)
        found = sorted(
            ((listing, Place(listing.at(job), job.id)) for job in self._all() for listing in listings
             if listing.holds(job) and state in (None, job.state) and only.takes(job)),
            key=lambda each: _newest_first(each[1]),
        )  # fmt: skip
        waiting = [each for each in found if _is_behind(each[1], places.get(each[0]))]
        page = waiting[:limit]
        shown = tuple(self._jobs[place.job] for _, place in page)
        if len(waiting) <= limit:
            return JobPage(jobs=shown, cursor=None)
        # A listing that gave nothing yet begins where this page ends: what changes from now on is newer.
        begun = {listing: just_before(page[-1][1]) for listing in listings}
        return JobPage(jobs=shown, cursor=dump_cursor({**begun, **places, **dict(page)}))

    def count(self, state: State, *, most: int) -> int:
        return min(most, sum(job.state is state for job in self._all()))

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        behind = (after.updated_at, after.id) if after is not None else (float("-inf"), "")
        found = {(job.updated_at, job.id): job for job in self._all() if job.state is state and job.updated_at < before}
        return tuple(found[place] for place in sorted(place for place in found if place > behind)[:limit])

    def due_for_cleanup(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        behind = (after.cleanup_at or 0.0, after.id) if after is not None else (float("-inf"), "")
        due = [(job.cleanup_at, job.id) for job in self._all() if job.cleanup_at is not None and job.cleanup_at <= now]
        return tuple(self._jobs[job_id] for at, job_id in sorted(due) if (at, job_id) > behind)[:limit]

    def _all(self) -> tuple[Job, ...]:
        with self._lock:
            return tuple(self._jobs.values())


def _kept(job: Job, **changes: object) -> Job:
    """Return a job as it is stored, with changes: messages are kept up to MESSAGE_LIMIT letters."""
    history = tuple(replace(each, error=shortened(each.error)) if each.error else each for each in job.history)
    errors = {
        name: error and shortened(error)
        for name, error in (("error", job.error), ("last_transient_error", job.last_transient_error))
    }
    return replace(job, **errors, history=history, **changes)  # type: ignore[arg-type]


def _standing(job: Job) -> tuple[State, int, int]:
    return job.state, job.attempt, job.generation


def _is_behind(place: Place, other: Place | None) -> bool:
    return other is None or _newest_first(place) > _newest_first(other)


def _newest_first(place: Place) -> tuple[float, str]:
    return -place.at, place.job
