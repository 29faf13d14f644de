"""Published images, their tiles and their associated images."""

from collections.abc import Mapping, Sequence

from bson import ObjectId

from chalicelib.adapters.mongo.client import Document, MongoConnection, translate_transient_errors
from chalicelib.adapters.mongo.documents import published_image, slidehook_of, stored_tile
from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.verification import Stored
from chalicelib.ports.archive import PublishedImage


class MongoTileReader(MongoConnection):
    """Reads published images and their tiles, and tiles of staging collections."""

    def tile(self, image_store: str, image: str, name: str) -> bytes | None:
        with translate_transient_errors(f"tile {name} of image {image}"):
            database = self._database_of(image_store)
            found = None if database is None else database[image].find_one({"name": name}, {"_id": 0, "file": 1})
        return None if found is None else bytes(found["file"])

    def has_tile(self, image_store: str, image: str, tile: bytes) -> bool:
        # Without the hint, the server uses its fast path for ids, which reads the document.
        query = {"_id": ObjectId(tile)}
        with translate_transient_errors(f"a tile of image {image}"):
            database = self._database_of(image_store)
            return database is not None and database[image].find_one(query, {"_id": 1}, hint="_id_") is not None

    def image_of(self, view: str, *, max_age_seconds: float = 0.0) -> tuple[str, str] | None:
        def load() -> tuple[str, str] | None:
            found = self._admin.views.find_one({"_id": ObjectId(view)}, {"ViewerRecords": 1}) or {}
            records: Sequence[Document] = found.get("ViewerRecords") or ({},)
            store, image = records[0].get("Database"), records[0].get("Image")
            are_ids = isinstance(store, ObjectId) and isinstance(image, ObjectId)
            return (str(store), str(image)) if are_ids else None

        with translate_transient_errors(f"view {view}"):
            return self._views.get(view, load, max_age_seconds=max_age_seconds)

    def image(self, image_store: str, image: str, *, max_age_seconds: float = 0.0) -> PublishedImage | None:
        def load() -> PublishedImage | None:
            database = self._database_of(image_store)
            large = {"slidehook.icc": 0, "slidehook.associated": 0}
            found = None if database is None else database.images.find_one({"_id": ObjectId(image)}, large)
            return published_image(found or {})

        with translate_transient_errors(f"image {image}"):
            return self._images.get((image_store, image), load, max_age_seconds=max_age_seconds)

    def associated_image(self, image_store: str, image: str, name: str) -> bytes | None:
        field = "icc" if name == "icc" else f"associated.{name}"
        with translate_transient_errors(f"{name} of image {image}"):
            database = self._database_of(image_store)
            if database is None:
                return None
            found = database.images.find_one({"_id": ObjectId(image)}, {f"slidehook.{field}": 1})
        extra = slidehook_of(found or {})
        stored = extra.get("icc") if name == "icc" else (extra.get("associated") or {}).get(name)
        return bytes(stored) if stored else None

    def stored(self, database: str, image: str, names: Sequence[str]) -> Mapping[str, Sequence[Stored]]:
        found: dict[str, list[Stored]] = {}
        with translate_transient_errors(f"the tiles of image {image}"):
            for each in self._store(database)[image].find({"name": {"$in": list(names)}}, {"name": 1, "file": 1}):
                found.setdefault(each["name"], []).append(stored_tile(each))
        return found

    def documents(self, database: str, image: str) -> int:
        with translate_transient_errors(f"the tiles of image {image}"):
            # With the hint, the index is counted and the tiles are not read.
            return self._store(database)[image].count_documents({}, hint="_id_")

    def staged_tile(self, job: Job, name: str) -> bytes | None:
        with translate_transient_errors(f"staged tile {name} of job {job.id}"):
            found = self._tiles(job, job.generation).find_one({"name": name}, {"file": 1})
        return None if found is None else bytes(found["file"])
