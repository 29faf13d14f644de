"""SlideAtlas' MongoDB: its catalogue and its tiles. Documents are those of SlideAtlas; ours is the sub-document
`slidehook` of images and views, which its server ignores."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.binary import Binary
from pymongo import ASCENDING, MongoClient, ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from chalicelib.adapters.cursors import page_of
from chalicelib.adapters.recent import Recent
from chalicelib.core.digest import ID_BYTES, SUM_MODULUS, object_id
from chalicelib.core.errors import (
    ArchiveBusyError,
    ForeignSessionError,
    NoImageStoreError,
    NoSuchCollectionError,
    NoSuchSessionError,
    TileConflictError,
)
from chalicelib.core.job import Destination, Job, SlideSummary
from chalicelib.core.verification import Stored
from chalicelib.ports import (
    KEPT_REPLACED,
    CollectionFacts,
    Holding,
    ImageFacts,
    PublishedImage,
    SessionFacts,
    ShownSlide,
    SlidePage,
    Switch,
    Tile,
)

Document = Mapping[str, Any]

DUPLICATE_KEY = 11000
NAMESPACE_NOT_FOUND = 26
BAD_HINT = 2
# WiredTiger's pages of 32 KiB hold two tiles each. On larger ones it takes a sixth less time to put them away, and what
# comes along with a tile that is read are its neighbours: tiles lie in the order in which the file has them.
LARGE_PAGES = {"wiredTiger": {"configString": "leaf_page_max=128KB"}}
DIGEST_BATCH = 20_000
# An image store keeps its database; that it was given another one may take a minute to be noticed.
STORE_SECONDS = 60.0
# A document that holds nothing but an ObjectId: its size, the field's type and name, the id, the end.
ID_DOCUMENT = struct.Struct(f"<4x5x{ID_BYTES}sx")


@contextmanager
def _patience(what: str) -> Iterator[None]:
    """Turn the errors of a server that is away, busy or changing its primary into ArchiveBusyError."""
    try:
        yield
    except (AutoReconnect, ExecutionTimeout, WTimeoutError) as error:
        raise ArchiveBusyError(f"MongoDB did not answer for {what}: {error}") from error
    except OperationFailure as error:
        if not error.has_error_label("RetryableWriteError") and not error.has_error_label("TransientTransactionError"):
            raise
        raise ArchiveBusyError(f"MongoDB asks for patience for {what}: {error}") from error


class MongoArchive:
    """ports.Archive over one MongoDB: the admin database, and the data database of each image store."""

    def __init__(
        self,
        client: "MongoClient[dict[str, Any]]",
        admin_db: str,
        *,
        seconds_now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._databases = Recent[str](seconds_now)
        self._views = Recent[tuple[str, str]](seconds_now)
        self._images = Recent[PublishedImage](seconds_now)
        # Majority: what was acknowledged survives a change of the primary, and only then is a chunk marked done.
        self._admin: Database[dict[str, Any]] = client.get_database(admin_db, write_concern=WriteConcern(w="majority"))

    # -- where a slide goes ------------------------------------------------------------------------------------------

    def locate(self, collection: str, session: str, mongo_collection: str | None) -> Destination:
        with _patience(f"session {session}"):
            group = self._admin.collections.find_one({"_id": ObjectId(collection)})
            if group is None:
                raise NoSuchCollectionError(f"there is no collection {collection}", pointer="/collection")
            found = self._admin.sessions.find_one({"_id": ObjectId(session)})
            if found is None:
                raise NoSuchSessionError(f"there is no session {session}", pointer="/session")
            if found.get("collection") != group["_id"]:
                raise ForeignSessionError(
                    f"session {session} does not belong to collection {collection}", pointer="/session"
                )
            store_id = found.get("image_store") or group.get("image_store")
            store = self._admin.databases.find_one({"_id": store_id}) if store_id is not None else None
        if store is None or not store.get("dbname"):
            raise NoImageStoreError(f"collection {collection} has no image store", pointer="/collection")
        return Destination(
            collection=collection,
            session=session,
            image_store=str(store["_id"]),
            database=store["dbname"],
            mongo_collection=mongo_collection,
        )

    def _store(self, database: str) -> "Database[dict[str, Any]]":
        return self._client.get_database(database, write_concern=WriteConcern(w="majority"))

    # -- tiles -------------------------------------------------------------------------------------------------------

    def stage(self, job: Job) -> None:
        tiles = self._tiles(job, job.generation)
        with _patience(f"the staging of job {job.id}"):
            # It may stand already, or the server know no such pages: then the index makes it, with the server's own.
            with suppress(OperationFailure):
                tiles.database.create_collection(tiles.name, check_exists=False, storageEngine=LARGE_PAGES)
            tiles.create_index([("name", ASCENDING)], unique=True)

    def _tiles(self, job: Job, generation: int) -> "Collection[dict[str, Any]]":
        return self._store(job.destination.database)[job.staging(generation)]

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        # Bytes are stored as binary data as they are; a `Binary` made of them would be one more copy of each tile.
        documents = [
            {"_id": ObjectId(tile.id), "name": tile.name, "level": tile.depth, "file": tile.jpeg} for tile in tiles
        ]
        if not documents:
            return
        with _patience(f"the tiles of job {job.id}"):
            try:
                self._tiles(job, generation).insert_many(documents, ordered=False)
            except BulkWriteError as error:
                self._tolerate_repetition(error, job)

    def _tolerate_repetition(self, error: BulkWriteError, job: Job) -> None:
        """Return if every refused tile is there already. Its `_id` is its content: a duplicate id is the same tile, a
        duplicate name under another id is another content."""
        for refused in error.details.get("writeErrors", []):
            if refused.get("code") != DUPLICATE_KEY:
                raise ArchiveBusyError(f"MongoDB refused a tile: {refused.get('errmsg')}") from error
            if "_id" not in refused.get("keyPattern", {"_id": 1}):
                name = refused.get("keyValue", {}).get("name")
                raise TileConflictError(f"two contents for tile {name} of job {job.id}") from error
        if error.details.get("writeConcernErrors"):
            raise ArchiveBusyError("MongoDB did not acknowledge the tiles by a majority") from error

    def holding(self, job: Job, expected: Holding | None = None) -> Holding:
        database = self._store(job.destination.database)
        with _patience(f"the tiles of job {job.id}"):
            target = job.destination.mongo_collection
            if target is not None and self._is_renamed(database, job, expected):
                return _held(database[target])
            return _held(self._tiles(job, job.generation))

    # -- publishing --------------------------------------------------------------------------------------------------

    def publish(self, job: Job, facts: ImageFacts, *, now: float, verified: Holding | None = None) -> Switch:
        with _patience(f"publishing job {job.id}"):
            candidates = self._candidates(job, facts.file_name)
            blocked = next((view for view in candidates if self._is_newer(view, job)), None)
            if blocked is not None:
                return Switch(won=False, view=str(blocked["_id"]))
            if job.destination.mongo_collection is None:
                self._put_image(job, facts, now)
            elif not self._replace_image(job, facts, now, verified):
                return Switch(won=False, view="")
            switch, others = self._switch(job, facts, candidates)
            if switch.won:
                self._take_out(job, others)
                self._list(job, switch.view)
            return switch

    def is_overtaken(self, job: Job) -> bool:
        if job.destination.mongo_collection is None:
            return False
        with _patience(f"image {job.image}"):
            image = self._store(job.destination.database).images.find_one({"_id": ObjectId(job.image)})
        return float(_ours(image or {}).get("publishing_at", 0.0)) > job.submitted_at

    def _candidates(self, job: Job, file_name: str) -> list[dict[str, Any]]:
        """Return the views the job may take over: this slide's, then (to overwrite) those of the same file name."""
        session = self._admin.sessions.find_one({"_id": ObjectId(job.destination.session)}) or {}
        listed: list[ObjectId] = session.get("views", [])
        own_id = _view_id(job)
        views = {view["_id"]: view for view in self._admin.views.find({"_id": {"$in": [*listed, own_id]}})}
        ours = [view for view in views.values() if _ours(view).get("slide") == job.source.slide]
        ours.sort(key=lambda view: (view["_id"] not in listed, view["_id"] != own_id))
        if not job.options.overwrite:
            return ours
        names = self._file_names(views.values())
        same_name = [
            views[view_id]
            for view_id in listed
            if view_id in views and views[view_id] not in ours and file_name in names.get(view_id, ())
        ]
        return ours + same_name

    def _file_names(self, views: Any) -> dict[ObjectId, set[str]]:
        """Return the file names that each view shows, ours or not: its image document knows."""
        names: dict[ObjectId, set[str]] = {}
        for view in views:
            for record in view.get("ViewerRecords", [])[:1]:
                store = self._admin.databases.find_one({"_id": record.get("Database")})
                image = self._store(store["dbname"]).images.find_one({"_id": record.get("Image")}) if store else None
                if image is not None:
                    names[view["_id"]] = {str(image.get("filename", "")).rsplit("/", 1)[-1]}
        return names

    def _is_newer(self, view: Document, job: Job) -> bool:
        shown = _ours(view)
        if shown.get("slide") == job.source.slide:
            return str(shown.get("order", "")) > job.order
        return float(shown.get("submitted_at", 0.0)) > job.submitted_at

    def _put_image(self, job: Job, facts: ImageFacts, now: float) -> None:
        self._store(job.destination.database).images.update_one(
            {"_id": ObjectId(job.image)},
            {"$set": {**_image(facts, now), "slidehook": {**_trace(job), **_known(facts)}}},
            upsert=True,
        )

    def _replace_image(self, job: Job, facts: ImageFacts, now: float, verified: Holding | None) -> bool:
        """Rename the staging collection onto the image the caller named; return whether this job may.

        The image document says who is publishing before the rename and what is published after it: a rerun knows where
        it stood. A later submitted job takes the claim over, and drops what the other was about to rename.
        """
        database = self._store(job.destination.database)
        image_id, claim = ObjectId(job.image), _claim(job)
        if not self._is_renamed(database, job, verified):
            claimed = self._claim_image(database, job)
            if claimed is None:
                return False
            if overtook := _ours(claimed).get("overtook"):
                database.drop_collection(overtook)
            self._rename(database, job, verified)
            if verified is not None and _held(database[job.image]) != verified:
                return False
        facts_and_trace: dict[str, object] = dict(_image(facts, now))
        ours = {**_trace(job), **_known(facts), "published": claim}
        facts_and_trace |= {f"slidehook.{name}": value for name, value in ours.items()}
        stored = database.images.update_one({"_id": image_id, "slidehook.publishing": claim}, {"$set": facts_and_trace})
        return stored.matched_count == 1

    def _rename(self, database: "Database[dict[str, Any]]", job: Job, verified: Holding | None) -> None:
        # A worker that comes late may have staged a part of it again, after another run of this step has renamed it.
        if verified is not None and _held(database[job.staging()]) != verified:
            return
        try:
            database[job.staging()].rename(job.image, dropTarget=True)
        except OperationFailure as error:
            # Another run of this step has renamed it, or a later job has dropped it: the claim tells which.
            if error.code != NAMESPACE_NOT_FOUND:
                raise

    def _claim_image(self, database: "Database[dict[str, Any]]", job: Job) -> Document | None:
        """Note that this job is publishing the image; return its document, None if a later submitted job is at it."""
        claim = _claim(job)
        not_later = [
            {"slidehook.publishing_at": {"$exists": False}},
            {"slidehook.publishing_at": {"$lte": job.submitted_at}},
        ]
        ours = {"publishing": claim, "publishing_at": job.submitted_at, "publishing_from": job.staging()}
        update = [
            {
                "$set": {
                    **{f"slidehook.{name}": value for name, value in _literal(ours).items()},
                    "slidehook.overtook": _unless_ours("publishing", claim, "overtook", "$slidehook.publishing_from"),
                }
            }
        ]
        try:
            return database.images.find_one_and_update(
                {"_id": ObjectId(job.image), "$or": not_later},
                update,
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return None

    def _is_renamed(self, database: "Database[dict[str, Any]]", job: Job, verified: Holding | None = None) -> bool:
        image = database.images.find_one({"_id": ObjectId(job.image)}) or {}
        shown = _ours(image)
        if shown.get("published") == _claim(job):
            return True
        # Claimed, and it is there, or the staging collection is gone: the crash came before the note of the rename.
        if verified is not None:
            return shown.get("publishing") == _claim(job) and _held(database[job.image]) == verified
        return shown.get("publishing") == _claim(job) and not database.list_collection_names(
            filter={"name": job.staging()}
        )

    def _switch(self, job: Job, facts: ImageFacts, candidates: Sequence[Document]) -> tuple[Switch, Sequence[ObjectId]]:
        """Let one view show the job's image: one atomic update, whose filter refuses to go back.

        The view keeps the jobs it replaced and the views that are to go with them, so that a rerun after a crash still
        knows them. Returns the outcome and those views.
        """
        view_id = candidates[0]["_id"] if candidates else _view_id(job)
        others = candidates[1:]
        other_jobs = sorted({_ours(view)["job"] for view in others if _ours(view).get("job")})
        claim = _claim(job)
        # Those that the shown job itself replaced come along: it may have died before it said so to the sweeper.
        before = {"$slice": [{"$ifNull": ["$slidehook.replaced", []]}, KEPT_REPLACED]}
        replaced = {"$concatArrays": [_list_of("$slidehook.job"), {"$literal": other_jobs}, before]}
        shown = {"Image": ObjectId(job.image), "Database": ObjectId(job.destination.image_store)}
        update = [
            {
                "$set": {
                    "slidehook": {
                        **_literal(_trace(job)),
                        "replaced": _unless_ours("claim", claim, "replaced", replaced),
                        "takes_out": _unless_ours(
                            "claim", claim, "takes_out", {"$literal": [view["_id"] for view in others]}
                        ),
                    },
                    "ViewerRecords": [shown],
                    **_literal({"Title": facts.file_name, "Type": "Note", "CoordinateSystem": "Pixel"}),
                }
            }
        ]
        not_newer = {
            "$or": [
                {"slidehook.slide": {"$exists": False}},
                {"slidehook.slide": job.source.slide, "slidehook.order": {"$lte": job.order}},
                {"slidehook.slide": {"$ne": job.source.slide}, "slidehook.submitted_at": {"$lte": job.submitted_at}},
            ]
        }
        try:
            after = self._admin.views.find_one_and_update(
                {"_id": view_id, **not_newer}, update, upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # the view is there, and newer
            return Switch(won=False, view=str(view_id)), ()
        kept = _ours(after or {})
        gone = tuple(sorted(set(kept.get("replaced") or ()) - {job.id}))
        return Switch(won=True, view=str(view_id), replaced=gone), kept.get("takes_out") or ()

    def _take_out(self, job: Job, views: Sequence[ObjectId]) -> None:
        """Take the other views of the same slide or file name out of the session."""
        if views:
            self._admin.sessions.update_one(
                {"_id": ObjectId(job.destination.session)}, {"$pull": {"views": {"$in": list(views)}}}
            )
            self._admin.views.delete_many({"_id": {"$in": list(views)}})

    def _list(self, job: Job, view: str) -> None:
        """Put the view at the head of its session, once. The list is never rewritten: others add to it, too."""
        self._admin.sessions.update_one(
            {"_id": ObjectId(job.destination.session), "views": {"$ne": ObjectId(view)}},
            {"$push": {"views": {"$each": [ObjectId(view)], "$position": 0}}},
        )

    def replaced(self, job: Job) -> tuple[str, ...]:
        with _patience(f"the view of job {job.id}"):
            ours = [_ours(view) for view in self._admin.views.find({"slidehook.claim": _claim(job)}, {"slidehook": 1})]
        return tuple(sorted({before for trace in ours for before in trace.get("replaced") or ()} - {job.id}))

    def shows(self, job: Job) -> bool:
        if not job.destination.database:
            return False  # an arrival that was refused a place
        with _patience(f"the view of job {job.id}"):
            store = self._store(job.destination.database)
            image = store.images.find_one({"_id": ObjectId(job.image)}, {"slidehook": 1})
            if _ours(image or {}).get("claim") != _claim(job):
                return False
            session = self._admin.sessions.find_one({"_id": ObjectId(job.destination.session)}, {"views": 1}) or {}
            # A named image may be shown in several sessions.
            shown = {"_id": {"$in": session.get("views", [])}, "ViewerRecords.Image": ObjectId(job.image)}
            return self._admin.views.find_one(shown, {"_id": 1}) is not None

    def discard(self, job: Job, generation: int) -> bool:
        name = job.staging(generation)
        with _patience(f"the leftovers of job {job.id}"):
            # A view of an image that the caller named shows that one; it is known by what it was made for.
            is_free = True
            for made in ({"ViewerRecords.Image": ObjectId(name)}, {"slidehook.claim": _claim(job, generation)}):
                for view in self._admin.views.find(made, {"slidehook.job": 1}):
                    is_listed = self._admin.sessions.find_one({"views": view["_id"]}, {"_id": 1}) is not None
                    if not is_listed and _ours(view).get("job"):
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
        with _patience("the collections of the image stores"):
            return frozenset(
                (database.name, name)
                for database in self._data_of_all_stores()
                for name in database.list_collection_names(filter=wanted)
            )

    def _data_of_all_stores(self, job: Job | None = None) -> "list[Database[dict[str, Any]]]":
        """Return the databases of all image stores, and a job's, which may not be one any more."""
        names = {job.destination.database if job else "", *self._admin.databases.distinct("dbname")}
        return [self._store(name) for name in sorted(name for name in names if isinstance(name, str) and name)]

    # -- reading -----------------------------------------------------------------------------------------------------

    def stored(self, database: str, image: str, names: Sequence[str]) -> Mapping[str, Sequence[Stored]]:
        found: dict[str, list[Stored]] = {}
        with _patience(f"the tiles of image {image}"):
            for each in self._store(database)[image].find({"name": {"$in": list(names)}}, {"name": 1, "file": 1}):
                found.setdefault(each["name"], []).append(_stored(each))
        return found

    def documents(self, database: str, image: str) -> int:
        with _patience(f"the tiles of image {image}"):
            # By the index: the tiles themselves are not read for it.
            return self._store(database)[image].count_documents({}, hint="_id_")

    def tile(self, image_store: str, image: str, name: str) -> bytes | None:
        with _patience(f"tile {name} of image {image}"):
            database = self._database_of(image_store)
            found = None if database is None else database[image].find_one({"name": name}, {"_id": 0, "file": 1})
        return None if found is None else bytes(found["file"])

    def has_tile(self, image_store: str, image: str, tile: bytes) -> bool:
        # With a hint, since without one the server takes its short cut for ids, which fetches the document.
        wanted = {"_id": ObjectId(tile)}
        with _patience(f"a tile of image {image}"):
            database = self._database_of(image_store)
            return database is not None and database[image].find_one(wanted, {"_id": 1}, hint="_id_") is not None

    def _database_of(self, image_store: str) -> "Database[dict[str, Any]] | None":
        def ask() -> str | None:
            store = self._admin.databases.find_one({"_id": ObjectId(image_store)}, {"dbname": 1})
            return (store or {}).get("dbname") or None

        name = self._databases.get(image_store, ask, most_seconds_old=STORE_SECONDS)
        return None if name is None else self._client[name]

    def image_of(self, view: str, *, most_seconds_old: float = 0.0) -> tuple[str, str] | None:
        def ask() -> tuple[str, str] | None:
            found = self._admin.views.find_one({"_id": ObjectId(view)}, {"ViewerRecords": 1}) or {}
            records: Sequence[Document] = found.get("ViewerRecords") or ({},)
            record = records[0]
            place = record.get("Database"), record.get("Image")
            return (str(place[0]), str(place[1])) if all(isinstance(each, ObjectId) for each in place) else None

        with _patience(f"view {view}"):
            return self._views.get(view, ask, most_seconds_old=most_seconds_old)

    def image(self, image_store: str, image: str, *, most_seconds_old: float = 0.0) -> PublishedImage | None:
        def ask() -> PublishedImage | None:
            database = self._database_of(image_store)
            large = {"slidehook.icc": 0, "slidehook.associated": 0}
            found = None if database is None else database.images.find_one({"_id": ObjectId(image)}, large)
            return _published_image(found or {})

        with _patience(f"image {image}"):
            return self._images.get((image_store, image), ask, most_seconds_old=most_seconds_old)

    def staged_tile(self, job: Job, name: str) -> bytes | None:
        with _patience(f"staged tile {name} of job {job.id}"):
            found = self._tiles(job, job.generation).find_one({"name": name}, {"file": 1})
        return None if found is None else bytes(found["file"])

    def beside(self, image_store: str, image: str, name: str) -> bytes | None:
        field = "icc" if name == "icc" else f"associated.{name}"
        with _patience(f"{name} of image {image}"):
            database = self._database_of(image_store)
            if database is None:
                return None
            found = database.images.find_one({"_id": ObjectId(image)}, {f"slidehook.{field}": 1})
        kept = _ours(found or {})
        stored = kept.get("icc") if name == "icc" else (kept.get("associated") or {}).get(name)
        return bytes(stored) if stored else None

    def collections_of(self, image_store: str, image: str) -> frozenset[str]:
        record = {"Image": ObjectId(image), "Database": ObjectId(image_store)}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"ViewerRecords.Image": ObjectId(image), "ViewerRecords": {"$elemMatch": record}}},
            {"$lookup": {"from": "sessions", "localField": "_id", "foreignField": "views", "as": "sessions"}},
            {"$project": {"_id": 0, "sessions.collection": 1}},
        ]
        with _patience(f"the views of image {image}"):
            found = [session for view in self._admin.views.aggregate(pipeline) for session in view["sessions"]]
        return frozenset(str(session["collection"]) for session in found if "collection" in session)

    def collections(self) -> tuple[CollectionFacts, ...]:
        sessions: dict[Any, list[SessionFacts]] = {}
        with _patience("the collections"):
            found = list(self._admin.collections.find().sort([("label", ASCENDING), ("_id", ASCENDING)]))
            for each in self._admin.sessions.find().sort("label"):
                sessions.setdefault(each.get("collection"), []).append(_session(each))
        return tuple(_collection(each, sessions.get(each["_id"], ())) for each in found)

    def collection(self, collection: str) -> CollectionFacts:
        with _patience(f"collection {collection}"):
            found = self._admin.collections.find_one({"_id": ObjectId(collection)})
            if found is None:
                raise NoSuchCollectionError(f"there is no collection {collection}")
            sessions = [
                _session(each) for each in self._admin.sessions.find({"collection": found["_id"]}).sort("label")
            ]
        return _collection(found, sessions)

    def session(self, session: str) -> SessionFacts:
        with _patience(f"session {session}"):
            # A key may name none.
            is_id = ObjectId.is_valid(session)
            found = self._admin.sessions.find_one({"_id": ObjectId(session)}) if is_id else None
        if found is None:
            raise NoSuchSessionError(f"there is no session {session}")
        return _session(found)

    def make_session(self, collection: str, label: str) -> tuple[SessionFacts, bool]:
        facts = self.collection(collection)
        known = next((session for session in facts.sessions if session.label == label), None)
        if known is not None:
            return known, False
        # The id follows from the label, so that two callers at once make one session.
        session_id = object_id("session", collection, label)
        with _patience(f"session {label!r}"):
            made = self._admin.sessions.update_one(
                {"_id": ObjectId(session_id)},
                {
                    "$setOnInsert": {
                        "collection": ObjectId(collection),
                        "label": label,
                        "views": [],
                        "attachments": [],
                        "imagefiles": [],
                    }
                },
                upsert=True,
            )
        return self.session(session_id), made.upserted_id is not None

    def shown(self, session: str) -> Mapping[str, str | None]:
        listed = self.session(session).views
        with _patience(f"session {session}"):
            found = self._admin.views.find({"_id": {"$in": [ObjectId(view) for view in listed]}}, {"slidehook.job": 1})
            jobs = {str(view["_id"]): _ours(view).get("job") for view in found}
        return {view: jobs[view] for view in listed if view in jobs}

    def shown_slides(self, session: str) -> Mapping[str, str]:
        listed = [ObjectId(view) for view in self.session(session).views]
        with _patience(f"session {session}"):
            found = [_ours(view) for view in self._admin.views.find({"_id": {"$in": listed}}, {"slidehook": 1})]
        return {ours["slide"]: ours["job"] for ours in found if "slide" in ours and "job" in ours}

    def slides(self, session: str, *, cursor: str | None, limit: int) -> SlidePage:
        page, following = page_of(self.session(session).views, cursor, limit)
        with _patience(f"the slides of session {session}"):
            wanted = {"_id": {"$in": [ObjectId(view) for view in page]}}
            found = {str(view["_id"]): view for view in self._admin.views.find(wanted)}
            records = {view: each["ViewerRecords"][0] for view, each in found.items() if each.get("ViewerRecords")}
            images = self._images_of(records.values())
        return SlidePage(
            slides=tuple(_shown(found[view], records[view], images) for view in page if view in records),
            cursor=following,
        )

    def _images_of(self, records: Iterable[Document]) -> dict[tuple[Any, Any], Document]:
        """Return the documents of the images that views show, by (store, image), with one request a store."""
        wanted: dict[Any, list[Any]] = {}
        for record in records:
            wanted.setdefault(record.get("Database"), []).append(record.get("Image"))
        stores = self._admin.databases.find({"_id": {"$in": list(wanted)}}, {"dbname": 1})
        return {
            (store["_id"], image["_id"]): image
            for store in stores
            for image in self._client[store["dbname"]].images.aggregate(
                [{"$match": {"_id": {"$in": wanted[store["_id"]]}}}, {"$project": _WITHOUT_CONTENTS}]
            )
        }

    def take_out(self, session: str, views: Sequence[str] | None) -> int:
        self.session(session)
        everything: Document = {"$set": {"views": [], "attachments": [], "imagefiles": []}}
        ids = [ObjectId(view) for view in views or ()]
        with _patience(f"session {session}"):
            before = self._admin.sessions.find_one_and_update(
                {"_id": ObjectId(session)},
                everything if views is None else {"$pull": {"views": {"$in": ids}}},
                return_document=ReturnDocument.BEFORE,
            )
            listed = set((before or {}).get("views", []))
            taken = listed if views is None else listed & set(ids)
            self._admin.views.delete_many({"_id": {"$in": list(taken)}})
        return len(taken)

    def ping(self) -> None:
        try:
            self._client.admin.command("ping")
        except PyMongoError as error:
            raise ArchiveBusyError(f"MongoDB does not answer: {error}") from error


