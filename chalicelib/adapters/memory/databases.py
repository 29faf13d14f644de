"""SlideAtlas' databases as dictionaries, and what its own uploader would store."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from threading import RLock

from chalicelib.adapters.memory.before import BeforeWrite, go_on
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import (
    ImageFacts,
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
    """An image document. `publishing` and `published` record the progress of replacing a named image."""

    facts: ImageFacts | None = None
    trace: MemoryTrace | None = None
    publishing: str | None = None
    publishing_at: float | None = None
    publishing_from: str | None = None
    overtook: str | None = None
    published: str | None = None


@dataclass(slots=True, kw_only=True)
class SessionRecord:
    label: str
    collection: str
    image_store: str | None
    views: list[str] = field(default_factory=list)


class MemoryDatabases:
    """SlideAtlas' databases as dictionaries, and what its own uploader would store."""

    def __init__(self, *, before_write: BeforeWrite = go_on) -> None:
        self._before_write = before_write
        self._lock = RLock()
        self._stores: dict[str, str] = {}
        self._collections: dict[str, tuple[str, str | None]] = {}
        self._sessions: dict[str, SessionRecord] = {}
        self.views: dict[str, MemoryView] = {}
        self.images: dict[tuple[str, str], MemoryImage] = {}
        self.tiles: dict[tuple[str, str], dict[str, Tile]] = {}
        # What a late worker makes by writing has no index of names.
        self._indexed: set[tuple[str, str]] = set()

    def add_store(self, image_store: str, *, database: str) -> None:
        self._stores[image_store] = database

    def add_collection(self, collection: str, *, label: str = "", image_store: str | None = None) -> None:
        self._collections[collection] = label, image_store

    def add_session(self, session: str, *, collection: str, label: str = "", image_store: str | None = None) -> None:
        self._sessions[session] = SessionRecord(label=label, collection=collection, image_store=image_store)

    def add_view(self, view: str, *, session: str, image: str, image_store: str, facts: ImageFacts) -> None:
        """Add a view and its image as SlideAtlas' own uploader leaves them, at the head of the session."""
        self.images[self._stores[image_store], image] = MemoryImage(facts=facts)
        self.views[view] = MemoryView(image=image, image_store=image_store, title=facts.file_name)
        self._sessions[session].views.insert(0, view)

    def _file_name(self, view: str) -> str | None:
        shown = self.views[view]
        image = self.images.get((self._stores.get(shown.image_store, ""), shown.image))
        return image.facts.file_name.rsplit("/", 1)[-1] if image and image.facts else None

    def _listed(self, session: str) -> list[str]:
        """Return the views of a session, to be changed in place; SlideAtlas may have deleted it meanwhile."""
        return self._sessions[session].views if session in self._sessions else []

    def _delete_unlisted(self, view: str) -> bool:
        """Delete a view of Slidehook unless a session lists it. Return whether it is deleted."""
        is_listed = any(view in session.views for session in self._sessions.values())
        if is_listed or self.views[view].trace is None:
            return False
        self._before_write("delete an unlisted view")
        self.views.pop(view, None)
        return True

    def _drop(self, place: tuple[str, str]) -> dict[str, Tile]:
        """Drop a collection with its index; return the tiles it had."""
        with self._lock:
            self._indexed.discard(place)
            return self.tiles.pop(place, {})

    def _delete(self, views: Iterable[str]) -> set[str]:
        """Delete views; return the jobs whose generations they showed."""
        deleted = [self.views.pop(view, None) for view in views]
        return {view.trace.job for view in deleted if view is not None and view.trace is not None}


def without_contents(facts: ImageFacts) -> ImageFacts:
    """Return facts without ICC profile and associated images."""
    names = tuple(each.name for each in facts.associated)
    slide = replace(facts.slide, icc_profile_bytes=len(facts.icc_profile), associated=names)
    return replace(facts, icc_profile=b"", associated=(), slide=slide)


def claim_of(job: Job, generation: int | None = None) -> str:
    """Which generation of which job: what publishing is noted under."""
    return f"{job.id}/{job.generation if generation is None else generation}"


def trace_of(job: Job) -> MemoryTrace:
    return MemoryTrace(
        job=job.id,
        claim=claim_of(job),
        slide=job.source.slide,
        order=job.order,
        submitted_at=job.submitted_at,
    )
