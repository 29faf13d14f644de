"""Published images and their tiles."""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from chalicelib.adapters.mongo.client import Document, MongoConnection, translate_transient_errors
from chalicelib.adapters.mongo.documents import published_image, slidehook_of, stored_tile
from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.verification import Stored
from chalicelib.ports.archive import PublishedImage


class MongoTileReader(MongoConnection):
    """Reads of published images, and of tiles in staging collections."""

    def tile(self, image_store: str, image: str, name: str) -> bytes | None:
        with translate_transient_errors(f"tile {name} of image {image}"):
            database = self._database_of(image_store)
            found = None if database is None else database[image].find_one({"name": name}, {"_id": 0, "file": 1})
        return None if found is None else bytes(found["file"])

    def has_tile(self, image_store: str, image: str, tile: bytes) -> bool:
        # With a hint, since without one the server takes its short cut for ids, which fetches the document.
        wanted = {"_id": ObjectId(tile)}
        with translate_transient_errors(f"a tile of image {image}"):
            database = self._database_of(image_store)
            return database is not None and database[image].find_one(wanted, {"_id": 1}, hint="_id_") is not None

    def image_of(self, view: str, *, most_seconds_old: float = 0.0) -> tuple[str, str] | None:
        def ask() -> tuple[str, str] | None:
            found = self._admin.views.find_one({"_id": ObjectId(view)}, {"ViewerRecords": 1}) or {}
            records: Sequence[Document] = found.get("ViewerRecords") or ({},)
            record = records[0]
            place = record.get("Database"), record.get("Image")
            return (str(place[0]), str(place[1])) if all(isinstance(each, ObjectId) for each in place) else None

        with translate_transient_errors(f"view {view}"):
            return self._views.get(view, ask, most_seconds_old=most_seconds_old)

    def image(self, image_store: str, image: str, *, most_seconds_old: float = 0.0) -> PublishedImage | None:
        def ask() -> PublishedImage | None:
            database = self._database_of(image_store)
            large = {"slidehook.icc": 0, "slidehook.associated": 0}
            found = None if database is None else database.images.find_one({"_id": ObjectId(image)}, large)
            return published_image(found or {})

        with translate_transient_errors(f"image {image}"):
            return self._images.get((image_store, image), ask, most_seconds_old=most_seconds_old)

    def associated_image(self, image_store: str, image: str, name: str) -> bytes | None:
        field = "icc" if name == "icc" else f"associated.{name}"
        with translate_transient_errors(f"{name} of image {image}"):
            database = self._database_of(image_store)
            if database is None:
                return None
            found = database.images.find_one({"_id": ObjectId(image)}, {f"slidehook.{field}": 1})
        kept = slidehook_of(found or {})
        stored = kept.get("icc") if name == "icc" else (kept.get("associated") or {}).get(name)
        return bytes(stored) if stored else None

    def stored(self, database: str, image: str, names: Sequence[str]) -> Mapping[str, Sequence[Stored]]:
        found: dict[str, list[Stored]] = {}
        with translate_transient_errors(f"the tiles of image {image}"):
            for each in self._store(database)[image].find({"name": {"$in": list(names)}}, {"name": 1, "file": 1}):
                found.setdefault(each["name"], []).append(stored_tile(each))
        return found

    def documents(self, database: str, image: str) -> int:
        with translate_transient_errors(f"the tiles of image {image}"):
            # By the index: the tiles themselves are not read for it.
            return self._store(database)[image].count_documents({}, hint="_id_")

    def staged_tile(self, job: Job, name: str) -> bytes | None:
        with translate_transient_errors(f"staged tile {name} of job {job.id}"):
            found = self._tiles(job, job.generation).find_one({"name": name}, {"file": 1})
        return None if found is None else bytes(found["file"])