def _stored(document: Document) -> Stored:
    """Return a tile as it is found; what somebody else has put there need not have our types."""
    tile, file = document["_id"], document.get("file")
    return Stored(tile.binary if isinstance(tile, ObjectId) else b"", bytes(file) if isinstance(file, bytes) else b"")


def _held(tiles: "Collection[dict[str, Any]]") -> Holding:
    """Return what a collection holds. Both are answered from an index alone, side by side; the tiles themselves are
    not read."""
    with ThreadPoolExecutor(1) as beside:
        counted = beside.submit(_tiles_by_depth, tiles)
        digest = _digest(tiles)
        return Holding(tiles_by_depth=counted.result(), digest=digest)


def _tiles_by_depth(tiles: "Collection[dict[str, Any]]") -> dict[int, int]:
    names_only = {"$project": {"_id": 0, "name": 1}}
    by_length = {"$group": {"_id": {"$strLenBytes": "$name"}, "tiles": {"$sum": 1}}}
    try:
        found = list(tiles.aggregate([names_only, by_length], hint="name_1"))
    except OperationFailure as error:
        if error.code not in (BAD_HINT, NAMESPACE_NOT_FOUND):
            raise
        return {}  # the index is not there, and so neither is the collection
    return {each["_id"] - len(".jpg"): each["tiles"] for each in found}


