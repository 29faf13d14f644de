"""SlideAtlas' catalog: collections, sessions and views."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, ReturnDocument

from chalicelib.adapters.cursors import page_of
from chalicelib.adapters.mongo.client import Document, MongoConnection, translate_transient_errors
from chalicelib.adapters.mongo.documents import (
    WITHOUT_CONTENTS,
    collection_facts,
    session_facts,
    shown_slide,
    slidehook_of,
)
from chalicelib.core.errors import (
    ForeignSessionError,
    NoImageStoreError,
    NoSuchCollectionError,
    NoSuchSessionError,
)
from chalicelib.core.ids import object_id
from chalicelib.core.jobs.model import Destination
from chalicelib.ports.archive import CollectionFacts, SessionFacts, SlidePage


class MongoCatalog(MongoConnection):
    """The catalog: collections, sessions and views."""

    def locate(self, collection: str, session: str, mongo_collection: str | None) -> Destination:
        with translate_transient_errors(f"session {session}"):
            parent = self._admin.collections.find_one({"_id": ObjectId(collection)})
            if parent is None:
                raise NoSuchCollectionError(f"collection {collection} does not exist", pointer="/collection")
            found = self._admin.sessions.find_one({"_id": ObjectId(session)})
            if found is None:
                raise NoSuchSessionError(f"session {session} does not exist", pointer="/session")
            if found.get("collection") != parent["_id"]:
                raise ForeignSessionError(
                    f"session {session} does not belong to collection {collection}", pointer="/session"
                )
            store_id = found.get("image_store") or parent.get("image_store")
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

    def collections(self) -> tuple[CollectionFacts, ...]:
        sessions: dict[Any, list[SessionFacts]] = {}
        with translate_transient_errors("the collections"):
            found = list(self._admin.collections.find().sort([("label", ASCENDING), ("_id", ASCENDING)]))
            for each in self._admin.sessions.find().sort("label"):
                sessions.setdefault(each.get("collection"), []).append(session_facts(each))
        return tuple(collection_facts(each, sessions.get(each["_id"], ())) for each in found)

    def collection(self, collection: str) -> CollectionFacts:
        with translate_transient_errors(f"collection {collection}"):
            found = self._admin.collections.find_one({"_id": ObjectId(collection)})
            if found is None:
                raise NoSuchCollectionError(f"collection {collection} does not exist")
            sessions = [
                session_facts(each) for each in self._admin.sessions.find({"collection": found["_id"]}).sort("label")
            ]
        return collection_facts(found, sessions)

    def session(self, session: str) -> SessionFacts:
        with translate_transient_errors(f"session {session}"):
            # The session of an object key may not be an ObjectId.
            is_id = ObjectId.is_valid(session)
            found = self._admin.sessions.find_one({"_id": ObjectId(session)}) if is_id else None
        if found is None:
            raise NoSuchSessionError(f"session {session} does not exist")
        return session_facts(found)

    def make_session(self, collection: str, label: str) -> tuple[SessionFacts, bool]:
        facts = self.collection(collection)
        existing = next((session for session in facts.sessions if session.label == label), None)
        if existing is not None:
            return existing, False
        # The id is derived from the label, so that concurrent callers create one session.
        session_id = object_id("session", collection, label)
        with translate_transient_errors(f"session {label!r}"):
            written = self._admin.sessions.update_one(
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
        return self.session(session_id), written.upserted_id is not None

    def collections_of(self, image_store: str, image: str) -> frozenset[str]:
        record = {"Image": ObjectId(image), "Database": ObjectId(image_store)}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"ViewerRecords.Image": ObjectId(image), "ViewerRecords": {"$elemMatch": record}}},
            {"$lookup": {"from": "sessions", "localField": "_id", "foreignField": "views", "as": "sessions"}},
            {"$project": {"_id": 0, "sessions.collection": 1}},
        ]
        with translate_transient_errors(f"the views of image {image}"):
            found = [session for view in self._admin.views.aggregate(pipeline) for session in view["sessions"]]
        return frozenset(str(session["collection"]) for session in found if "collection" in session)

    def shown(self, session: str) -> Mapping[str, str | None]:
        listed = self.session(session).views
        with translate_transient_errors(f"session {session}"):
            found = self._admin.views.find({"_id": {"$in": [ObjectId(view) for view in listed]}}, {"slidehook.job": 1})
            jobs = {str(view["_id"]): slidehook_of(view).get("job") for view in found}
        return {view: jobs[view] for view in listed if view in jobs}

    def shown_slides(self, session: str) -> Mapping[str, str]:
        listed = [ObjectId(view) for view in self.session(session).views]
        with translate_transient_errors(f"session {session}"):
            views = self._admin.views.find({"_id": {"$in": listed}}, {"slidehook": 1})
            traces = [slidehook_of(view) for view in views]
        return {trace["slide"]: trace["job"] for trace in traces if "slide" in trace and "job" in trace}

    def slides(self, session: str, *, cursor: str | None, limit: int) -> SlidePage:
        page, next_cursor = page_of(self.session(session).views, cursor, limit)
        with translate_transient_errors(f"the slides of session {session}"):
            on_page = {"_id": {"$in": [ObjectId(view) for view in page]}}
            found = {str(view["_id"]): view for view in self._admin.views.find(on_page)}
            records = {view: each["ViewerRecords"][0] for view, each in found.items() if each.get("ViewerRecords")}
            images = self._images_of(records.values())
        return SlidePage(
            slides=tuple(shown_slide(found[view], records[view], images) for view in page if view in records),
            cursor=next_cursor,
        )

    def _images_of(self, records: Iterable[Document]) -> dict[tuple[Any, Any], Document]:
        """Return the documents of the images that views show, by (store, image). One request for each store."""
        images: dict[Any, list[Any]] = {}
        for record in records:
            images.setdefault(record.get("Database"), []).append(record.get("Image"))
        stores = self._admin.databases.find({"_id": {"$in": list(images)}}, {"dbname": 1})
        return {
            (store["_id"], image["_id"]): image
            for store in stores
            for image in self._client[store["dbname"]].images.aggregate(
                [{"$match": {"_id": {"$in": images[store["_id"]]}}}, {"$project": WITHOUT_CONTENTS}]
            )
        }

    def remove_views(self, session: str, views: Sequence[str] | None) -> int:
        self.session(session)
        clear_all: Document = {"$set": {"views": [], "attachments": [], "imagefiles": []}}
        ids = [ObjectId(view) for view in views or ()]
        with translate_transient_errors(f"session {session}"):
            before = self._admin.sessions.find_one_and_update(
                {"_id": ObjectId(session)},
                clear_all if views is None else {"$pull": {"views": {"$in": ids}}},
                return_document=ReturnDocument.BEFORE,
            )
            listed = set((before or {}).get("views", []))
            removed = listed if views is None else listed & set(ids)
            self._admin.views.delete_many({"_id": {"$in": list(removed)}})
        return len(removed)
