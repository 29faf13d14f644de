"""A job and its states.

    queued -> planning -> tiling -> finishing -> done
       any of the first four -> failed | cancelled | superseded
       any ended state       -> queued (the next attempt)

| state      | entered by                                          | left by                                    |
|------------|-----------------------------------------------------|--------------------------------------------|
| queued     | submit (a new job or the next attempt)              | plan                                       |
| planning   | plan, when it receives the message                  | plan, when the plan and staging are stored |
| tiling     | plan                                                | finish, when all chunks are done           |
| finishing  | finish                                              | finish, when the generation is published   |
| done       | finish                                              | submit, if it was replaced or by force     |
| failed     | the step that met the error; rescue; dead letters   | submit, retry                              |
| cancelled  | cancel                                              | submit, retry                              |
| superseded | plan or tile (source changed); finish (newer slide) | submit                                     |

core.jobs.transitions has a function for each transition. Instants are UTC epoch seconds.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from chalicelib.core.errors import NotFoundError, SlidehookError, TooManySubscribersError
from chalicelib.core.geometry import level_count
from chalicelib.core.ids import content_id, object_id
from chalicelib.core.jobs.source import Source
from chalicelib.core.jobs.verification import Findings, Target, TileFault

OnBadTile = Literal["fail", "skip", "blank"]
# How the tiles of a level are published (core.plan.pyramid).
Method = Literal["passthrough", "lossless-crop", "re-encoded", "downsampled"]


class State(StrEnum):
    QUEUED = "queued"
    PLANNING = "planning"
    TILING = "tiling"
    FINISHING = "finishing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


LIVE = frozenset({State.QUEUED, State.PLANNING, State.TILING, State.FINISHING})
ENDED = frozenset(State) - LIVE
UNFINISHED = frozenset({State.QUEUED, State.PLANNING, State.TILING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The destination of a slide in SlideAtlas. Ids are 24 hexadecimal digits.

    `image_store` and `database` are those of the session when the job was submitted. `mongo_collection` is the id of
    the image to replace, if the caller named one.
    """

    collection: str
    session: str
    image_store: str
    database: str
    mongo_collection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a job. `tile_size` in pixels; None keeps the tiles of the file. `on_bad_tile` applies to tiles
    that cannot be read. `associated` publishes label, macro and thumbnail with the slide."""

    tile_size: int | None = None
    base_only: bool = False
    overwrite: bool = False
    on_bad_tile: OnBadTile = "blank"
    associated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as it is stored and shown: a stable code, a message and a hint."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An ended attempt. `outcome` is its final state, `worker` the function instance that ended it."""

    attempt: int
    started_at: float
    ended_at: float
    outcome: State
    error: Problem | None = None
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadTile:
    """A stored tile that could not be read: its position in the pyramid, its byte offset in the source, and the
    reason."""

    level: int
    column: int
    row: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSummary:
    """A level of the published pyramid. `sparse` counts tiles that the file does not store."""

    level: int
    width_px: int
    height_px: int
    columns: int
    rows: int
    tiles: int
    sparse: int
    method: Method


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideSummary:
    """Metadata of a slide; None if the file does not state it. `mpp` is micrometers per pixel. `associated` names the
    associated images that are published."""

    mpp_x: float | None = None
    mpp_y: float | None = None
    magnification: float | None = None
    vendor: str | None = None
    icc_profile_bytes: int = 0
    associated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The published slide of a done job."""

    image: str
    view: str
    image_store: str
    database: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRecord:
    """The result of a finished chunk. A chunk of a verification stores no tiles."""

    number: int
    # The number of stored tiles.
    tiles: int
    source_bytes: int
    # The sum of the ids of the stored tiles (core.ids).
    digest: int
    ended_at: float
    seconds: float = 0.0
    # Tiles that could not be read: their number, the omitted tiles by level, and the first of them.
    tiles_bad: int = 0
    skipped: tuple[int, ...] = ()
    bad_tiles: tuple[BadTile, ...] = ()
    # Faults that a verification found, by kind; `surplus` counts the additional documents of doubled tiles.
    missing: int = 0
    altered: int = 0
    doubled: int = 0
    surplus: int = 0
    # The first faults.
    faults: tuple[TileFault, ...] = ()


# Callback URLs of a job. More would not be callers of one slide.
MAX_SUBSCRIBERS = 5


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A callback URL of a job (core.jobs.deliveries), for attempts from `since` on."""

    url: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The state of one job, as it is stored. A verification is a job that `verifies` the tiles of another one."""

    id: str
    hook: str
    source: Source
    destination: Destination
    options: Options
    # When the current attempt was submitted and started, and when the job last changed.
    submitted_at: float
    started_at: float
    updated_at: float
    state: State = State.QUEUED
    # Counted from 1.
    attempt: int = 1
    # Counts the staging collections of the job. A discarded generation is never written again.
    generation: int = 0
    ended_at: float | None = None
    # Identifies the plan; equal digests mean equal work.
    plan_digest: str | None = None
    tile_size_px: int = 0
    levels: tuple[LevelSummary, ...] = ()
    chunks_total: int = 0
    # A set, so that a chunk that finishes twice counts once.
    chunks_done: frozenset[int] = field(default_factory=frozenset)
    tiles_total: int = 0
    tiles_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    # The number of tiles that could not be read, and the first of them.
    tiles_bad: int = 0
    bad_tiles: tuple[BadTile, ...] = ()
    slide: SlideSummary = field(default_factory=SlideSummary)
    tiling_at: float | None = None
    # How often messages were sent again since the last progress.
    rescues: int = 0
    last_transient_error: Problem | None = None
    error: Problem | None = None
    # The ended attempts, the newest last.
    history: tuple[Attempt, ...] = ()
    published: Published | None = None
    # When the next cleanup of an ended job is due; None if it needs none.
    cleanup_at: float | None = None
    # Generations to delete.
    discarded: tuple[int, ...] = ()
    # The attempt whose generation was discarded last.
    cleaned_attempt: int = 0
    # Verifications only: the target, and what was found.
    verifies: Target | None = None
    findings: Findings | None = None
    # The request, S3 event or sync that caused the attempt.
    request_id: str | None = None
    # Callback URLs. They are not part of the identity of the job.
    subscribers: tuple[Subscriber, ...] = ()

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def all_chunks_done(self) -> bool:
        return 0 < self.chunks_total == len(self.chunks_done)

    @property
    def depth(self) -> int:
        """The number of levels of the complete quadtree. Requires a planned job."""
        return level_count(self.levels[0].columns, self.levels[0].rows, 1)

    @property
    def thumbnail_url(self) -> str | None:
        """The URL of the coarsest tile; None if nothing is published, or no published level has a single tile."""
        if self.published is None or (self.levels and self.levels[-1].tiles > 1):
            return None
        return f"/thumb?img={self.published.image}&db={self.published.image_store}"

    @property
    def order(self) -> str:
        """The sort key of the generations of one slide: the newer object first (S3 reports whole seconds), then the
        later submission (steps.submit)."""
        return f"{self.source.last_modified_at:017.3f}|{self.submitted_at:017.6f}"

    def staging(self, generation: int | None = None) -> str:
        """The staging collection of a generation. It is also the id of the image, unless the caller named one."""
        return object_id("image", self.id, str(self.generation if generation is None else generation))

    @property
    def image(self) -> str:
        return self.destination.mongo_collection or self.staging()


def job_id(hook: str, source: Source, destination: Destination, options: Options) -> str:
    """Return the id of a job. The same hook, object, destination and options are the same job."""
    return content_id(
        "job",
        {
            "hook": hook,
            "source": [source.bucket, source.key, source.etag, source.size_bytes],
            "destination": [destination.collection, destination.session, destination.mongo_collection],
            "options": [options.tile_size, options.base_only, options.overwrite, *_later_options(options)],
        },
    )


def new_verification(upload: Job, *, repair: bool, now: float) -> Job:
    """Return a queued job that verifies the published slide of `upload`. Verifying a slide again is another attempt of
    the same job."""
    target = Target(job=upload.id, attempt=upload.attempt, image=upload.image, repair=repair)
    return Job(
        id=content_id("job", {"hook": "verify", "upload": upload.id, "repair": repair}),
        hook="verify",
        source=upload.source,
        # A verification writes no tiles, so it does not replace an image.
        destination=replace(upload.destination, mongo_collection=None),
        options=upload.options,
        submitted_at=now,
        started_at=now,
        updated_at=now,
        verifies=target,
    )


def _later_options(options: Options) -> list[object]:
    # Default values are omitted, so that the ids of jobs from earlier versions do not change.
    later = {"on_bad_tile": options.on_bad_tile, "associated": options.associated}
    default = Options()
    return [[name, value] for name, value in later.items() if value != getattr(default, name)]


def new_job(hook: str, source: Source, destination: Destination, options: Options, *, now: float) -> Job:
    """Return the first attempt of a job, queued."""
    return Job(
        id=job_id(hook, source, destination, options),
        hook=hook,
        source=source,
        destination=destination,
        options=options,
        submitted_at=now,
        started_at=now,
        updated_at=now,
    )


def require_found(job_id: str, job: Job | None) -> Job:
    """Return the job that was read by its id. Raises NotFoundError if there is none."""
    if job is None:
        raise NotFoundError(f"job {job_id:.64} does not exist", hint="Check the id. GET /jobs lists all jobs.")
    return job


def has_subscriber(job: Job, url: str) -> bool:
    """Return whether a URL is a subscriber of the job. Raises TooManySubscribersError if it cannot be added."""
    if any(each.url == url for each in job.subscribers):
        return True
    if len(job.subscribers) >= MAX_SUBSCRIBERS:
        raise TooManySubscribersError(
            f"job {job.id} already has {MAX_SUBSCRIBERS} callback URLs", pointer="/callback_url"
        )
    return False


# A DynamoDB item holds 400 kB, and a job stores up to 22 problems.
MESSAGE_LIMIT = 2000


def shortened(problem: Problem) -> Problem:
    """Return the problem with its message limited to MESSAGE_LIMIT characters."""
    if len(problem.message) <= MESSAGE_LIMIT:
        return problem
    return replace(problem, message=f"{problem.message[: MESSAGE_LIMIT - 1]}…")


def problem(error: SlidehookError) -> Problem:
    """Return an error as a `Problem`."""
    return Problem(code=error.code, message=str(error), hint=error.advice)