def _digest(tiles: "Collection[dict[str, Any]]") -> int:
    """Return the sum of all ids. They come as the server sends them: a slide of 3 GB has a quarter of a million,
    and an object for each would take longer than the reading."""
    total = 0
    batches: Iterable[Any] = tiles.find_raw_batches({}, {"_id": 1}, batch_size=DIGEST_BATCH).hint("_id_")
    for batch in batches:
        total += sum([int.from_bytes(found, "big") for (found,) in ID_DOCUMENT.iter_unpack(batch)])
    return total % SUM_MODULUS


def _ours(document: Document) -> dict[str, Any]:
    return document.get("slidehook") or {}


def _claim(job: Job, generation: int | None = None) -> str:
    """Which generation of which job: what publishing is noted under."""
    return f"{job.id}/{job.generation if generation is None else generation}"


def _trace(job: Job) -> dict[str, object]:
    """What our sub-document says of the slide: which job and which source it shows, and its order."""
    return {
        "job": job.id,
        "claim": _claim(job),
        "slide": job.source.slide,
        "source": f"s3://{job.source.bucket}/{job.source.key}",
        "etag": job.source.etag,
        "order": job.order,
        "submitted_at": job.submitted_at,
    }


def _literal(values: Mapping[str, object]) -> dict[str, object]:
    """Return values for an update pipeline, where a text that begins with a dollar sign would name a field."""
    return {name: {"$literal": value} for name, value in values.items()}


