"""Visibility: checks for callers whose token is limited to collections.

The error for a thing that is not visible is the same as for a thing that does not exist.
"""

from chalicelib.core.errors import (
    NoSuchCollectionError,
    NoSuchImageError,
    NoSuchSessionError,
    SourceNotAllowedError,
)
from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.source import parse_prefix
from chalicelib.core.web.auth import Caller
from chalicelib.ports.archive import Archive, SessionFacts


def visible_job(caller: Caller, job: Job | None) -> Job | None:
    """Return the job if the caller may see its collection, else None."""
    return job if job is not None and caller.sees(job.destination.collection) else None


def require_session(caller: Caller, session: str, *, archive: Archive) -> SessionFacts:
    """Return a session that the caller may see. Raises NoSuchSessionError."""
    facts = archive.session(session)
    if not caller.sees(facts.collection):
        raise NoSuchSessionError(f"session {session} does not exist")
    return facts


def require_collection(caller: Caller, collection: str) -> None:
    """Raise NoSuchCollectionError unless the caller may see the collection."""
    if not caller.sees(collection):
        raise NoSuchCollectionError(f"collection {collection} does not exist", pointer="/collection")


def require_visible_destination(caller: Caller, collection: str, session: str | None, *, archive: Archive) -> None:
    """Raise NoSuchCollectionError or NoSuchSessionError unless the caller may see both.

    A limited caller does not learn that a session of another collection exists.
    """
    require_collection(caller, collection)
    if caller.is_limited and session is not None:
        try:
            require_session(caller, session, archive=archive)
        except NoSuchSessionError as error:
            raise NoSuchSessionError(str(error), pointer="/session") from None


def require_readable_source(caller: Caller, url: str, *, pointer: str) -> None:
    """Raise SourceNotAllowedError for an object or prefix that a limited caller may not read.

    To submit an object is to read it, because the published slide shows its content.
    """
    if not caller.reads(*parse_prefix(url)):
        raise SourceNotAllowedError(f"{url} does not belong to a collection of the token", pointer=pointer)


def require_replaceable_image(caller: Caller, image_store: str, image: str, *, archive: Archive) -> None:
    """Raise NoSuchImageError unless a limited caller may see all collections that show the image."""
    if not caller.is_limited:
        return
    collections = archive.collections_of(image_store, image)
    if not collections or not all(map(caller.sees, collections)):
        raise NoSuchImageError(f"image {image} does not exist", pointer="/mongo_collection")
