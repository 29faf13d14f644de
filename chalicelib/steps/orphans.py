"""Orphans: tile collections that are not published and not scheduled for cleanup.

A job item exists before its first staging collection and is never deleted. The names of all staging collections are
derived from the id and the number of generations of their job. Other collections are never changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.transitions import abandoned
from chalicelib.ports.archive import Archive
from chalicelib.ports.jobs import Jobs

# Jobs that one call reads, with one request to the table and one to each database.
PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A staging collection of an ended job."""

    job: str
    generation: int
    database: str
    collection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """The orphans of a page of jobs, the number of jobs, and the cursor of the next page, None at the end."""

    found: tuple[Orphan, ...]
    jobs: int
    cursor: str | None


def orphans(*, drop: bool, cursor: str | None, jobs: Jobs, archive: Archive) -> Orphans:
    """Return the orphans of a page of jobs. `drop` deletes them, except those that a view shows.

    Raises InvalidRequestError for an invalid cursor.
    """
    page = jobs.list(state=None, session=None, cursor=cursor, limit=PAGE)
    names = {job.staging(generation): (job, generation) for job in page.jobs for generation in abandoned(job)}
    existing = sorted(archive.staged(tuple(names))) if names else []
    found = tuple(_orphans(existing, names))
    if drop:
        for orphan in found:
            archive.discard(*names[orphan.collection])
    return Orphans(found=found, jobs=len(page.jobs), cursor=page.cursor)


def _orphans(existing: list[tuple[str, str]], names: dict[str, tuple[Job, int]]) -> Iterator[Orphan]:
    for database, name in existing:
        job, generation = names[name]
        yield Orphan(job=job.id, generation=generation, database=database, collection=name)
