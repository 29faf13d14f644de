"""Collections, sessions and views in memory."""

from collections.abc import Mapping, Sequence

from chalicelib.adapters.cursors import page_of
from chalicelib.adapters.memory.databases import MemoryDatabases, SessionRecord, without_contents
from chalicelib.core.errors import (
    ForeignSessionError,
    NoImageStoreError,
    NoSuchCollectionError,
    NoSuchSessionError,
)
from chalicelib.core.ids import object_id
from chalicelib.core.jobs.model import Destination
from chalicelib.ports.archive import CollectionFacts, SessionFacts, ShownSlide, SlidePage


class MemoryCatalog(MemoryDatabases):
    """The catalog: collections, sessions and views."""

    def locate(self, collection: str, session: str, mongo_collection: str | None) -> Destination:
        if collection not in self._collections:
            raise NoSuchCollectionError(f"collection {collection} does not exist", pointer="/collection")
        if session not in self._sessions:
            raise NoSuchSessionError(f"session {session} does not exist", pointer="/session")
        found = self._sessions[session]
        if found.collection != collection:
            raise ForeignSessionError(
                f"session {session} does not belong to collection {collection}", pointer="/session"
            )
        image_store = found.image_store or self._collections[collection][1]
        if image_store is None or image_store not in self._stores:
            raise NoImageStoreError(f"collection {collection} has no image store", pointer="/collection")
        return Destination(
            collection=collection,
            session=session,
            image_store=image_store,
            database=self._stores[image_store],
            mongo_collection=mongo_collection,
        )

    def collections(self) -> tuple[CollectionFacts, ...]:
        found = [self.collection(each) for each in self._collections]
        return tuple(sorted(found, key=lambda each: (each.label, each.id)))

    def collection(self, collection: str) -> CollectionFacts:
        if collection not in self._collections:
            raise NoSuchCollectionError(f"collection {collection} does not exist")
        label, image_store = self._collections[collection]
        sessions = [self.session(each) for each, found in self._sessions.items() if found.collection == collection]
        return CollectionFacts(
            id=collection,
            label=label,
            image_store=image_store,
            sessions=tuple(sorted(sessions, key=lambda session: session.label)),
        )

    def session(self, session: str) -> SessionFacts:
        if session not in self._sessions:
            raise NoSuchSessionError(f"session {session} does not exist")
        found = self._sessions[session]
        return SessionFacts(id=session, label=found.label, collection=found.collection, views=tuple(found.views))

    def make_session(self, collection: str, label: str) -> tuple[SessionFacts, bool]:
        existing = next((session for session in self.collection(collection).sessions if session.label == label), None)
        if existing is not None:
            return existing, False
        self._before_write("create session")
        session = object_id("session", collection, label)
        record = SessionRecord(label=label, collection=collection, image_store=None)
        is_new = self._sessions.setdefault(session, record) is record
        return self.session(session), is_new

    def shown(self, session: str) -> Mapping[str, str | None]:
        listed = self.session(session).views
        traces = {view: self.views[view].trace for view in listed if view in self.views}
        return {view: trace.job if trace else None for view, trace in traces.items()}

    def shown_slides(self, session: str) -> Mapping[str, str]:
        listed = self.session(session).views
        traces = [self.views[view].trace for view in listed if view in self.views]
        return {trace.slide: trace.job for trace in traces if trace is not None}

    def slides(self, session: str, *, cursor: str | None, limit: int) -> SlidePage:
        page, next_cursor = page_of(self.session(session).views, cursor, limit)
        return SlidePage(slides=tuple(self._shown(view) for view in page if view in self.views), cursor=next_cursor)

    def _shown(self, view: str) -> ShownSlide:
        found = self.views[view]
        image = self.images.get((self._stores.get(found.image_store, ""), found.image))
        facts = image.facts if image else None
        return ShownSlide(
            view=view,
            title=found.title,
            image_store=found.image_store,
            image=found.image,
            job=found.trace.job if found.trace else None,
            facts=None if facts is None else without_contents(facts),
        )

    def remove_views(self, session: str, views: Sequence[str] | None) -> int:
        self.session(session)
        self._before_write("remove views from session")
        with self._lock:
            listed = self._sessions[session].views
            remaining = [view for view in listed if views is not None and view not in views]
            self._sessions[session].views = remaining
        self._before_write("delete views")
        self._delete(set(listed) - set(remaining))
        return len(listed) - len(remaining)

    def collections_of(self, image_store: str, image: str) -> frozenset[str]:
        showing = {
            view for view, shown in self.views.items() if (shown.image_store, shown.image) == (image_store, image)
        }
        return frozenset(session.collection for session in self._sessions.values() if showing & set(session.views))

    def ping(self) -> None:
        pass
