"""The connection to MongoDB, and its transient errors."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bson import ObjectId
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, ExecutionTimeout, OperationFailure, PyMongoError, WTimeoutError

from chalicelib.adapters.ttl_cache import TtlCache
from chalicelib.core.errors import MongoUnavailableError
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import PublishedImage

Document = Mapping[str, Any]

NAMESPACE_NOT_FOUND = 26

# The lifetime of a cached database name of an image store.
STORE_SECONDS = 60.0


@contextmanager
def translate_transient_errors(what: str) -> Iterator[None]:
    """Raise MongoUnavailableError instead of errors of a server that is unreachable, overloaded or in a failover.

    Other errors pass unchanged. `what` names the thing that is requested, for the message.
    """
    try:
        yield
    except (AutoReconnect, ExecutionTimeout, WTimeoutError) as error:
        raise MongoUnavailableError(f"MongoDB did not respond for {what}: {error}") from error
    except OperationFailure as error:
        if not error.has_error_label("RetryableWriteError") and not error.has_error_label("TransientTransactionError"):
            raise
        raise MongoUnavailableError(f"MongoDB is temporarily unavailable for {what}: {error}") from error


class MongoConnection:
    """The connection to the admin database and to the database of each image store."""

    def __init__(
        self,
        client: "MongoClient[dict[str, Any]]",
        admin_db: str,
        *,
        seconds_now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._databases = TtlCache[str](seconds_now)
        self._views = TtlCache[tuple[str, str]](seconds_now)
        self._images = TtlCache[PublishedImage](seconds_now)
        # A chunk is marked as done after its tiles are acknowledged. With `majority`, they survive a failover.
        self._admin: Database[dict[str, Any]] = client.get_database(admin_db, write_concern=WriteConcern(w="majority"))

    def _tiles(self, job: Job, generation: int) -> "Collection[dict[str, Any]]":
        """Return the staging collection of a generation."""
        return self._store(job.destination.database)[job.staging(generation)]

    def _store(self, database: str) -> "Database[dict[str, Any]]":
        return self._client.get_database(database, write_concern=WriteConcern(w="majority"))

    def _database_of(self, image_store: str) -> "Database[dict[str, Any]] | None":
        """Return the database of an image store, None if the store does not exist. The name is cached."""

        def load() -> str | None:
            store = self._admin.databases.find_one({"_id": ObjectId(image_store)}, {"dbname": 1})
            return (store or {}).get("dbname") or None

        name = self._databases.get(image_store, load, max_age_seconds=STORE_SECONDS)
        return None if name is None else self._client[name]

    def _store_databases(self, job: Job | None = None) -> "list[Database[dict[str, Any]]]":
        """Return the databases of all image stores, and that of the job, whose image store may have been deleted."""
        names = {job.destination.database if job else "", *self._admin.databases.distinct("dbname")}
        return [self._store(name) for name in sorted(name for name in names if isinstance(name, str) and name)]

    def ping(self) -> None:
        try:
            self._client.admin.command("ping")
        except PyMongoError as error:
            raise MongoUnavailableError(f"MongoDB does not respond: {error}") from error
