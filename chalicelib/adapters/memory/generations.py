"""Staging collections of generations in memory."""

from collections.abc import Sequence

from chalicelib.adapters.memory.databases import MemoryDatabases, MemoryImage, claim_of
from chalicelib.core.errors import TileConflictError
from chalicelib.core.ids import digest_sum
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import CollectionStats, Tile


class MemoryGenerations(MemoryDatabases):
    """Staging collections of generations."""

    def stage(self, job: Job) -> None:
        collection = (job.destination.database, job.staging())
        self.tiles.setdefault(collection, {})  # a crash before it has no effect
        self._before_write("stage")
        with self._lock:
            self.tiles.setdefault(collection, {})
            self._indexed.add(collection)

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        if not tiles:
            return
        self._before_write("tiles")
        with self._lock:
            stored = self.tiles.setdefault((job.destination.database, job.staging(generation)), {})
            conflicts = [tile.name for tile in tiles if stored.setdefault(tile.name, tile).id != tile.id]
        if conflicts:
            raise TileConflictError(f"tile {conflicts[0]} of job {job.id} exists with other content")

    def staged_stats(self, job: Job, expected: CollectionStats | None = None) -> CollectionStats:
        is_renamed = job.destination.mongo_collection is not None and self._is_renamed(job, expected)
        return self._stats_of(job, job.image if is_renamed else job.staging())

    def _stats_of(self, job: Job, name: str) -> CollectionStats:
        collection = (job.destination.database, name)
        with self._lock:
            tiles = list(self.tiles.get(collection, {}).values())
            # As in MongoDB, where tiles are counted by the index on `name`.
            depths = [len(tile.name) - len(".jpg") for tile in tiles] if collection in self._indexed else []
        return CollectionStats(
            tiles_by_depth={depth: depths.count(depth) for depth in set(depths)},
            digest=digest_sum(tile.id for tile in tiles),
        )

    def discard(self, job: Job, generation: int) -> bool:
        name, claim = job.staging(generation), claim_of(job, generation)
        for view in [view for view, shown in self.views.items() if shown.image == name]:
            if not self._delete_unlisted(view):
                return False
        # The view of a named image shows that image, not the staging collection. Its claim identifies the generation.
        claimed = [view for view, shown in self.views.items() if shown.trace and shown.trace.claim == claim]
        is_free = all([self._delete_unlisted(view) for view in claimed])  # noqa: C419 - all are deleted
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
        # An earlier run renamed the collection and stopped before it recorded `published`: the job has the claim, and
        # the image has the verified contents, or the staging collection no longer exists.
        if verified is not None:
            return image.publishing == claim_of(job) and self._stats_of(job, job.image) == verified
        return image.publishing == claim_of(job) and (database, job.staging()) not in self.tiles
