"""What the steps need of the outside. The docstrings are the contract: tests/contracts holds every implementation,
in memory and real, to them.

All of them raise TransientError (StorageBusyError, ArchiveBusyError) when the other side does not answer or asks for
patience; nothing else of boto3, pymongo or the network comes through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.core.jobs.deliveries import Answer, Delivery, Notice
from chalicelib.core.jobs.events import Event
from chalicelib.core.jobs.filter import EVERY_JOB, Selection
from chalicelib.core.jobs.model import ChunkRecord, Destination, Job, Problem, SlideSummary, State, Subscriber
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.sync import Entry, Sync
from chalicelib.core.jobs.verification import Stored
from chalicelib.core.plan.messages import Message
from chalicelib.core.web.multipart_upload import Part


class Clock(Protocol):
    def now(self) -> float:
        """Return UTC epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""

    def remaining_seconds(self) -> float:
        """Return how long this invocation may still run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of a bucket's objects, by key. `cursor` asks for the next one; None at the end."""

    objects: tuple[Source, ...]
    cursor: str | None


class Slides(Protocol):
    """The objects slides are read from."""

    def pin(self, bucket: str, key: str, *, first_bytes: int) -> tuple[Source, bytes]:
        """Return the object as it stands now, and up to `first_bytes` of its beginning.

        Raises NoSuchSourceError, EmptySourceError.
        """

    def read(self, source: Source, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` (exclusive, within the object) of exactly this version.

        Raises SourceChangedError if the object was overwritten since it was pinned, SourceGoneError if it was deleted.
        """

    def list(self, bucket: str, prefix: str, *, cursor: str | None, limit: int) -> Listing:
        """Return up to `limit` objects whose keys begin with `prefix`, as they stand now (without version ids).

        Raises NoSuchSourceError if there is no such bucket.
        """


class Uploads(Protocol):
    """Uploads in parts to the incoming bucket. Parts are sent to it by who has them, not through this service."""

    def begin(self, key: str) -> str:
        """Return the id of a new upload, which becomes the object `key` when it is completed."""

    def addresses(self, key: str, upload_id: str, numbers: Sequence[int]) -> Mapping[int, str]:
        """Return where each of these parts may be PUT during the next hour, by whoever has the address."""

    def parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that have arrived, by number, up to a thousand. Raises NoSuchUploadError."""

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make an object of these parts. Raises NoSuchUploadError: it may be complete already."""

    def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload with all its parts. Nothing happens if there is none."""


class Work(Protocol):
    """Objects that the steps of a job leave for one another. They expire by themselves."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data`. Storing the same again is harmless."""

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return the object, or its bytes from `start` to `stop` (exclusive; None: the end).

        Raises WorkLostError if there is none, ValueError for a part that does not begin within it.
        """


class Queue(Protocol):
    def send(self, messages: Sequence[Message]) -> None:
        """Send all messages, each at least once; on an error some may have been sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One page of a listing, newest change first. `cursor` asks for the next one; None at the end.

    A page may be short, or even empty, and still have a cursor: few of the jobs that were looked at were wanted.
    """

    jobs: tuple[Job, ...]
    cursor: str | None


class Jobs(Protocol):
    """The job table. Of a problem's message it keeps as much as `core.jobs.model.shortened` leaves."""

    def create(self, job: Job) -> Job:
        """Store a job unless one with its id exists. Return the stored one: the same value if it was stored now. One
        that has ended leaves a notice of it in the same write."""

    def get(self, job_id: str) -> Job | None:
        """Return the job as it stands (strongly consistent), None if there is none."""

    def move(self, was: Job, now: Job) -> bool:
        """Store `now` if the job still is where `was` had it: same state, attempt and generation (and, between two
        ended states, the same `sweep_at`: a sweep that was asked for meanwhile is not forgotten).

        One conditional write; False means that somebody else was faster, and nothing was written. Progress
        (chunks_done, tiles_done, bytes_done) is written only where `now` differs from `was`, so that chunks which end
        meanwhile are not forgotten; subscribers never are. A move that ends an attempt leaves a notice of it in the
        same write (`untold`).
        """

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        """Add a subscriber if the job still has `job`'s attempt and subscribers, and is live or ended as `job` is.

        One conditional write, which leaves a notice of the attempt again if it has ended; False if nothing was written.
        """

    def untold(self, *, before: float, limit: int) -> tuple[Notice, ...]:
        """Return notices of attempts that ended before the instant, the oldest first."""

    def told(self, notice: Notice, *, subscribers: int) -> None:
        """Take a notice away, unless somebody beyond so many subscribers was added since the attempt ended. Harmless if
        there is none."""

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        """Put a chunk into the done set, with its record, if the job is tiling in `job`'s attempt and generation.

        Idempotent: a second time changes nothing. Return the job as it stands afterwards, None if it is not (or no
        longer) tiling there.
        """

    def chunk_records(self, job: Job) -> tuple[ChunkRecord, ...]:
        """Return the records of the done chunks of the job's generation, by number."""

    def note_trouble(self, job: Job, trouble: Problem) -> None:
        """Keep the last transient error of a live attempt, so that giving up can name it."""

    def count_rescue(self, job: Job, *, now: float) -> bool:
        """Add one to `rescues` and set `updated_at`, if the job still has `job`'s state, attempt and rescues."""

    def schedule_sweep(self, job_id: str, at: float) -> None:
        """Ask the sweeper to look at an ended job at this instant, or later if it is to look later anyway; nothing
        happens to a live or unknown one."""

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: Selection = EVERY_JOB
    ) -> JobPage:
        """Return a page of jobs: of a state, of a session (the latest submitted first), or all; `only` those wanted.

        Of all jobs, or those of states, one that changes after a page was given comes on none behind it. What one call
        looks at is bounded, however many jobs there are. Raises InvalidRequestError for a foreign cursor.
        """

    def count(self, state: State, *, most: int) -> int:
        """Return how many jobs are in this state, or `most` if there are more. A moment ago, it may be."""

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        """Return jobs of this state whose `updated_at` lies before the instant, the longest silent first; those behind
        `after`, the last one of the page before, wherever that is by now."""

    def to_sweep(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        """Return jobs whose `sweep_at` has come, the longest due first; those behind `after`, as for `silent`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Lines of a job, the newest last. `cursor` is the place behind the last of them, None before the first;
    `is_end` tells that there are no more by now."""

    events: tuple[Event, ...]
    cursor: str | None
    is_end: bool


class Events(Protocol):
    """What happened to each job, line by line. Lines go by themselves after some months."""

    def append(self, event: Event) -> None:
        """Keep a line: one write. The lines of a process stay in their order, also of one instant."""

    def list(self, job_id: str, *, after: str | None, limit: int) -> EventPage:
        """Return up to `limit` lines of a job behind the place `after`; None: from the first that is kept.

        Raises InvalidRequestError for what is no cursor.
        """

    def trim(self, job_id: str, *, keep: int) -> None:
        """Drop all lines of a job but the newest `keep`."""


# How long an answer is kept; and how long a call may be at work before another one with its key begins anew, which is
# longer than any request is let live.
KEEP_ANSWERS_SECONDS = 24 * 3600.0
CALL_SECONDS = 60.0
# An item of the table holds 400 kB. What is larger is not kept, and the call done again.
MAX_ANSWER_BYTES = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What a call was answered. `headers` are those that do not follow from the rest."""

    status: int
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What stands under a key: of which call (a digest), and what it was answered: None while it is at work."""

    call: str
    answer: KeptAnswer | None = None


class Answers(Protocol):
    """Answers that are given again to who repeats a call under its key. They go by themselves after a day."""

    def begin(self, key: str, call: str, *, now: float) -> Promise | None:
        """Reserve a key for a call: None, and it is the caller's to answer. Else what stands there already.

        One conditional write. A reservation without an answer lasts CALL_SECONDS, an answer KEEP_ANSWERS_SECONDS.
        """

    def keep(self, key: str, call: str, answer: KeptAnswer, *, now: float) -> None:
        """Keep the answer of a call that has reserved the key. The first one stays; nothing happens to other calls'."""

    def forget(self, key: str, call: str) -> None:
        """Give up a reservation: the call may be made anew. Nothing happens to what is answered, or another call's."""


class Deliveries(Protocol):
    """What is told of the ends of jobs, beside the jobs."""

    def create(self, delivery: Delivery) -> Delivery:
        """Store a delivery unless one with its id exists. Return the stored one."""

    def get(self, job: str, delivery: str) -> Delivery | None:
        """Return a job's delivery as it stands (strongly consistent), None if there is none."""

    def move(self, was: Delivery, now: Delivery) -> bool:
        """Store `now` if the delivery still has `was`'s version. One conditional write."""

    def of_job(self, job: str) -> tuple[Delivery, ...]:
        """Return a job's deliveries, the latest made first."""

    def due(self, *, before: float, limit: int) -> tuple[Delivery, ...]:
        """Return pending deliveries whose `next_at` lies before the instant, the longest due first."""

    def disable(self, scope: str, url: str) -> None:
        """Keep that a URL wants to hear nothing more of a job (or hook)."""

    def enable(self, scope: str, url: str) -> None:
        """Forget that again."""

    def is_disabled(self, scope: str, url: str) -> bool:
        """Tell whether it wants to hear nothing more (strongly consistent)."""


class Callbacks(Protocol):
    """The receivers of callbacks."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one POST to a URL that may be called, and return what came of it, within 15 seconds.

        Whatever the receiver does is an answer: no redirect is followed, of what it sends only the head is read, and a
        name that leads to an address that may not be called is not called. Nothing is raised.
        """


class Syncs(Protocol):
    """The syncs, beside the jobs."""

    def create(self, sync: Sync) -> Sync:
        """Store a sync unless one with its id exists. Return the stored one."""

    def get(self, sync_id: str) -> Sync | None:
        """Return the sync as it stands (strongly consistent), None if there is none."""

    def move(self, was: Sync, now: Sync) -> bool:
        """Store `now` if the sync still is where `was` had it: same run, pages and end. One conditional write."""

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        """Keep the next page (`sync.pages`) of the report of a run. Storing it again replaces it."""

    def page(self, sync: Sync, number: int) -> tuple[Entry, ...]:
        """Return a page of a run's report; empty if there is none, or none any more."""

    def latest(self, *, live: bool, limit: int) -> tuple[Sync, ...]:
        """Return syncs that run, or that have ended; the latest change first."""


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
class Holding:
    """What a staging collection holds: tiles by depth (root = 1), and the sum of all tile ids."""

    tiles_by_depth: dict[int, int]
    digest: int


# How many of the jobs that the shown one replaced are told again to the one that replaces it.
KEPT_REPLACED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
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

    def holding(self, job: Job, expected: Holding | None = None) -> Holding:
        """Return what the staging collection holds (or, after the rename, the collection it became).

        `expected` tells the two apart where a late worker has staged a part of it again after the rename.
        """

    def publish(self, job: Job, facts: ImageFacts, *, now: float, verified: Holding | None = None) -> Switch:
        """Let readers see the job's generation: image document, atomic switch, session entry (newest first, once).

        `verified` is what was found to be complete: nothing else is put in the place of an image that the caller named.

        Each part looks before it acts, so that running it again from the start ends in the same. A view that shows a
        newer generation of the slide (Job.order) is left alone: `won` is False.
        """

    def is_overtaken(self, job: Job) -> bool:
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

    def beside(self, image_store: str, image: str, name: str) -> bytes | None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a signed webhook. `key` names sender and delivery, `body` what it asked for (digests); `signed_at`
    is that of the last attempt that was answered, `location` where its outcome is looked at (empty: nowhere)."""

    key: str
    body: str
    signed_at: int
    location: str


class Doorbook(Protocol):
    """What the door remembers. Everything in it expires by itself."""

    def receipt(self, key: str) -> Receipt | None:
        """Return what became of a delivery (strongly consistent), None if it was not accepted yet."""

    def keep(self, receipt: Receipt, *, now: float) -> bool:
        """Keep a receipt unless one of its key is kept that has another body, or was signed at that instant or later.

        One conditional write; False means that it was not kept.
        """

    def count_try(self, who: str, *, now: float) -> int:
        """Count one try of `who` in the minute of `now`; return how many there were in it, with this one."""

    def keep_code(self, code_sha256: str, token_id: str, *, expires_at: float) -> None:
        """Keep a sign-in code by its SHA-256 (hex), for the token with this id (`core.web.auth.Token.id`)."""

    def redeem_code(self, code_sha256: str, *, now: float) -> str | None:
        """Return the id of the token that a sign-in code is for. A code is redeemed once: of many callers one gets the
        id, the others None, as for a code that is unknown or has expired. One conditional write.
        """
