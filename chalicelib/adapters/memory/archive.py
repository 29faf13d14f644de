"""SlideAtlas' databases as dictionaries."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import RLock

from chalicelib.adapters.cursors import page_of
from chalicelib.adapters.memory.before import BeforeWrite, go_on
from chalicelib.core.errors import (
    ForeignSessionError,
    NoImageStoreError,
    NoSuchCollectionError,
    NoSuchSessionError,
    TileConflictError,
)
from chalicelib.core.ids import digest_sum, object_id
from chalicelib.core.jobs.model import Destination, Job
from chalicelib.core.jobs.verification import Stored
from chalicelib.ports.archive import (
    KEPT_REPLACED,
    CollectionFacts,
    CollectionStats,
    ImageFacts,
    PublishedImage,
    PublishResult,
    SessionFacts,
    ShownSlide,
    SlidePage,
    Tile,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTrace:
    """What our sub-document of a view or an image says: what it shows, and who published it."""

    job: str
    claim: str
    slide: str
    order: str
    submitted_at: float
    replaced: tuple[str, ...] = ()
    takes_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """A view. Without `trace` it is SlideAtlas' own."""

    image: str
    image_store: str
    title: str
    trace: MemoryTrace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryImage:
    """An image document. `publishing` and `published` tell how far replacing a named image has come."""

    facts: ImageFacts | None = None
    trace: MemoryTrace | None = None
    publishing: str | None = None
    publishing_at: float | None = None
    publishing_from: str | None = None
    overtook: str | None = None
    published: str | None = None


@dataclass(slots=True, kw_only=True)
class _Session:
    label: str
    collection: str
    image_store: str | None
    views: list[str] = field(default_factory=list)


