"""An archive to try things on: the port, what SlideAtlas itself would have put there, and a reader's eyes."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chalicelib.adapters.memory import MemoryArchive, MemoryView
from chalicelib.adapters.mongo.archive import MongoArchive
from chalicelib.core.errors import MongoUnavailableError
from chalicelib.ports.archive import Archive, ImageFacts
from tests.contracts.samples import COLLECTION, OTHER_COLLECTION, OTHER_SESSION, OTHER_STORE, SESSION, STORE
from tests.timeouts import TIMEOUT_SECONDS

WRITES = ["insert", "update", "findAndModify", "delete", "drop", "renameCollection", "createIndexes"]


class ArchiveBench(Protocol):
    """Two collections: the first with a store and two sessions, the second with neither. `database` is the store's,
    `other_database` that of a store which no collection has."""

    @property
    def archive(self) -> Archive: ...

    @property
    def database(self) -> str: ...

    @property
    def other_database(self) -> str: ...

    def add_session(self, session: str, *, collection: str, label: str, image_store: str | None) -> None: ...

    def add_foreign_view(self, view: str, *, session: str, image: str, file_name: str) -> None:
        """Add a view that SlideAtlas made, at the head of its session."""

    def add_copy(self, view: str, *, session: str, image: str) -> None:
        """Add a view that a user of SlideAtlas made of an image that is there, at the head of its session."""

    def forget_entry(self, session: str, view: str) -> None:
        """Take a view off its session's list, and leave it where it is."""

    def lose_view(self, view: str) -> None:
        """Take a view away, and leave the session's list as it is."""

    def shown_image(self, view: str) -> str | None:
        """Return the image that a view shows, None if there is no such view."""

    def knows_image(self, image: str) -> bool:
        """Tell whether there is an image document of this id."""

    def breaks_off(self, at: int) -> Any:
        """A context in which write number `at` (from 0) is not made and ends in MongoUnavailableError."""

    def can_break_off(self) -> bool: ...

    def before_the_switch(self, act: Callable[[], None]) -> None:
        """Do something, once, when the next publication has looked at everything and is about to switch its view."""


def _facts(file_name: str) -> ImageFacts:
    return ImageFacts(file_name=file_name, width_px=10, height_px=10, tile_size_px=256, levels=1)


class MemoryBench:
    def __init__(self) -> None:
        self.archive = MemoryArchive(before_write=self._before_write)
        self.database, self.other_database = "tiles", "elsewhere"
        self._left: int | None = None
        self._act: Callable[[], None] | None = None
        self.archive.add_store(STORE, database=self.database)
        self.archive.add_store(OTHER_STORE, database=self.other_database)
        self.archive.add_collection(COLLECTION, label="Pathology", image_store=STORE)
        self.archive.add_collection(OTHER_COLLECTION, label="Nowhere")
        self.add_session(SESSION, collection=COLLECTION, label="Liver", image_store=None)
        self.add_session(OTHER_SESSION, collection=COLLECTION, label="Kidney", image_store=None)

    def _before_write(self, write: str) -> None:
        if write == "switch" and self._act is not None:
            act, self._act = self._act, None
            act()
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._left = None
                raise MongoUnavailableError(f"broke off before: {write}")

    def add_session(self, session: str, *, collection: str, label: str, image_store: str | None) -> None:
        self.archive.add_session(session, collection=collection, label=label, image_store=image_store)

    def add_foreign_view(self, view: str, *, session: str, image: str, file_name: str) -> None:
        self.archive.add_view(view, session=session, image=image, image_store=STORE, facts=_facts(file_name))

    def add_copy(self, view: str, *, session: str, image: str) -> None:
        self.archive.views[view] = MemoryView(image=image, image_store=STORE, title="copy")
        self.archive._sessions[session].views.insert(0, view)

    def forget_entry(self, session: str, view: str) -> None:
        self.archive._sessions[session].views.remove(view)

    def lose_view(self, view: str) -> None:
        del self.archive.views[view]

    def shown_image(self, view: str) -> str | None:
        return self.archive.views[view].image if view in self.archive.views else None

    def knows_image(self, image: str) -> bool:
        return (self.database, image) in self.archive.images

    @contextmanager
    def breaks_off(self, at: int) -> Iterator[None]:
        self._left = at
        try:
            yield
        finally:
            self._left = None

    def can_break_off(self) -> bool:
        return True

    def before_the_switch(self, act: Callable[[], None]) -> None:
        self._act = act


class _BeforeSwitch(CommandListener):
    """Acts, once, on the caller's thread, before a view is switched."""

    def __init__(self) -> None:
        self.act: Callable[[], None] | None = None

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "findAndModify" and event.command["findAndModify"] == "views" and self.act is not None:
            act, self.act = self.act, None
            act()

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


