"""SlideAtlas' MongoDB: its catalog, published images, and generations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.core.jobs.model import Destination, Job, SlideSummary
from chalicelib.core.jobs.verification import Stored


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile as it is stored: SlideAtlas' name, its depth in the quadtree from 1 (root), the JPEG, and the id that is
    derived from both (core.ids.tile_id)."""

    name: str
    depth: int
    jpeg: bytes
    id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociatedImage:
    """A picture that is no level, such as `label`, `macro` or `thumbnail`."""

    name: str
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What the image document says of a slide. `levels` counts those of the complete quadtree, `levels_published` those
    that have tiles, from full resolution on (None: all). `icc_profile` is empty if there is none."""

    file_name: str
    width_px: int
    height_px: int
    tile_size_px: int
    levels: int
    levels_published: int | None = None
    slide: SlideSummary = field(default_factory=SlideSummary)
    icc_profile: bytes = b""
    associated: tuple[AssociatedImage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """An image as it is published: what its document says (without profile and pictures), and which generation it
    holds, as `job/generation`; empty if somebody else made it."""

    facts: ImageFacts
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionStats:
    """What a staging collection holds: tiles by depth (root = 1), and the sum of all tile ids."""

    tiles_by_depth: dict[int, int]
    digest: int


# How many of the jobs that the shown one replaced are told again to the one that replaces it.
KEPT_REPLACED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """The outcome of a switch. `won` is False if readers already see a newer generation; `view` is what shows the
    slide. `replaced` names the jobs whose generations readers no longer see: those shown until now, and the last of
    those that they had replaced."""

    won: bool
    view: str
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    id: str
    label: str
    collection: str
    views: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionFacts:
    id: str
    label: str
    image_store: str | None
    sessions: tuple[SessionFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSlide:
    """A slide as readers of a session see it. `job` published it (None: others did). `facts` are what its image's
    document says, without profile and pictures; None if there is no such document, or it tells no size."""

    view: str
    title: str
    image_store: str
    image: str
    job: str | None = None
    facts: ImageFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePage:
    """A page of a session's slides, in its order. `cursor` asks for the next one; None at the end."""

    slides: tuple[ShownSlide, ...]
    cursor: str | None