class MemoryArchive:
    """SlideAtlas' databases as dictionaries. `add_...` put there what SlideAtlas itself would have made."""

    def __init__(self, *, before_write: BeforeWrite = go_on) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._stores: dict[str, str] = {}
        self._collections: dict[str, tuple[str, str | None]] = {}
        self._sessions: dict[str, _Session] = {}
        self.views: dict[str, MemoryView] = {}
        self.images: dict[tuple[str, str], MemoryImage] = {}
        self.tiles: dict[tuple[str, str], dict[str, Tile]] = {}
        # What a late worker makes by writing has no index of names.
        self._indexed: set[tuple[str, str]] = set()

    # -- what is there already ---------------------------------------------------------------------------------------

    def add_store(self, image_store: str, *, database: str) -> None:
        self._stores[image_store] = database

    def add_collection(self, collection: str, *, label: str = "", image_store: str | None = None) -> None:
        self._collections[collection] = label, image_store

    def add_session(self, session: str, *, collection: str, label: str = "", image_store: str | None = None) -> None:
        self._sessions[session] = _Session(label=label, collection=collection, image_store=image_store)

    def add_view(self, view: str, *, session: str, image: str, image_store: str, facts: ImageFacts) -> None:
        """Add a view and its image as SlideAtlas' own uploader leaves them, at the head of the session."""
        self.images[self._stores[image_store], image] = MemoryImage(facts=facts)
        self.views[view] = MemoryView(image=image, image_store=image_store, title=facts.file_name)
        self._sessions[session].views.insert(0, view)

    # -- where a slide goes ------------------------------------------------------------------------------------------

    def locate(self, collection: str, session: str, mongo_collection: str | None) -> Destination:
        if collection not in self._collections:
            raise NoSuchCollectionError(f"there is no collection {collection}", pointer="/collection")
        if session not in self._sessions:
            raise NoSuchSessionError(f"there is no session {session}", pointer="/session")
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

    # -- tiles -------------------------------------------------------------------------------------------------------

    def stage(self, job: Job) -> None:
        place = (job.destination.database, job.staging())
        self.tiles.setdefault(place, {})  # nobody would notice a crash before it
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

    # -- publishing --------------------------------------------------------------------------------------------------

    def publish(
        self,
        job: Job,
        facts: ImageFacts,
        *,
        now: float,  # noqa: ARG002 - when it was uploaded is not kept
        verified: CollectionStats | None = None,
    ) -> PublishResult:
        candidates = self._candidates(job, facts.file_name)
        newer = next((view for view in candidates if self._is_newer(view, job)), None)
        if newer is not None:
            return PublishResult(won=False, view=newer)
        if job.destination.mongo_collection is None:
            self._put_image(job, MemoryImage(facts=facts, trace=_trace(job)))
        elif not self._replace_image(job, facts, verified):
            return PublishResult(won=False, view="")
        view = candidates[0] if candidates else object_id("view", job.destination.session, job.source.slide)
        others = candidates[1:]
        traces = [self.views[other].trace for other in others if other in self.views]
        trace = self._switch(job, view, facts, others, sorted({other.job for other in traces if other is not None}))
        if trace is None:
            return PublishResult(won=False, view=view)
        self._take_out(job, trace.takes_out)
        self._put_first(job, view)
        return PublishResult(won=True, view=view, replaced=tuple(sorted(set(trace.replaced) - {job.id})))

    def has_newer_publication(self, job: Job) -> bool:
        if job.destination.mongo_collection is None:
            return False
        image = self.images.get((job.destination.database, job.image), MemoryImage())
        return (image.publishing_at or 0.0) > job.submitted_at

    def _candidates(self, job: Job, file_name: str) -> list[str]:
        """Return the views the job may take over: this slide's, then (to overwrite) those of the same file name."""
        with self._lock:
            listed = list(self._listed(job.destination.session))
            own = object_id("view", job.destination.session, job.source.slide)
            known = [view for view in dict.fromkeys([*listed, own]) if view in self.views]
            slides = {view: trace.slide for view in known if (trace := self.views[view].trace)}
            ours = [view for view in known if slides.get(view) == job.source.slide]
            ours.sort(key=lambda view: (view not in listed, view != own))
            if not job.options.overwrite:
                return ours
            return ours + [
                view for view in known if view not in ours and view in listed and self._file_name(view) == file_name
            ]

    def _file_name(self, view: str) -> str | None:
        shown = self.views[view]
        image = self.images.get((self._stores.get(shown.image_store, ""), shown.image))
        return image.facts.file_name.rsplit("/", 1)[-1] if image and image.facts else None

    def _listed(self, session: str) -> list[str]:
        """Return the views of a session, to be changed in place; SlideAtlas may have deleted it meanwhile."""
        return self._sessions[session].views if session in self._sessions else []

    def _is_newer(self, view: str, job: Job) -> bool:
        trace = self.views[view].trace if view in self.views else None
        if trace is None:
            return False
        if trace.slide == job.source.slide:
            return trace.order > job.order
        return trace.submitted_at > job.submitted_at

    def _put_image(self, job: Job, image: MemoryImage) -> None:
        self._before_write("image document")
        self.images[job.destination.database, job.image] = image

    def _replace_image(self, job: Job, facts: ImageFacts, verified: CollectionStats | None) -> bool:
        """Put the staged tiles in the place of those of the image that the caller named, unless a job that was
        submitted later has claimed it."""
        place = (job.destination.database, job.image)
        if not self._is_renamed(job, verified):
            if not self._claim_image(job):
                return False
            if overtook := self.images[place].overtook:
                self._before_write("drop of what was overtaken")
                self._drop((job.destination.database, overtook))
            self._rename(job, verified)
            if verified is not None and self._held(job, job.image) != verified:
                return False
        self._before_write("image document")
        with self._lock:
            image = self.images[place]
            if image.publishing != _claim(job):
                return False
            self.images[place] = replace(image, facts=facts, trace=_trace(job), published=_claim(job))
        return True

    def _claim_image(self, job: Job) -> bool:
        self._before_write("claim of the image")
        place, claim = (job.destination.database, job.image), _claim(job)
        with self._lock:
            image = self.images.get(place, MemoryImage())
            if image.publishing_at is not None and image.publishing_at > job.submitted_at:
                return False
            self.images[place] = replace(
                image,
                publishing=claim,
                publishing_at=job.submitted_at,
                publishing_from=job.staging(),
                overtook=image.overtook if image.publishing == claim else image.publishing_from,
            )
        return True

    def _rename(self, job: Job, verified: CollectionStats | None) -> None:
        if verified is not None and self._held(job, job.staging()) != verified:
            return  # a late worker has staged a part of it again
        self._before_write("rename")
        place, target = ((job.destination.database, name) for name in (job.staging(), job.image))
        with self._lock:
            if place not in self.tiles:
                return  # another run of this step has renamed it, or a later job has dropped it
            is_indexed = place in self._indexed
            self.tiles[target] = self._drop(place)
            (self._indexed.add if is_indexed else self._indexed.discard)(target)

    def _drop(self, place: tuple[str, str]) -> dict[str, Tile]:
        """Drop a collection with its index; return the tiles it had."""
        with self._lock:
            self._indexed.discard(place)
            return self.tiles.pop(place, {})

    def _is_renamed(self, job: Job, verified: CollectionStats | None = None) -> bool:
        database = job.destination.database
        image = self.images.get((database, job.image), MemoryImage())
        if image.published == _claim(job):
            return True
        # Claimed, and it is there, or the staging collection is gone: the crash came before the note of the rename.
        if verified is not None:
            return image.publishing == _claim(job) and self._held(job, job.image) == verified
        return image.publishing == _claim(job) and (database, job.staging()) not in self.tiles

    def _switch(
        self, job: Job, view: str, facts: ImageFacts, others: Sequence[str], other_jobs: Sequence[str]
    ) -> MemoryTrace | None:
        """Let one view show the job's image, unless it shows something newer by now.

        It keeps the jobs it replaced and the views that are to go with them: a rerun after a crash still knows them.
        """
        self._before_write("switch")
        with self._lock:
            if self._is_newer(view, job):
                return None
            shown = self.views[view].trace if view in self.views else None
            if shown is not None and shown.claim == _claim(job):
                replaced, takes_out = shown.replaced, shown.takes_out
            else:
                was = () if shown is None else (shown.job,)
                before = () if shown is None else shown.replaced[:KEPT_REPLACED]
                replaced = (*was, *other_jobs, *before)
                takes_out = tuple(others)
            trace = replace(_trace(job), replaced=replaced, takes_out=takes_out)
            self.views[view] = MemoryView(
                image=job.image, image_store=job.destination.image_store, title=facts.file_name, trace=trace
            )
        return trace

    def _take_out(self, job: Job, views: Sequence[str]) -> None:
        """Take the other views of the same slide or name out of the session."""
        if not views:
            return
        self._before_write("take out of the session")
        with self._lock:
            listed = self._listed(job.destination.session)
            listed[:] = [view for view in listed if view not in views]
        self._before_write("delete views")
        self._delete(views)

    def _delete(self, views: Iterable[str]) -> set[str]:
        """Delete views; return the jobs whose generations they showed."""
        deleted = [self.views.pop(view, None) for view in views]
        return {view.trace.job for view in deleted if view is not None and view.trace is not None}

    def _put_first(self, job: Job, view: str) -> None:
        self._before_write("session entry")
        with self._lock:
            listed = self._listed(job.destination.session)
            if view not in listed:
                listed.insert(0, view)

    def replaced(self, job: Job) -> tuple[str, ...]:
        with self._lock:
            ours = [view.trace for view in self.views.values() if view.trace and view.trace.claim == _claim(job)]
        return tuple(sorted({before for trace in ours for before in trace.replaced} - {job.id}))

    def shows(self, job: Job) -> bool:
        with self._lock:
            image = self.images.get((job.destination.database, job.image), MemoryImage())
            if image.trace is None or image.trace.claim != _claim(job):
                return False
            listed = self._listed(job.destination.session)
            return any(self.views[view].image == job.image for view in listed if view in self.views)

    def discard(self, job: Job, generation: int) -> bool:
        name, claim = job.staging(generation), _claim(job, generation)
        for view in [view for view, shown in self.views.items() if shown.image == name]:
            if not self._delete_unlisted(view):
                return False
        # A view of an image that the caller named shows that one; it is known by what it was made for.
        made = [view for view, shown in self.views.items() if shown.trace and shown.trace.claim == claim]
        is_free = all([self._delete_unlisted(view) for view in made])  # noqa: C419 - of every one, whatever the first says
        for database in sorted({job.destination.database, *self._stores.values()}):
            self._before_write("drop the tiles")
            self._drop((database, name))
            self._before_write("drop the image document")
            image = self.images.get((database, name), MemoryImage())
            if image.trace is not None and image.trace.job == job.id:
                del self.images[database, name]
        return is_free

    def _delete_unlisted(self, view: str) -> bool:
        """Delete a view of ours unless a session lists it; tell whether it is gone."""
        is_listed = any(view in session.views for session in self._sessions.values())
        if is_listed or self.views[view].trace is None:
            return False
        self._before_write("delete a view that nobody lists")
        self.views.pop(view, None)
        return True

    def staged(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        return frozenset(place for place in self.tiles if place[1] in names and place[0] in self._stores.values())

    # -- reading -----------------------------------------------------------------------------------------------------

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
        most_seconds_old: float = 0.0,  # noqa: ARG002 - always the latest
    ) -> tuple[str, str] | None:
        found = self.views.get(view)
        return None if found is None else (found.image_store, found.image)

    def image(
        self,
        image_store: str,
        image: str,
        *,
        most_seconds_old: float = 0.0,  # noqa: ARG002 - always the latest
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

    def beside(self, image_store: str, image: str, name: str) -> bytes | None:
        found = self.images.get((self._stores.get(image_store, ""), image))
        if found is None or found.facts is None:
            return None
        kept = {each.name: each.jpeg for each in found.facts.associated} | {"icc": found.facts.icc_profile}
        return kept.get(name) or None

    def collections_of(self, image_store: str, image: str) -> frozenset[str]:
        showing = {
            view for view, shown in self.views.items() if (shown.image_store, shown.image) == (image_store, image)
        }
        return frozenset(session.collection for session in self._sessions.values() if showing & set(session.views))

    def collections(self) -> tuple[CollectionFacts, ...]:
        found = [self.collection(each) for each in self._collections]
        return tuple(sorted(found, key=lambda each: (each.label, each.id)))

    def collection(self, collection: str) -> CollectionFacts:
        if collection not in self._collections:
            raise NoSuchCollectionError(f"there is no collection {collection}")
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
            raise NoSuchSessionError(f"there is no session {session}")
        found = self._sessions[session]
        return SessionFacts(id=session, label=found.label, collection=found.collection, views=tuple(found.views))

    def make_session(self, collection: str, label: str) -> tuple[SessionFacts, bool]:
        known = next((session for session in self.collection(collection).sessions if session.label == label), None)
        if known is not None:
            return known, False
        self._before_write("make session")
        session = object_id("session", collection, label)
        made = _Session(label=label, collection=collection, image_store=None)
        is_new = self._sessions.setdefault(session, made) is made
        return self.session(session), is_new

    def shown(self, session: str) -> Mapping[str, str | None]:
        listed = self.session(session).views
        there = {view: self.views[view].trace for view in listed if view in self.views}
        return {view: trace.job if trace else None for view, trace in there.items()}

    def shown_slides(self, session: str) -> Mapping[str, str]:
        listed = self.session(session).views
        traces = [self.views[view].trace for view in listed if view in self.views]
        return {trace.slide: trace.job for trace in traces if trace is not None}

    def slides(self, session: str, *, cursor: str | None, limit: int) -> SlidePage:
        page, following = page_of(self.session(session).views, cursor, limit)
        return SlidePage(slides=tuple(self._shown(view) for view in page if view in self.views), cursor=following)

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
            facts=None if facts is None else _bare(facts),
        )

    def take_out(self, session: str, views: Sequence[str] | None) -> int:
        self.session(session)
        self._before_write("session without views")
        with self._lock:
            listed = self._sessions[session].views
            kept = [view for view in listed if views is not None and view not in views]
            self._sessions[session].views = kept
        self._before_write("delete views")
        self._delete(set(listed) - set(kept))
        return len(listed) - len(kept)

    def ping(self) -> None:
        pass


def _bare(facts: ImageFacts) -> ImageFacts:
    """Return facts without profile and pictures; what there is of them is told by what was stored."""
    names = tuple(each.name for each in facts.associated)
    slide = replace(facts.slide, icc_profile_bytes=len(facts.icc_profile), associated=names)
    return replace(facts, icc_profile=b"", associated=(), slide=slide)


def _claim(job: Job, generation: int | None = None) -> str:
    """Which generation of which job: what publishing is noted under."""
    return f"{job.id}/{job.generation if generation is None else generation}"


def _trace(job: Job) -> MemoryTrace:
    return MemoryTrace(
        job=job.id,
        claim=_claim(job),
        slide=job.source.slide,
        order=job.order,
        submitted_at=job.submitted_at,
    )