def _unless_ours(by: str, claim: str, name: str, value: object) -> dict[str, object]:
    """Return the pipeline's value for our field `name`: what it is, if `by` shows that this very claim wrote it."""
    return {"$cond": [{"$eq": [f"$slidehook.{by}", claim]}, f"$slidehook.{name}", value]}


def _list_of(path: str) -> dict[str, object]:
    """Return the pipeline's list of a field's value: empty if there is none."""
    return {"$cond": [{"$eq": [{"$type": path}, "missing"]}, [], [path]]}


def _view_id(job: Job) -> ObjectId:
    return ObjectId(object_id("view", job.destination.session, job.source.slide))


def _image(facts: ImageFacts, now: float) -> dict[str, object]:
    return {
        "filename": facts.file_name,
        "label": facts.file_name,
        "origin": [0, 0, 0],
        "spacing": _spacing(facts),
        "dimensions": [facts.width_px, facts.height_px, 1],
        "levels": facts.levels,
        "components": 3,
        "TileSize": facts.tile_size_px,
        "CoordinateSystem": "Pixel",
        "bounds": [0, facts.width_px, 0, facts.height_px],
        "metadataready": True,
        "uploaded_at": datetime.fromtimestamp(now, UTC),
    }


NANOMETRES = 1000.0  # in a micrometre


