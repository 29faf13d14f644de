"""Orphans: tile collections that are not published and not scheduled for cleanup.

A job's item stands before its first collection, is never deleted, and says how many generations there were; their names
follow from it. So all staging collections are known. A collection that does not belong to a job is never touched.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.transitions import abandoned
from chalicelib.ports.archive import Archive
from chalicelib.ports.jobs import Jobs

# So many jobs one call looks at: one request to the table, and one to each database.
PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A collection that an ended job has left behind."""

    job: str
    generation: int
    database: str
    collection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """What a page of jobs has left behind, how many jobs that were, and where to go on."""

    found: tuple[Orphan, ...]
    jobs: int
    cursor: str | None


def orphans(*, drop: bool, cursor: str | None, jobs: Jobs, archive: Archive) -> Orphans:
    """Return what the jobs of a page have left behind; `drop` it, unless a view shows it after all.

    Raises InvalidRequestError for a foreign cursor.
    """
    page = jobs.list(state=None, session=None, cursor=cursor, limit=PAGE)
    names = {job.staging(generation): (job, generation) for job in page.jobs for generation in abandoned(job)}
    stand = sorted(archive.staged(tuple(names))) if names else []
    found = tuple(_orphans(stand, names))
    if drop:
        for orphan in found:
            archive.discard(*names[orphan.collection])
    return Orphans(found=found, jobs=len(page.jobs), cursor=page.cursor)


def _orphans(stand: list[tuple[str, str]], names: dict[str, tuple[Job, int]]) -> Iterator[Orphan]:
    for database, name in stand:
        job, generation = names[name]
        yield Orphan(job=job.id, generation=generation, database=database, collection=name)