class MongoBench:
    def __init__(self, uri: str) -> None:
        self.breaks_by: dict[str, Any] = {"closeConnection": True}
        mark = secrets.token_hex(6)
        self._before_switch = _BeforeSwitch()
        self._client = client = MongoClient[dict[str, Any]](
            uri, serverSelectionTimeoutMS=1000 * TIMEOUT_SECONDS, event_listeners=[self._before_switch]
        )
        self._names = [f"slidehook_test_{mark}_{part}" for part in ("admin", "tiles", "elsewhere")]
        self.admin = client[self._names[0]]
        self.database, self.other_database = self._names[1:]
        self.archive = MongoArchive(client, self._names[0])
        self._fill()

    def begin_again(self) -> None:
        """Be as at first. Sooner done than by dropping databases."""
        for collection in ("databases", "collections", "sessions", "views"):
            self.admin[collection].delete_many({})
        for name in self.tiles.list_collection_names():
            if name == "images":
                self.tiles[name].delete_many({})
            else:
                self.tiles.drop_collection(name)
        self._before_switch.act = None
        self._fill()

    def _fill(self) -> None:
        for store, name in ((STORE, self._names[1]), (OTHER_STORE, self._names[2])):
            self.admin.databases.insert_one(
                {
                    "_id": ObjectId(store),
                    "_cls": "ImageStore.MultipleDatabaseImageStore.MongoImageStore",
                    "label": name,
                    "host": "127.0.0.1",
                    "dbname": name,
                }
            )
        self.admin.collections.insert_many(
            [
                {"_id": ObjectId(COLLECTION), "label": "Pathology", "image_store": ObjectId(STORE)},
                {"_id": ObjectId(OTHER_COLLECTION), "label": "Nowhere"},
            ]
        )
        self.add_session(SESSION, collection=COLLECTION, label="Liver", image_store=None)
        self.add_session(OTHER_SESSION, collection=COLLECTION, label="Kidney", image_store=None)

    @property
    def tiles(self) -> "Database[dict[str, Any]]":
        return self._client[self.database]

    def drop(self) -> None:
        for name in self._names:
            self._client.drop_database(name)
        self._client.close()

    def add_session(self, session: str, *, collection: str, label: str, image_store: str | None) -> None:
        document: dict[str, Any] = {
            "_id": ObjectId(session),
            "collection": ObjectId(collection),
            "label": label,
            "views": [],
            "attachments": [],
            "imagefiles": [],
        }
        if image_store is not None:
            document["image_store"] = ObjectId(image_store)
        self.admin.sessions.insert_one(document)

    def add_foreign_view(self, view: str, *, session: str, image: str, file_name: str) -> None:
        self.tiles.images.insert_one(
            {
                "_id": ObjectId(image),
                "filename": file_name,
                "label": file_name,
                "uploaded_at": datetime.now(UTC),
                "dimensions": [10, 10, 1],
                "levels": 1,
                "TileSize": 256,
            }
        )
        self._add_view(view, session=session, image=image, title=file_name)

    def add_copy(self, view: str, *, session: str, image: str) -> None:
        self._add_view(view, session=session, image=image, title="copy")

    def _add_view(self, view: str, *, session: str, image: str, title: str) -> None:
        self.admin.views.insert_one(
            {
                "_id": ObjectId(view),
                "ViewerRecords": [{"Image": ObjectId(image), "Database": ObjectId(STORE)}],
                "Title": title,
                "Type": "Note",
                "CoordinateSystem": "Pixel",
            }
        )
        self.admin.sessions.update_one(
            {"_id": ObjectId(session)}, {"$push": {"views": {"$each": [ObjectId(view)], "$position": 0}}}
        )

    def forget_entry(self, session: str, view: str) -> None:
        self.admin.sessions.update_one({"_id": ObjectId(session)}, {"$pull": {"views": ObjectId(view)}})

    def lose_view(self, view: str) -> None:
        self.admin.views.delete_one({"_id": ObjectId(view)})

    def shown_image(self, view: str) -> str | None:
        found = self.admin.views.find_one({"_id": ObjectId(view)})
        return None if found is None else str(found["ViewerRecords"][0]["Image"])

    def knows_image(self, image: str) -> bool:
        return self.tiles.images.find_one({"_id": ObjectId(image)}) is not None

    @contextmanager
    def breaks_off(self, at: int) -> Iterator[None]:
        self._fail_command({"times": 1} if at == 0 else {"skip": at})
        try:
            yield
        finally:
            self._fail_command("off")

    def before_the_switch(self, act: Callable[[], None]) -> None:
        self._before_switch.act = act

    def can_break_off(self) -> bool:
        try:
            self._fail_command("off")
        except OperationFailure:  # the user's own server, which rightly does not take test commands
            return False
        return True

    def _fail_command(self, mode: Any) -> None:
        how = {} if mode == "off" else {"data": {"failCommands": WRITES, **self.breaks_by}}
        self._client.admin.command({"configureFailPoint": "failCommand", "mode": mode, **how})
