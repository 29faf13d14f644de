"""SlideAtlas' MongoDB: its catalog, published images, and generations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.core.jobs.model import Destination, Job, SlideSummary
from chalicelib.core.jobs.verification import Stored


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile document. `name` is SlideAtlas' name, `depth` the depth in the quadtree, 1 for the root. `id` is derived
    from name and JPEG (core.ids.tile_id)."""

    name: str
    depth: int
    jpeg: bytes
    id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociatedImage:
    """An image that is not a level, such as `label`, `macro` or `thumbnail`."""

    name: str
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """The contents of an image document."""

    file_name: str
    # The size at full resolution.
    width_px: int
    height_px: int
    # Tiles are square.
    tile_size_px: int
    # Levels of the complete quadtree.
    levels: int
    # Levels with tiles, counted from full resolution. None: all.
    levels_published: int | None = None
    # Resolution, vendor and other metadata.
    slide: SlideSummary = field(default_factory=SlideSummary)
    # Empty if the slide does not have a profile.
    icc_profile: bytes = b""
    # Label, macro and thumbnail, as far as they are published.
    associated: tuple[AssociatedImage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """A published image. `facts` do not contain the ICC profile and associated images. `claim` is its generation as
    `job/generation`, empty for an image of another program."""

    facts: ImageFacts
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionStats:
    """The contents of a staging collection: the number of tiles by depth (root = 1), and the sum of all tile ids."""

    tiles_by_depth: dict[int, int]
    digest: int


# The number of earlier replaced jobs that a view records.
KEPT_REPLACED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """The result of a publication. `won` is False if a newer generation is already published. `view` shows the slide.
    `replaced` lists the jobs whose generations are no longer published, with those that they had replaced."""

    won: bool
    view: str
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """A session. `collection` is the id of its collection. `views` are the ids of its views in their order."""

    id: str
    label: str
    collection: str
    views: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionFacts:
    """A collection with its sessions. `image_store` is the id of its default image store, None if it has none."""

    id: str
    label: str
    image_store: str | None
    sessions: tuple[SessionFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSlide:
    """A published slide of a session."""

    # The id of the view.
    view: str
    title: str
    # The ids of the image store and of the image in it.
    image_store: str
    image: str
    # The job that published the slide. None: another program.
    job: str | None = None
    # Without ICC profile and associated images. None: the image document is missing or has no size.
    facts: ImageFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlidePage:
    """A page of the slides of a session, in its order. `cursor` is the cursor of the next page, None at the end."""

    slides: tuple[ShownSlide, ...]
    cursor: str | None


class Archive(Protocol):
    """SlideAtlas' MongoDB: the catalog (collections, sessions, views), and the image stores with their tiles."""

    def locate(self, collection: str, session: str, mongo_collection: str | None) -> Destination:
        """Return the destination of a slide of this session.

        Raises NoSuchCollectionError or NoSuchSessionError if one of them does not exist, ForeignSessionError if the
        session belongs to another collection, NoImageStoreError if neither has an image store.
        """

    def stage(self, job: Job) -> None:
        """Create the staging collection of the job with its unique index on `name`. Safe to retry."""

    def write(self, job: Job, generation: int, tiles: Sequence[Tile]) -> None:
        """Store tiles in the staging collection of `generation`, acknowledged by a majority.

        A tile that exists with the same content counts as stored. Raises TileConflictError if a tile of the same name
        has other content.
        """

    def staged_stats(self, job: Job, expected: CollectionStats | None = None) -> CollectionStats:
        """Return the contents of the staging collection or, after its rename, of the image collection.

        `expected` distinguishes the two if a late worker wrote to the staging collection again after the rename.
        """

    def publish(
        self, job: Job, facts: ImageFacts, *, now: float, verified: CollectionStats | None = None
    ) -> PublishResult:
        """Publish the generation of the job: image document, atomic switch of the view, session entry (newest first).

        `verified` are the verified contents of the staging collection. An image that the caller named is replaced only
        if the staging collection still has these contents. If a newer generation of the slide (Job.order) is published,
        nothing changes and `won` is False. Safe to retry.
        """

    def has_newer_publication(self, job: Job) -> bool:
        """Return whether a later submitted job is publishing to the image that the caller of this job named."""

    def replaced(self, job: Job) -> tuple[str, ...]:
        """Return the jobs that this job's generation has replaced. Their cleanup may not be scheduled yet if the
        worker stopped after the switch of the view."""

    def shows(self, job: Job) -> bool:
        """Return whether the session shows this job's generation."""

    def discard(self, job: Job, generation: int) -> bool:
        """Delete the staging collection and the image document of `generation`. Return False if a view shows it.

        All image stores are searched, because the session of an earlier attempt may have had another one. A view of
        Slidehook that its session does not list is deleted as well; it remains from an interrupted removal. If a listed
        view was created for this generation of a named image, the staged tiles are deleted and the result is False, so
        that the cleanup is repeated later. Safe to retry.
        """

    def staged(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Return the existing tile collections of these names as (database, name)."""

    def stored(self, database: str, image: str, names: Sequence[str]) -> Mapping[str, Sequence[Stored]]:
        """Return all documents with these names in the tile collection of an image, by name."""

    def documents(self, database: str, image: str) -> int:
        """Return the number of all documents in the tile collection of an image."""

    def tile(self, image_store: str, image: str, name: str) -> bytes | None:
        """Return the JPEG of a tile, None if the tile, the image or the image store does not exist."""

    def has_tile(self, image_store: str, image: str, tile: bytes) -> bool:
        """Return whether an image has the tile with this id (core.ids.tile_id). Reads an index, not the tile."""

    def image_of(self, view: str, *, max_age_seconds: float = 0.0) -> tuple[str, str] | None:
        """Return (image store, image) of a view, None if the view does not exist.

        The result may be cached for up to `max_age_seconds` seconds.
        """

    def image(self, image_store: str, image: str, *, max_age_seconds: float = 0.0) -> PublishedImage | None:
        """Return an image, None if it does not exist or has no size.

        The result may be cached for up to `max_age_seconds` seconds.
        """

    def staged_tile(self, job: Job, name: str) -> bytes | None:
        """Return the JPEG of a staged tile of the job's generation, None if it is not stored."""

    def associated_image(self, image_store: str, image: str, name: str) -> bytes | None:
        """Return the ICC profile (`icc`) or the JPEG of an associated image by name. None if it does not exist."""

    def collections_of(self, image_store: str, image: str) -> frozenset[str]:
        """Return the collections whose sessions show this image."""

    def collections(self) -> tuple[CollectionFacts, ...]:
        """Return all collections with their sessions, by label."""

    def collection(self, collection: str) -> CollectionFacts:
        """Return a collection with its sessions. Raises NoSuchCollectionError."""

    def session(self, session: str) -> SessionFacts:
        """Return a session. Raises NoSuchSessionError."""

    def make_session(self, collection: str, label: str) -> tuple[SessionFacts, bool]:
        """Return the session with this label, and True if this call created it. Raises NoSuchCollectionError."""

    def shown(self, session: str) -> Mapping[str, str | None]:
        """Return the existing views of a session in its order, with the job of each.

        The job is None for views of other programs. Raises NoSuchSessionError.
        """

    def shown_slides(self, session: str) -> Mapping[str, str]:
        """Return the slides (Source.slide) that a session shows, with the job of each. Raises NoSuchSessionError."""

    def slides(self, session: str, *, cursor: str | None, limit: int) -> SlidePage:
        """Return up to `limit` published slides of a session, the newest first.

        The cursor is the last view of the previous page, so that new slides do not shift pages. Raises
        NoSuchSessionError, and InvalidRequestError for a cursor that the session does not list.
        """

    def remove_views(self, session: str, views: Sequence[str] | None) -> int:
        """Remove these views (None: all entries) from a session and delete them. Safe to retry.

        Return the number of them that the session listed. Raises NoSuchSessionError.
        """

    def ping(self) -> None:
        """Raise MongoUnavailableError if the database does not respond."""
