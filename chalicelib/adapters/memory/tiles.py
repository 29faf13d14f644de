"""Published and staged tiles in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chalicelib.adapters.memory.databases import MemoryDatabases
from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.verification import Stored
from chalicelib.ports.archive import PublishedImage


class MemoryTileReader(MemoryDatabases):
    """Reads published images and their tiles, and tiles of staging collections."""

    def staged(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        stores = self._stores.values()
        return frozenset((database, name) for database, name in self.tiles if name in names and database in stores)

    def stored(self, database: str, image: str, names: Sequence[str]) -> Mapping[str, Sequence[Stored]]:
        tiles = self.tiles.get((database, image), {})
        return {name: [Stored(tiles[name].id, tiles[name].jpeg)] for name in names if name in tiles}

    def documents(self, database: str, image: str) -> int:
        return len(self.tiles.get((database, image), {}))

    def tile(self, image_store: str, image: str, name: str) -> bytes | None:
        found = self.tiles.get((self._stores.get(image_store, ""), image), {}).get(name)
        return None if found is None else found.jpeg

    def has_tile(self, image_store: str, image: str, tile: bytes) -> bool:
        tiles = self.tiles.get((self._stores.get(image_store, ""), image), {})
        return any(each.id == tile for each in tiles.values())

    def image_of(
        self,
        view: str,
        *,
        max_age_seconds: float = 0.0,  # noqa: ARG002 - nothing is cached
    ) -> tuple[str, str] | None:
        found = self.views.get(view)
        return None if found is None else (found.image_store, found.image)

    def image(
        self,
        image_store: str,
        image: str,
        *,
        max_age_seconds: float = 0.0,  # noqa: ARG002 - nothing is cached
    ) -> PublishedImage | None:
        found = self.images.get((self._stores.get(image_store, ""), image))
        if found is None or found.facts is None:
            return None
        bare = replace(found.facts, icc_profile=b"", associated=())
        bare = replace(bare, slide=replace(bare.slide, icc_profile_bytes=0, associated=()))
        return PublishedImage(facts=bare, claim=found.trace.claim if found.trace else "")

    def staged_tile(self, job: Job, name: str) -> bytes | None:
        found = self.tiles.get((job.destination.database, job.staging()), {}).get(name)
        return None if found is None else found.jpeg

    def associated_image(self, image_store: str, image: str, name: str) -> bytes | None:
        found = self.images.get((self._stores.get(image_store, ""), image))
        if found is None or found.facts is None:
            return None
        contents = {each.name: each.jpeg for each in found.facts.associated} | {"icc": found.facts.icc_profile}
        return contents.get(name) or None
