"""Staged generations in memory."""

from collections.abc import Sequence

from chalicelib.adapters.memory.databases import MemoryDatabases, MemoryImage, claim_of
from chalicelib.core.errors import (
    TileConflictError,
)
from chalicelib.core.ids import digest_sum
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import (
    CollectionStats,
    Tile,
)


class MemoryGenerations(MemoryDatabases):
    """Staged generations in memory."""

    def stage(self, job: Job) -> None:
        place = (job.destination.database, job.staging())
        self.tiles.setdefault(place, {})  # a crash before it has no effect
        self._before_write("stage")
        with self._lock:
            self.tiles.setdefault(place, {})
            self._indexed.add(place)

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        if not tiles:
            return
        self._before_write("tiles")
        with self._lock:
            stored = self.tiles.setdefault((job.destination.database, job.staging(generation)), {})
            refused = [tile.name for tile in tiles if stored.setdefault(tile.name, tile).id != tile.id]
        if refused:
            raise TileConflictError(f"two contents for tile {refused[0]} of job {job.id}")

    def staged_stats(self, job: Job, expected: CollectionStats | None = None) -> CollectionStats:
        is_renamed = job.destination.mongo_collection is not None and self._is_renamed(job, expected)
        return self._held(job, job.image if is_renamed else job.staging())

    def _held(self, job: Job, collection: str) -> CollectionStats:
        place = (job.destination.database, collection)
        with self._lock:
            tiles = list(self.tiles.get(place, {}).values())
            # They are counted by the index alone.
            depths = [len(tile.name) - len(".jpg") for tile in tiles] if place in self._indexed else []
        return CollectionStats(
            tiles_by_depth={depth: depths.count(depth) for depth in set(depths)},
            digest=digest_sum(tile.id for tile in tiles),
        )

    def discard(self, job: Job, generation: int) -> bool:
        name, claim = job.staging(generation), claim_of(job, generation)
        for view in [view for view, shown in self.views.items() if shown.image == name]:
            if not self._delete_unlisted(view):
                return False
        # A view of an image that the caller named shows that one; it is known by what it was made for.
        made = [view for view, shown in self.views.items() if shown.trace and shown.trace.claim == claim]
        is_free = all([self._delete_unlisted(view) for view in made])  # noqa: C419 - all are deleted
        for database in sorted({job.destination.database, *self._stores.values()}):
            self._before_write("drop the tiles")
            self._drop((database, name))
            self._before_write("drop the image document")
            image = self.images.get((database, name), MemoryImage())
            if image.trace is not None and image.trace.job == job.id:
                del self.images[database, name]
        return is_free

    def _is_renamed(self, job: Job, verified: CollectionStats | None = None) -> bool:
        database = job.destination.database
        image = self.images.get((database, job.image), MemoryImage())
        if image.published == claim_of(job):
            return True
        # Claimed, and it is there, or the staging collection is gone: the crash came before the note of the rename.
        if verified is not None:
            return image.publishing == claim_of(job) and self._held(job, job.image) == verified
        return image.publishing == claim_of(job) and (database, job.staging()) not in self.tiles
