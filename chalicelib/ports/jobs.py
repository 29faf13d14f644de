"""The jobs table."""

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.filter import EVERY_JOB, JobFilter
from chalicelib.core.jobs.model import ChunkRecord, Job, Problem, State, Subscriber


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """A page of a listing. `cursor` is the cursor of the next page, None at the end.

    A page with a cursor can be short or empty if few of the scanned jobs match.
    """

    jobs: tuple[Job, ...]
    cursor: str | None


class Jobs(Protocol):
    """The jobs table. Error messages are stored as `core.jobs.model.shortened` returns them."""

    def create(self, job: Job) -> Job:
        """Store a job unless its id exists. Return the stored job: the same value if it is new.

        A job that has already ended gets a pending notification in the same write.
        """

    def get(self, job_id: str) -> Job | None:
        """Return the job (strongly consistent), None if it does not exist."""

    def move(self, was: Job, now: Job) -> bool:
        """Store `now` if the stored job has the state, attempt and generation of `was`.

        Between two ended states it must also have the same `cleanup_at`, so that a cleanup that was scheduled in
        between is not lost. One conditional write. Return False if another writer was first; nothing is written then.

        Progress (chunks_done, tiles_done, bytes_done, tiles_bad) is written only where `now` differs from `was`, so
        that concurrent finished chunks are kept. Subscribers are never written. A move that ends an attempt stores a
        pending notification in the same write.
        """

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        """Add a subscriber if the stored job has the attempt and subscribers of `job`, and is live or ended as `job`.

        One conditional write. If the attempt has ended, a pending notification is stored in the same write. Return
        False if nothing was written.
        """

    def pending_notifications(self, *, before: float, limit: int) -> tuple[PendingNotification, ...]:
        """Return pending notifications of attempts that ended before the instant, the oldest first."""

    def acknowledge(self, notification: PendingNotification, *, subscribers: int) -> None:
        """Delete a pending notification unless its job has more than `subscribers` subscribers. Safe to retry."""

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        """Mark a chunk as done and store its record, if the job is tiling in the attempt and generation of `job`.

        Return the job after the write, None if it is not tiling in that attempt and generation. Safe to retry.
        """

    def chunk_records(self, job: Job) -> tuple[ChunkRecord, ...]:
        """Return the records of the done chunks of the job's generation, by number."""

    def record_transient_error(self, job: Job, error: Problem) -> None:
        """Store the last transient error of a live attempt. It becomes part of the error if all retries fail."""

    def count_rescue(self, job: Job, *, now: float) -> bool:
        """Add one to `rescues` and set `updated_at`, if the job has the state, attempt and rescues of `job`.

        One conditional write. Return whether it was written.
        """

    def schedule_cleanup(self, job_id: str, at: float) -> None:
        """Schedule a cleanup of an ended job at this instant, unless a later one is scheduled.

        Live and unknown jobs are not changed. Safe to retry.
        """

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: JobFilter = EVERY_JOB
    ) -> JobPage:
        """Return a page of the jobs that match `only`: of a state, of a session, or of all.

        The jobs of a session are sorted by submission, other listings by last change, the latest first. A job that
        changes after a page was read is not on later pages. One call reads a bounded number of jobs. Raises
        InvalidRequestError for an invalid cursor.
        """

    def count(self, state: State, *, limit: int) -> int:
        """Return the number of jobs in this state, at most `limit`. Eventually consistent."""

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        """Return a page of the jobs of this state whose `updated_at` is before the instant, the earliest first.

        `after` is the last job of the previous page, also if it has changed since.
        """

    def due_for_cleanup(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        """Return a page of the jobs whose `cleanup_at` has passed, the longest due first. `after` as in `silent`."""
