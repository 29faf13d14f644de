"""Verify: collect the findings of the chunks of a verification, and repair the slide.

The step reads all data first and then checks that the slide is unchanged, so that the findings are of one generation.
"""

from chalicelib.core.errors import NotVerifiableError
from chalicelib.core.jobs.model import Job, Problem, State, new_verification, require_found
from chalicelib.core.jobs.transitions import finishing, found_in, next_attempt, superseded, verified
from chalicelib.core.jobs.verification import Findings, Target
from chalicelib.core.plan.messages import step_message
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue


def verification(job_id: str, *, repair: bool, jobs: Jobs, archive: Archive, clock: Clock) -> Job:
    """Return a new job that verifies the slide of the upload `job_id`. It is not stored or queued.

    Raises NotFoundError if the upload does not exist, NotVerifiableError if its slide is not published.
    """
    upload = require_found(job_id, jobs.get(job_id))
    if upload.verifies is not None:
        raise NotVerifiableError(f"job {upload.id} is a verification of job {upload.verifies.job}")
    if not _is_shown(upload, archive):
        raise NotVerifiableError(f"job {upload.id} is {upload.state} and its slide is not published")
    return new_verification(upload, repair=repair, now=clock.now())


def finish_verification(job: Job, *, jobs: Jobs, archive: Archive, queue: Queue, clock: Clock) -> None:
    """Finish a verification: the job becomes `done` with its findings, or `superseded` if the slide was replaced.

    If the job repairs and the slide has faults, the next attempt of the upload starts. Safe to retry, because the
    findings are stored before the repair.
    """
    target = job.verifies
    assert target is not None
    if job.state is State.TILING and job.all_chunks_done:
        documents = archive.documents(job.destination.database, target.image)
        findings = found_in(jobs.chunk_records(job), documents=documents)
        if not _is_still_shown(target, jobs.get(target.job), archive):
            _supersede(job, jobs, clock)
            return
        bad_tiles = tuple(bad for record in jobs.chunk_records(job) for bad in record.bad_tiles)
        started = finishing(job, bad_tiles=bad_tiles, findings=findings, now=clock.now())
        if not jobs.move(job, started):
            return
        job = started
    if job.state is not State.FINISHING:
        return
    findings = job.findings or Findings()
    if target.repair and not findings.are_clean:
        upload = jobs.get(target.job)
        # Not if the upload already runs again, or if the slide was replaced.
        if upload is not None and _is_still_shown(target, upload, archive):
            _repair(upload, jobs, queue, clock)
    jobs.move(job, verified(job, findings, now=clock.now()))


def _is_still_shown(target: Target, upload: Job | None, archive: Archive) -> bool:
    return upload is not None and upload.attempt == target.attempt and _is_shown(upload, archive)


def _is_shown(upload: Job, archive: Archive) -> bool:
    return upload.state is State.DONE and archive.shows(upload)


def _supersede(job: Job, jobs: Jobs, clock: Clock) -> None:
    newer = Problem(
        code="newer_generation",
        message="the slide was replaced or removed during the verification",
        hint="Verify the slide again.",
    )
    jobs.move(job, superseded(job, newer, now=clock.now(), cleanup_at=clock.now()))


def _repair(upload: Job, jobs: Jobs, queue: Queue, clock: Clock) -> None:
    """Start the next attempt of the upload, which writes all tiles again.

    The current tiles stay published until then.
    """
    again = next_attempt(upload, upload.source, now=clock.now(), from_scratch=True)
    if jobs.move(upload, again):
        queue.send([step_message(again, "plan")])