def _spacing(facts: ImageFacts) -> list[float]:
    """Return the distance of pixels in nanometres; SlideAtlas writes 1 where it is not known."""
    x, y = facts.slide.mpp_x, facts.slide.mpp_y
    return [1, 1, 1] if x is None or y is None else [x * NANOMETRES, y * NANOMETRES, 1]


def _known(facts: ImageFacts) -> dict[str, object]:
    """Return what is kept of a slide beside SlideAtlas' own fields. Every field is always written: nothing of an image
    that is replaced, such as its label, stays."""
    return {
        "mpp": [facts.slide.mpp_x, facts.slide.mpp_y],
        "levels": facts.levels_published,
        "magnification": facts.slide.magnification,
        "vendor": facts.slide.vendor,
        "icc": Binary(facts.icc_profile),
        "associated": {each.name: Binary(each.jpeg) for each in facts.associated},
    }


DEFAULT_TILE_SIZE_PX = 256  # SlideAtlas' own, where a document does not say


def _published_image(found: Document) -> PublishedImage | None:
    """Return what an image document says, ours or not; None if it does not tell the slide's size."""
    dimensions: Sequence[Any] = found.get("dimensions") or (0, 0)
    ours = _ours(found)
    if not all(dimensions[:2]) or not found.get("levels"):
        return None
    mpp = ours.get("mpp") or (None, None)
    slide = SlideSummary(mpp_x=mpp[0], mpp_y=mpp[1], magnification=ours.get("magnification"), vendor=ours.get("vendor"))
    facts = ImageFacts(
        file_name=str(found.get("filename", "")),
        width_px=int(dimensions[0]),
        height_px=int(dimensions[1]),
        tile_size_px=int(found.get("TileSize") or DEFAULT_TILE_SIZE_PX),
        levels=int(found["levels"]),
        levels_published=ours.get("levels"),
        slide=slide,
    )
    return PublishedImage(facts=facts, claim=str(ours.get("claim", "")))


