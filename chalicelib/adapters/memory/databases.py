"""SlideAtlas' databases in memory, with methods that add the documents of SlideAtlas."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from threading import RLock

from chalicelib.adapters.memory.before import BeforeWrite, do_nothing
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import ImageFacts, Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTrace:
    """The sub-document `slidehook` of a view or an image: the published slide and its job."""

    # The job, and its generation as `job/generation`.
    job: str
    claim: str
    # Source.slide of the job.
    slide: str
    # Job.order and Job.submitted_at, to compare with other jobs.
    order: str
    submitted_at: float
    # The jobs that were replaced, and the views to remove from the session. Views only.
    replaced: tuple[str, ...] = ()
    takes_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """A view. `trace` is None for a view of SlideAtlas."""

    image: str
    image_store: str
    title: str
    trace: MemoryTrace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryImage:
    """An image document."""

    facts: ImageFacts | None = None
    # None: an image of SlideAtlas.
    trace: MemoryTrace | None = None
    # The generation (`job/generation`) that replaces a named image, with its submission time and staging collection.
    publishing: str | None = None
    publishing_at: float | None = None
    publishing_from: str | None = None
    # The staging collection of the superseded generation.
    overtook: str | None = None
    # The generation that has replaced the image.
    published: str | None = None


@dataclass(slots=True, kw_only=True)
class SessionRecord:
    """A session document."""

    label: str
    collection: str
    image_store: str | None
    views: list[str] = field(default_factory=list)


class MemoryDatabases:
    """SlideAtlas' databases as dictionaries."""

    def __init__(self, *, before_write: BeforeWrite = do_nothing) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._stores: dict[str, str] = {}
        self._collections: dict[str, tuple[str, str | None]] = {}
        self._sessions: dict[str, SessionRecord] = {}
        self.views: dict[str, MemoryView] = {}
        self.images: dict[tuple[str, str], MemoryImage] = {}
        self.tiles: dict[tuple[str, str], dict[str, Tile]] = {}
        # A collection that a late worker creates by a write does not have the index on `name`.
        self._indexed: set[tuple[str, str]] = set()

    def add_store(self, image_store: str, *, database: str) -> None:
        self._stores[image_store] = database

    def add_collection(self, collection: str, *, label: str = "", image_store: str | None = None) -> None:
        self._collections[collection] = label, image_store

    def add_session(self, session: str, *, collection: str, label: str = "", image_store: str | None = None) -> None:
        self._sessions[session] = SessionRecord(label=label, collection=collection, image_store=image_store)

    def add_view(self, view: str, *, session: str, image: str, image_store: str, facts: ImageFacts) -> None:
        """Add a view and its image to the start of a session, as SlideAtlas' uploader does."""
        self.images[self._stores[image_store], image] = MemoryImage(facts=facts)
        self.views[view] = MemoryView(image=image, image_store=image_store, title=facts.file_name)
        self._sessions[session].views.insert(0, view)

    def _file_name(self, view: str) -> str | None:
        shown = self.views[view]
        image = self.images.get((self._stores.get(shown.image_store, ""), shown.image))
        return image.facts.file_name.rsplit("/", 1)[-1] if image and image.facts else None

    def _listed(self, session: str) -> list[str]:
        """Return the mutable list of views of a session, [] if SlideAtlas has deleted the session."""
        return self._sessions[session].views if session in self._sessions else []

    def _delete_unlisted(self, view: str) -> bool:
        """Delete a view of Slidehook unless a session lists it. Return whether it was deleted."""
        is_listed = any(view in session.views for session in self._sessions.values())
        if is_listed or self.views[view].trace is None:
            return False
        self._before_write("delete an unlisted view")
        self.views.pop(view, None)
        return True

    def _drop(self, collection: tuple[str, str]) -> dict[str, Tile]:
        """Drop a collection (database, name) with its index. Return its tiles."""
        with self._lock:
            self._indexed.discard(collection)
            return self.tiles.pop(collection, {})

    def _delete(self, views: Iterable[str]) -> set[str]:
        """Delete views. Return the jobs that published them."""
        deleted = [self.views.pop(view, None) for view in views]
        return {view.trace.job for view in deleted if view is not None and view.trace is not None}


def without_contents(facts: ImageFacts) -> ImageFacts:
    """Return facts without ICC profile and associated images."""
    names = tuple(each.name for each in facts.associated)
    slide = replace(facts.slide, icc_profile_bytes=len(facts.icc_profile), associated=names)
    return replace(facts, icc_profile=b"", associated=(), slide=slide)


def claim_of(job: Job, generation: int | None = None) -> str:
    """Return the key of a generation: `job/generation`. None: the current generation of the job."""
    return f"{job.id}/{job.generation if generation is None else generation}"


def trace_of(job: Job) -> MemoryTrace:
    """Return the sub-document `slidehook` for views and images of a job."""
    return MemoryTrace(
        job=job.id,
        claim=claim_of(job),
        slide=job.source.slide,
        order=job.order,
        submitted_at=job.submitted_at,
    )
