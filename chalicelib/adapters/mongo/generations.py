"""Generations: staging collections, their tiles and their cleanup."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure

from chalicelib.adapters.mongo.client import MongoConnection, translate_transient_errors
from chalicelib.adapters.mongo.contents import stats_of
from chalicelib.adapters.mongo.documents import claim_of, slidehook_of
from chalicelib.core.errors import MongoUnavailableError, TileConflictError
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import CollectionStats, Tile

DUPLICATE_KEY = 11000

# A default page of WiredTiger (32 KiB) holds two tiles. Larger pages make inserts faster by a sixth. A read loads the
# neighbors of a tile as well, because tiles are stored in the order of the file.
LARGE_PAGES = {"wiredTiger": {"configString": "leaf_page_max=128KB"}}


class MongoGenerations(MongoConnection):
    """Staging collections of generations."""

    def stage(self, job: Job) -> None:
        tiles = self._tiles(job, job.generation)
        with translate_transient_errors(f"the staging of job {job.id}"):
            # Fails if the collection exists, or if the server does not support the option. In the second case,
            # `create_index` creates the collection with default pages.
            with suppress(OperationFailure):
                tiles.database.create_collection(tiles.name, check_exists=False, storageEngine=LARGE_PAGES)
            tiles.create_index([("name", ASCENDING)], unique=True)

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        # `bytes` is encoded as binary data. A `Binary` would copy each tile.
        documents = [
            {"_id": ObjectId(tile.id), "name": tile.name, "level": tile.depth, "file": tile.jpeg} for tile in tiles
        ]
        if not documents:
            return
        with translate_transient_errors(f"the tiles of job {job.id}"):
            try:
                self._tiles(job, generation).insert_many(documents, ordered=False)
            except BulkWriteError as error:
                self._accept_duplicates(error, job)

    def _accept_duplicates(self, error: BulkWriteError, job: Job) -> None:
        """Return if all failed tiles are stored already.

        The `_id` of a tile is derived from its content. A duplicate id is the same tile. A duplicate name with another
        id has other content and raises TileConflictError.
        """
        for failure in error.details.get("writeErrors", []):
            if failure.get("code") != DUPLICATE_KEY:
                raise MongoUnavailableError(f"MongoDB did not store a tile: {failure.get('errmsg')}") from error
            if "_id" not in failure.get("keyPattern", {"_id": 1}):
                name = failure.get("keyValue", {}).get("name")
                raise TileConflictError(f"tile {name} of job {job.id} exists with other content") from error
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
        # An earlier run renamed the collection and stopped before it recorded `published`: the job has the claim, and
        # the image has the verified contents, or the staging collection no longer exists.
        if verified is not None:
            return shown.get("publishing") == claim_of(job) and stats_of(database[job.image]) == verified
        return shown.get("publishing") == claim_of(job) and not database.list_collection_names(
            filter={"name": job.staging()}
        )

    def shows(self, job: Job) -> bool:
        if not job.destination.database:
            return False  # a rejected upload has no database
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
            traces = [
                slidehook_of(view)
                for view in self._admin.views.find({"slidehook.claim": claim_of(job)}, {"slidehook": 1})
            ]
        return tuple(sorted({replaced for trace in traces for replaced in trace.get("replaced") or ()} - {job.id}))

    def discard(self, job: Job, generation: int) -> bool:
        name = job.staging(generation)
        with translate_transient_errors(f"the cleanup of job {job.id}"):
            # The view of a named image shows that image, not the staging collection. Its claim identifies the
            # generation.
            is_free = True
            for query in ({"ViewerRecords.Image": ObjectId(name)}, {"slidehook.claim": claim_of(job, generation)}):
                for view in self._admin.views.find(query, {"slidehook.job": 1}):
                    is_listed = self._admin.sessions.find_one({"views": view["_id"]}, {"_id": 1}) is not None
                    if not is_listed and slidehook_of(view).get("job"):
                        self._admin.views.delete_one({"_id": view["_id"], **query})
                    elif "ViewerRecords.Image" in query:
                        return False
                    else:
                        is_free = False
            for database in self._store_databases(job):
                database.drop_collection(name)
                database.images.delete_one({"_id": ObjectId(name), "slidehook.job": job.id})
            return is_free

    def staged(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        wanted = {"name": {"$in": list(names)}}
        with translate_transient_errors("the collections of the image stores"):
            return frozenset(
                (database.name, name)
                for database in self._store_databases()
                for name in database.list_collection_names(filter=wanted)
            )
