"""Lists of jobs and what is done to many of them: pages, counts, redrive, orphans."""

from typing import Annotated

from pydantic import Field

from chalicelib.core.errors import RetriesExhaustedError
from chalicelib.core.jobs.model import State
from chalicelib.entrypoints.http.schemas.jobs import JobSummary
from chalicelib.hooks.base import Document, Parameters
from chalicelib.hooks.fields import Count, Id, ObjectIdText
from chalicelib.steps.control import Redriven


class JobList(Document):
    """A page of jobs. `next` is the cursor of the next page; a page may be short and still have a next one."""

    jobs: list[JobSummary]
    next: str | None


class CountDocument(Document):
    """A number of jobs. If `is_exact` is false, there are at least as many."""

    count: Count
    is_exact: bool


class JobCounts(Document):
    """The number of jobs in each state."""

    counts: dict[State, CountDocument]


class OrphanDocument(Document):
    """A collection in MongoDB that an ended job left."""

    job: Id
    generation: Count
    database: str
    collection: str


class OrphanList(Document):
    """The orphans of a page of ended jobs. `jobs` is the number of jobs in the page."""

    orphans: list[OrphanDocument]
    jobs: Count
    next: str | None


class RedriveParameters(Parameters):
    """Which failed jobs are retried. The default are the jobs whose messages ended in the dead-letter queue."""

    codes: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[RetriesExhaustedError.code],
        min_length=1,
        max_length=20,
        description="error codes of the jobs to retry",
    )
    session: ObjectIdText | None = Field(default=None, description="retry only jobs of this session")
    cursor: Annotated[str, Field(max_length=2000)] | None = Field(
        default=None, description="`next` of the previous response"
    )


class RefusedRetry(Document):
    """A job that was not retried, and why."""

    id: Id
    code: str
    message: str
    hint: str


class RedriveResult(Document):
    """The jobs of a page that were retried, and those that were refused."""

    retried: list[Id]
    refused: list[RefusedRetry]
    next: str | None


def redrive_result(found: Redriven) -> dict[str, object]:
    """Return a `RedriveResult` as JSON."""
    refused = [{"id": job.id, "code": why.code, "message": why.message, "hint": why.hint} for job, why in found.refused]
    return {"retried": [job.id for job in found.retried], "refused": refused, "next": found.cursor}
