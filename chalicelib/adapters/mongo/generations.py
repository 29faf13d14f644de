"""Generations: staging collections, their tiles, and their removal."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    OperationFailure,
)

from chalicelib.adapters.mongo.client import MongoConnection, translate_transient_errors
from chalicelib.adapters.mongo.contents import stats_of
from chalicelib.adapters.mongo.documents import claim_of, slidehook_of
from chalicelib.core.errors import (
    MongoUnavailableError,
    TileConflictError,
)
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import CollectionStats, Tile

DUPLICATE_KEY = 11000

# WiredTiger's pages of 32 KiB hold two tiles each. On larger ones it takes a sixth less time to put them away, and what
# comes along with a tile that is read are its neighbours: tiles lie in the order in which the file has them.
LARGE_PAGES = {"wiredTiger": {"configString": "leaf_page_max=128KB"}}


class MongoGenerations(MongoConnection):
    """Staging collections of generations."""

    def stage(self, job: Job) -> None:
        tiles = self._tiles(job, job.generation)
        with translate_transient_errors(f"the staging of job {job.id}"):
            # It may stand already, or the server know no such pages: then the index makes it, with the server's own.
            with suppress(OperationFailure):
                tiles.database.create_collection(tiles.name, check_exists=False, storageEngine=LARGE_PAGES)
            tiles.create_index([("name", ASCENDING)], unique=True)

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        # Bytes are stored as binary data as they are; a `Binary` made of them would be one more copy of each tile.
        documents = [
            {"_id": ObjectId(tile.id), "name": tile.name, "level": tile.depth, "file": tile.jpeg} for tile in tiles
        ]
        if not documents:
            return
        with translate_transient_errors(f"the tiles of job {job.id}"):
            try:
                self._tiles(job, generation).insert_many(documents, ordered=False)
            except BulkWriteError as error:
                self._tolerate_repetition(error, job)

    def _tolerate_repetition(self, error: BulkWriteError, job: Job) -> None:
        """Return if every refused tile is there already. Its `_id` is its content: a duplicate id is the same tile, a
        duplicate name under another id is another content."""
        for refused in error.details.get("writeErrors", []):
            if refused.get("code") != DUPLICATE_KEY:
                raise MongoUnavailableError(f"MongoDB refused a tile: {refused.get('errmsg')}") from error
            if "_id" not in refused.get("keyPattern", {"_id": 1}):
                name = refused.get("keyValue", {}).get("name")
                raise TileConflictError(f"two contents for tile {name} of job {job.id}") from error
        if error.details.get("writeConcernErrors"):
            raise MongoUnavailableError("MongoDB did not acknowledge the tiles by a majority") from error

    def staged_stats(self, job: Job, expected: CollectionStats | None = None) -> CollectionStats:
        database = self._store(job.destination.database)
        with translate_transient_errors(f"the tiles of job {job.id}"):
            target = job.destination.mongo_collection
            if target is not None and self._is_renamed(database, job, expected):
                return stats_of(database[target])
            return stats_of(self._tiles(job, job.generation))

    def _is_renamed(
        self, database: "Database[dict[str, Any]]", job: Job, verified: CollectionStats | None = None
    ) -> bool:
        image = database.images.find_one({"_id": ObjectId(job.image)}) or {}
        shown = slidehook_of(image)
        if shown.get("published") == claim_of(job):
            return True
        # Claimed, and it is there, or the staging collection is gone: the crash came before the note of the rename.
        if verified is not None:
            return shown.get("publishing") == claim_of(job) and stats_of(database[job.image]) == verified
        return shown.get("publishing") == claim_of(job) and not database.list_collection_names(
            filter={"name": job.staging()}
        )

    def shows(self, job: Job) -> bool:
        if not job.destination.database:
            return False  # a refused upload without a database
        with translate_transient_errors(f"the view of job {job.id}"):
            store = self._store(job.destination.database)
            image = store.images.find_one({"_id": ObjectId(job.image)}, {"slidehook": 1})
            if slidehook_of(image or {}).get("claim") != claim_of(job):
                return False
            session = self._admin.sessions.find_one({"_id": ObjectId(job.destination.session)}, {"views": 1}) or {}
            # A named image may be shown in several sessions.
            shown = {"_id": {"$in": session.get("views", [])}, "ViewerRecords.Image": ObjectId(job.image)}
            return self._admin.views.find_one(shown, {"_id": 1}) is not None

    def replaced(self, job: Job) -> tuple[str, ...]:
        with translate_transient_errors(f"the view of job {job.id}"):
            ours = [
                slidehook_of(view)
                for view in self._admin.views.find({"slidehook.claim": claim_of(job)}, {"slidehook": 1})
            ]
        return tuple(sorted({before for trace in ours for before in trace.get("replaced") or ()} - {job.id}))

    def discard(self, job: Job, generation: int) -> bool:
        name = job.staging(generation)
        with translate_transient_errors(f"the cleanup of job {job.id}"):
            # A view of an image that the caller named shows that one; it is known by what it was made for.
            is_free = True
            for made in ({"ViewerRecords.Image": ObjectId(name)}, {"slidehook.claim": claim_of(job, generation)}):
                for view in self._admin.views.find(made, {"slidehook.job": 1}):
                    is_listed = self._admin.sessions.find_one({"views": view["_id"]}, {"_id": 1}) is not None
                    if not is_listed and slidehook_of(view).get("job"):
                        self._admin.views.delete_one({"_id": view["_id"], **made})
                    elif "ViewerRecords.Image" in made:
                        return False
                    else:
                        is_free = False
            for database in self._data_of_all_stores(job):
                database.drop_collection(name)
                database.images.delete_one({"_id": ObjectId(name), "slidehook.job": job.id})
            return is_free

    def staged(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        wanted = {"name": {"$in": list(names)}}
        with translate_transient_errors("the collections of the image stores"):
            return frozenset(
                (database.name, name)
                for database in self._data_of_all_stores()
                for name in database.list_collection_names(filter=wanted)
            )
