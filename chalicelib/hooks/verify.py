"""The `verify` hook: every tile of a published slide is read back from MongoDB and compared with its source."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field, StringConstraints

from chalicelib.core.errors import BucketNotAllowedError
from chalicelib.core.jobs.model import Job
from chalicelib.hooks import CallbackUrl, Parameters
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.steps.submit import enqueue
from chalicelib.steps.verify import verification

name = "verify"


class VerifyParameters(Parameters):
    """`job` is the upload that published the slide."""

    job: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(
        description="id of the job that published the slide"
    )
    repair: bool = Field(default=False, description="publish the slide anew from its source if anything is wrong")
    callback_url: CallbackUrl | None = Field(default=None, description="https URL that is told of its end")


def verify(
    parameters: VerifyParameters,
    *,
    source_buckets: Collection[str],
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job that verifies the slide: the one that is at it, or the next attempt.

    Raises NotFoundError, NotVerifiableError, BucketNotAllowedError.
    """
    job = verification(parameters.job, repair=parameters.repair, jobs=jobs, archive=archive, clock=clock)
    if job.source.bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {job.source.bucket!r} may not be read")
    return enqueue(job, force=True, callback_url=parameters.callback_url, jobs=jobs, archive=archive, queue=queue)