def _collection(found: Document, sessions: Sequence[SessionFacts]) -> CollectionFacts:
    store = found.get("image_store")
    return CollectionFacts(
        id=str(found["_id"]),
        label=str(found.get("label", "")),
        image_store=None if store is None else str(store),
        sessions=tuple(sessions),
    )


# A profile, and pictures, may have megabytes.
_WITHOUT_CONTENTS = {
    "filename": 1,
    "dimensions": 1,
    "TileSize": 1,
    "levels": 1,
    "slidehook.levels": 1,
    "slidehook.mpp": 1,
    "slidehook.magnification": 1,
    "slidehook.vendor": 1,
    "icc_profile_bytes": {
        "$cond": [{"$eq": [{"$type": "$slidehook.icc"}, "binData"]}, {"$binarySize": "$slidehook.icc"}, 0]
    },
    "associated": {"$map": {"input": {"$objectToArray": "$slidehook.associated"}, "in": "$$this.k"}},
}


def _shown(view: Document, record: Document, images: Mapping[tuple[Any, Any], Document]) -> ShownSlide:
    store, image = record.get("Database"), record.get("Image")
    found = images.get((store, image))
    return ShownSlide(
        view=str(view["_id"]),
        title=str(view.get("Title", "")),
        image_store=str(store),
        image=str(image),
        job=_ours(view).get("job"),
        facts=None if found is None else _facts(found),
    )


def _facts(image: Document) -> ImageFacts | None:
    """Return what the document of an image says, with how much lies beside it; None if it tells no size."""
    published = _published_image(image)
    if published is None:
        return None
    slide = replace(
        published.facts.slide,
        icc_profile_bytes=int(image.get("icc_profile_bytes") or 0),
        associated=tuple(image.get("associated") or ()),
    )
    return replace(published.facts, slide=slide)


def _session(found: Document) -> SessionFacts:
    return SessionFacts(
        id=str(found["_id"]),
        label=str(found.get("label", "")),
        collection=str(found.get("collection", "")),
        views=tuple(str(view) for view in found.get("views", [])),
    )