class Archive(Protocol):
    """SlideAtlas' MongoDB: its catalogue (collections, sessions, views) and the image stores with their tiles."""

    def locate(self, collection: str, session: str, mongo_collection: str | None) -> Destination:
        """Return where a slide of this session goes. Raises NoSuchCollectionError, NoSuchSessionError,
        ForeignSessionError, NoImageStoreError."""

    def stage(self, job: Job) -> None:
        """Make the job's staging collection with its unique index on `name`. Harmless if it stands."""

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        """Store tiles in the staging collection of `generation`, acknowledged by a majority.

        A tile that is there already with the same content counts as stored. Raises TileConflictError if another
        content stands under its name.
        """

    def staged_stats(self, job: Job, expected: CollectionStats | None = None) -> CollectionStats:
        """Return what the staging collection holds (or, after the rename, the collection it became).

        `expected` tells the two apart where a late worker has staged a part of it again after the rename.
        """

    def publish(
        self, job: Job, facts: ImageFacts, *, now: float, verified: CollectionStats | None = None
    ) -> PublishResult:
        """Let readers see the job's generation: image document, atomic switch, session entry (newest first, once).

        `verified` is what was found to be complete: nothing else is put in the place of an image that the caller named.

        Each part looks before it acts, so that running it again from the start ends in the same. A view that shows a
        newer generation of the slide (Job.order) is left alone: `won` is False.
        """

    def has_newer_publication(self, job: Job) -> bool:
        """Tell whether a later submitted job publishes to the very image that this job's caller named."""

    def replaced(self, job: Job) -> tuple[str, ...]:
        """Return the jobs that were shown before by what shows this job's generation now: who died after the switch
        did not tell the sweeper of them."""

    def shows(self, job: Job) -> bool:
        """Tell whether readers of the session see this job's generation."""

    def discard(self, job: Job, generation: int) -> bool:
        """Drop what was staged for `generation`, and its image document, unless a view shows it (then: False).

        In whatever database: an earlier attempt's session may have had another image store.

        A view of ours that no session lists shows nothing: who was taking it out died. It goes as well. One that is
        listed, and was made for this generation of an image that the caller named, may show another slide there by
        now: what was staged goes, and False says to look again when that view is taken out.
        """

    def staged(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Return which tile collections of these names stand, and in which database: (database, name)."""

    def stored(self, database: str, image: str, names: Sequence[str]) -> Mapping[str, Sequence[Stored]]:
        """Return all documents of an image's tile collection that bear one of these names, by name."""

    def documents(self, database: str, image: str) -> int:
        """Return how many documents an image's tile collection has, whatever they are."""

    def tile(self, image_store: str, image: str, name: str) -> bytes | None:
        """Return the JPEG of a tile, None if there is no such tile, image or store."""

    def has_tile(self, image_store: str, image: str, tile: bytes) -> bool:
        """Tell whether an image has the tile of this id (core.ids.tile_id: its name and bytes). An index answers;
        the tile is not read."""

    def image_of(self, view: str, *, most_seconds_old: float = 0.0) -> tuple[str, str] | None:
        """Return (image store, image) that a view shows, None if there is no such view.

        The answer may be one of up to `most_seconds_old` ago: who asks for many tiles need not ask for their slide
        each time.
        """

    def image(self, image_store: str, image: str, *, most_seconds_old: float = 0.0) -> PublishedImage | None:
        """Return an image, None if there is no such image or store, or its size is not known. May be old, likewise."""

    def staged_tile(self, job: Job, name: str) -> bytes | None:
        """Return the JPEG of a tile that the job's generation has staged, None if it is not there, or not yet. Readers
        do not see it."""

    def associated_image(self, image_store: str, image: str, name: str) -> bytes | None:
        """Return what is kept beside a slide: `icc` is its colour profile, other names are associated images (JPEG).
        None if there is no such thing, image or store."""

    def collections_of(self, image_store: str, image: str) -> frozenset[str]:
        """Return the collections in which a session shows this image of this store."""

    def collections(self) -> tuple[CollectionFacts, ...]:
        """Return all collections with their sessions, by label."""

    def collection(self, collection: str) -> CollectionFacts:
        """Return a collection with its sessions. Raises NoSuchCollectionError."""

    def session(self, session: str) -> SessionFacts:
        """Return a session. Raises NoSuchSessionError."""

    def make_session(self, collection: str, label: str) -> tuple[SessionFacts, bool]:
        """Return the collection's session of this label and whether it was made now. Raises NoSuchCollectionError."""

    def shown(self, session: str) -> Mapping[str, str | None]:
        """Return the views of a session that are there, in its order, each with the job whose generation it shows (None
        for a view of others). Raises NoSuchSessionError."""

    def shown_slides(self, session: str) -> Mapping[str, str]:
        """Return the slides (Source.slide) that readers of a session see, each with the job whose generation it is.
        Raises NoSuchSessionError."""

    def slides(self, session: str, *, cursor: str | None, limit: int) -> SlidePage:
        """Return up to `limit` slides that readers of a session see, the newest first. The cursor is the last view of
        the page before, so that slides which come meanwhile move nothing.

        Raises NoSuchSessionError, and InvalidRequestError for a cursor that the session does not list (any more).
        """

    def take_out(self, session: str, views: Sequence[str] | None) -> int:
        """Take these views (None: all, and whatever else it holds) out of a session, and away; return how many of them
        it listed. Harmless to repeat.

        Raises NoSuchSessionError.
        """

    def ping(self) -> None:
        """Return if the database answers."""
