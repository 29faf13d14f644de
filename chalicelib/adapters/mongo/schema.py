"""The schema version of Slidehook's data in MongoDB, and its migrations.

The version is one document of the collection `slidehook_schema` in the admin database, which SlideAtlas does not read.
SlideAtlas' own documents are not versioned: their format is SlideAtlas'.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymongo import WriteConcern
from pymongo.errors import DuplicateKeyError

from chalicelib.adapters.mongo.client import translate_transient_errors
from chalicelib.ports.schema import MigratedPage, SchemaState

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.database import Database

    Admin = Database[dict[str, Any]]

COLLECTION, KEY = "slidehook_schema", "schema"


@dataclass(frozen=True, slots=True)
class DocumentMigration:
    """A migration to the next version. `page(admin, cursor, write)` changes or counts one page of documents."""

    title: str
    page: Callable[["Admin", str | None, bool], MigratedPage]


# The documents of all releases so far have one format.
MIGRATIONS: tuple[DocumentMigration, ...] = ()


class MongoSchema:
    """ports.Schema of MongoDB."""

    name = "MongoDB"

    def __init__(
        self,
        client: "MongoClient[dict[str, Any]]",
        admin_db: str,
        *,
        migrations: tuple[DocumentMigration, ...] = MIGRATIONS,
    ) -> None:
        self._admin: Admin = client.get_database(admin_db, write_concern=WriteConcern(w="majority"))
        self._migrations = migrations

    @property
    def latest(self) -> int:
        return 1 + len(self._migrations)

    def title(self, version: int) -> str:
        return self._migrations[version - 2].title

    def state(self) -> SchemaState:
        with translate_transient_errors("the schema version"):
            found = self._admin[COLLECTION].find_one({"_id": KEY}) or {}
        return SchemaState(version=found.get("version", 1), cursor=found.get("cursor"))

    def save(self, was: SchemaState, now: SchemaState) -> bool:
        # An upsert whose filter does not match the stored document tries to insert a second one with the same key.
        with translate_transient_errors("the schema version"):
            try:
                written = self._admin[COLLECTION].update_one(
                    {"_id": KEY, "version": was.version, "cursor": was.cursor},
                    {"$set": {"version": now.version, "cursor": now.cursor}},
                    upsert=was == SchemaState(version=1),
                )
            except DuplicateKeyError:
                return False
        return written.matched_count == 1 or written.upserted_id is not None

    def migrate(self, version: int, cursor: str | None, *, write: bool) -> MigratedPage:
        with translate_transient_errors("the documents of a migration"):
            return self._migrations[version - 2].page(self._admin, cursor, write)
