"""The jobs table."""

from dataclasses import dataclass
from typing import Protocol

from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.filter import EVERY_JOB, JobFilter
from chalicelib.core.jobs.model import ChunkRecord, Job, Problem, State, Subscriber


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One page of a listing, newest change first. `cursor` asks for the next one; None at the end.

    A page may be short, or even empty, and still have a cursor: few of the jobs that were looked at were wanted.
    """

    jobs: tuple[Job, ...]
    cursor: str | None


class Jobs(Protocol):
    """The job table. Of a problem's message it keeps as much as `core.jobs.model.shortened` leaves."""

    def create(self, job: Job) -> Job:
        """Store a job unless one with its id exists. Return the stored one: the same value if it was stored now. One
        that has ended leaves a notice of it in the same write."""

    def get(self, job_id: str) -> Job | None:
        """Return the job as it stands (strongly consistent), None if there is none."""

    def move(self, was: Job, now: Job) -> bool:
        """Store `now` if the job still is where `was` had it: same state, attempt and generation (and, between two
        ended states, the same `sweep_at`: a sweep that was asked for meanwhile is not forgotten).

        One conditional write; False means that somebody else was faster, and nothing was written. Progress
        (chunks_done, tiles_done, bytes_done) is written only where `now` differs from `was`, so that chunks which end
        meanwhile are not forgotten; subscribers never are. A move that ends an attempt leaves a notice of it in the
        same write (`pending_notifications`).
        """

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        """Add a subscriber if the job still has `job`'s attempt and subscribers, and is live or ended as `job` is.

        One conditional write, which leaves a notice of the attempt again if it has ended; False if nothing was written.
        """

    def pending_notifications(self, *, before: float, limit: int) -> tuple[PendingNotification, ...]:
        """Return notices of attempts that ended before the instant, the oldest first."""

    def acknowledge(self, notice: PendingNotification, *, subscribers: int) -> None:
        """Take a notice away, unless somebody beyond so many subscribers was added since the attempt ended. Harmless if
        there is none."""

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        """Put a chunk into the done set, with its record, if the job is tiling in `job`'s attempt and generation.

        Idempotent: a second time changes nothing. Return the job as it stands afterwards, None if it is not (or no
        longer) tiling there.
        """

    def chunk_records(self, job: Job) -> tuple[ChunkRecord, ...]:
        """Return the records of the done chunks of the job's generation, by number."""

    def record_transient_error(self, job: Job, error: Problem) -> None:
        """Keep the last transient error of a live attempt, so that giving up can name it."""

    def count_rescue(self, job: Job, *, now: float) -> bool:
        """Add one to `rescues` and set `updated_at`, if the job still has `job`'s state, attempt and rescues."""

    def schedule_cleanup(self, job_id: str, at: float) -> None:
        """Ask the sweeper to look at an ended job at this instant, or later if it is to look later anyway; nothing
        happens to a live or unknown one."""

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: JobFilter = EVERY_JOB
    ) -> JobPage:
        """Return a page of jobs: of a state, of a session (the latest submitted first), or all; `only` those wanted.

        Of all jobs, or those of states, one that changes after a page was given comes on none behind it. What one call
        looks at is bounded, however many jobs there are. Raises InvalidRequestError for a foreign cursor.
        """

    def count(self, state: State, *, most: int) -> int:
        """Return how many jobs are in this state, or `most` if there are more. A moment ago, it may be."""

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        """Return jobs of this state whose `updated_at` lies before the instant, the longest silent first; those behind
        `after`, the last one of the page before, wherever that is by now."""

    def due_for_cleanup(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        """Return jobs whose `sweep_at` has come, the longest due first; those behind `after`, as for `silent`."""
