"""The `verify` hook: reads every tile of a published slide from MongoDB and compares it with the source."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field, StringConstraints

from chalicelib.core.errors import BucketNotAllowedError, NotFoundError, NotVerifiableError
from chalicelib.core.jobs.model import Job, require_found
from chalicelib.core.web.auth import Caller, Scope
from chalicelib.hooks.base import Hook, Parameters
from chalicelib.hooks.fields import CallbackUrl
from chalicelib.ports.archive import Archive
from chalicelib.ports.clock import Clock
from chalicelib.ports.jobs import Jobs
from chalicelib.ports.queue import Queue
from chalicelib.steps.submit import enqueue
from chalicelib.steps.verify import verification
from chalicelib.steps.visibility import visible_job


class VerifyParameters(Parameters):
    """`job` is the upload that published the slide."""

    job: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] = Field(
        description="id of the job that published the slide"
    )
    repair: bool = Field(
        default=False, description="publish the slide again from its source if a tile is missing or altered"
    )
    callback_url: CallbackUrl | None = Field(
        default=None, description="https URL that receives an event when the verification ends"
    )


def authorize(parameters: VerifyParameters, caller: Caller, *, jobs: Jobs) -> None:
    """Raises NotFoundError."""
    require_found(parameters.job, visible_job(caller, jobs.get(parameters.job)))


def verify(
    parameters: VerifyParameters,
    *,
    source_buckets: Collection[str],
    jobs: Jobs,
    archive: Archive,
    queue: Queue,
    clock: Clock,
) -> Job:
    """Return the job that verifies the slide: the running one, or the next attempt.

    Raises NotFoundError, NotVerifiableError, BucketNotAllowedError.
    """
    job = verification(parameters.job, repair=parameters.repair, jobs=jobs, archive=archive, clock=clock)
    if job.source.bucket not in source_buckets:
        raise BucketNotAllowedError(f"the bucket {job.source.bucket!r} may not be read")
    return enqueue(job, force=True, callback_url=parameters.callback_url, jobs=jobs, archive=archive, queue=queue)


hook = Hook(
    name="verify",
    summary="Compare a published slide with its source",
    parameters=VerifyParameters,
    scope=Scope.SUBMIT,
    authorize=authorize,
    run=verify,
    result=Job,
    errors=(NotFoundError, NotVerifiableError, BucketNotAllowedError),
)
