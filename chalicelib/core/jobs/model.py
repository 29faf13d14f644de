"""A job, its states, and every legal move between them.

    queued -> planning -> tiling -> finishing -> done
       any of the first four -> failed | cancelled | superseded
       any ended state       -> queued (the next attempt)

| state      | who moves a job in                      | who moves it out                                     |
|------------|-----------------------------------------|------------------------------------------------------|
| queued     | submit (new, or the next attempt: again, retry, force) | plan                                  |
| planning   | plan, when it takes the message         | plan, when chunks and staging stand                  |
| tiling     | plan                                    | finish, when the set of done chunks is complete      |
| finishing  | finish                                  | finish, when readers see the new generation          |
| done       | finish                                  | submit, if readers no longer see it or by force      |
| failed     | the step that met the error; rescue; the dead letter handler | submit, retry                   |
| cancelled  | cancel                                  | submit, retry                                        |
| superseded | plan or tile (source changed); finish (a newer one is shown) | submit                          |

All functions are pure: they take a job and return the job after the move. Storing it is one conditional write.
Instants are UTC epoch seconds.
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
    """Where a slide goes in SlideAtlas: ids as 24 hexadecimal digits. `image_store` and `database` follow from the
    session and are recorded; `mongo_collection` is the image id to replace, if one was asked for."""

    collection: str
    session: str
    image_store: str
    database: str
    mongo_collection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller may choose. `tile_size` in pixels; None keeps the file's tiles. `on_bad_tile` says what becomes
    of a tile that cannot be read; `associated` publishes label, macro and thumbnail beside the slide."""

    tile_size: int | None = None
    base_only: bool = False
    overwrite: bool = False
    on_bad_tile: OnBadTile = "blank"
    associated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as it is shown and kept: stable code, what happened to which thing, what to do."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try, counted from 1. `outcome` is the state it ended in, `worker` the function instance that ended it."""

    attempt: int
    started_at: float
    ended_at: float
    outcome: State
    error: Problem | None = None
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadTile:
    """A stored tile that could not be published: its place in the pyramid, its byte offset in the source, and why."""

    level: int
    column: int
    row: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSummary:
    """A level as the status shows it."""

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
    """What is known of the slide beside its pixels; None where the file does not say. `associated` names the pictures
    that are published with it."""

    mpp_x: float | None = None
    mpp_y: float | None = None
    magnification: float | None = None
    vendor: str | None = None
    icc_profile_bytes: int = 0
    associated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What readers see of a done job."""

    image: str
    view: str
    image_store: str
    database: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRecord:
    """A finished chunk: how many tiles it stored, and the sum of their ids (core.ids). `tiles_bad` counts what could
    not be read, `skipped` (by level) what was left out for it, and `bad_tiles` lists the first of them.

    A chunk of a verification stores nothing: `faults` lists the first tiles that are wrong, `missing`, `altered` and
    `doubled` count them, and `surplus` the documents that doubled tiles have too many."""

    number: int
    tiles: int
    source_bytes: int
    digest: int
    ended_at: float
    seconds: float = 0.0
    tiles_bad: int = 0
    skipped: tuple[int, ...] = ()
    bad_tiles: tuple[BadTile, ...] = ()
    missing: int = 0
    altered: int = 0
    doubled: int = 0
    surplus: int = 0
    faults: tuple[TileFault, ...] = ()


# Who wants to hear of a job's ends. More than a handful are no longer callers of one slide.
MAX_SUBSCRIBERS = 5


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A URL that is told of the ends of a job (core.jobs.deliveries), from attempt `since` on."""

    url: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One slide on its way. `chunks_done` is a set, so a chunk finished twice is done once; `generation` counts the
    places its tiles were written to: one that was given to the sweeper (`discarded`, the last time after
    `cleaned_attempt`) is never written again. A job that `verifies` another one's tiles writes none, and ends with
    `findings`. `request_id` is the request, event or sync that caused the attempt. `subscribers` are told of its
    ends; they are no part of what it is."""

    id: str
    hook: str
    source: Source
    destination: Destination
    options: Options
    submitted_at: float
    started_at: float
    updated_at: float
    state: State = State.QUEUED
    attempt: int = 1
    generation: int = 0
    ended_at: float | None = None
    plan_digest: str | None = None
    tile_size_px: int = 0
    levels: tuple[LevelSummary, ...] = ()
    chunks_total: int = 0
    chunks_done: frozenset[int] = field(default_factory=frozenset)
    tiles_total: int = 0
    tiles_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    tiles_bad: int = 0
    bad_tiles: tuple[BadTile, ...] = ()
    slide: SlideSummary = field(default_factory=SlideSummary)
    tiling_at: float | None = None
    rescues: int = 0
    last_transient_error: Problem | None = None
    error: Problem | None = None
    history: tuple[Attempt, ...] = ()
    published: Published | None = None
    cleanup_at: float | None = None
    discarded: tuple[int, ...] = ()
    cleaned_attempt: int = 0
    verifies: Target | None = None
    findings: Findings | None = None
    request_id: str | None = None
    subscribers: tuple[Subscriber, ...] = ()

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def all_chunks_done(self) -> bool:
        return 0 < self.chunks_total == len(self.chunks_done)

    @property
    def depth(self) -> int:
        """How many levels the complete quadtree has. Known once the job is planned."""
        return level_count(self.levels[0].columns, self.levels[0].rows, 1)

    @property
    def thumbnail_url(self) -> str | None:
        """The URL of the coarsest tile; None if nothing is published, or no published level has a single tile."""
        if self.published is None or (self.levels and self.levels[-1].tiles > 1):
            return None
        return f"/thumb?img={self.published.image}&db={self.published.image_store}"

    @property
    def order(self) -> str:
        """The text by which generations of one slide are put in order: the newest object (S3 tells whole seconds), then
        the later instant at which an object stood (steps.submit)."""
        return f"{self.source.last_modified_at:017.3f}|{self.submitted_at:017.6f}"

    def staging(self, generation: int | None = None) -> str:
        """The collection its tiles are written to; also the id of its image, unless the caller named one."""
        return object_id("image", self.id, str(self.generation if generation is None else generation))

    @property
    def image(self) -> str:
        return self.destination.mongo_collection or self.staging()


def job_id(hook: str, source: Source, destination: Destination, options: Options) -> str:
    """Return the id of the job that this call asks for: the same bytes, place and options are the same job."""
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
    """Return the job that verifies what `upload` has published, queued. The same slide is the same job, again and
    again: its attempts are the slide's history."""
    target = Target(job=upload.id, attempt=upload.attempt, image=upload.image, repair=repair)
    return Job(
        id=content_id("job", {"hook": "verify", "upload": upload.id, "repair": repair}),
        hook="verify",
        source=upload.source,
        # Nothing is written: whatever is done to a named image does not belong to this job.
        destination=replace(upload.destination, mongo_collection=None),
        options=upload.options,
        submitted_at=now,
        started_at=now,
        updated_at=now,
        verifies=target,
    )


def _later_options(options: Options) -> list[object]:
    # Left out where they say nothing: the ids of jobs from before they existed stay the same.
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
    """Return what was looked up as `job_id`. Raises NotFoundError."""
    if job is None:
        raise NotFoundError(f"there is no job {job_id:.64}", hint="Check the id; jobs are listed at /jobs.")
    return job


def has_subscriber(job: Job, url: str) -> bool:
    """Tell whether a URL is among the job's subscribers. Raises TooManySubscribersError if it is not and cannot be."""
    if any(each.url == url for each in job.subscribers):
        return True
    if len(job.subscribers) >= MAX_SUBSCRIBERS:
        what = f"job {job.id} has {MAX_SUBSCRIBERS} receivers of callbacks"
        raise TooManySubscribersError(f"{what}, and takes no more", pointer="/callback_url")
    return False


# An item of the table holds 400 kB, and a job keeps up to twenty-two problems.
MESSAGE_LIMIT = 2000


def shortened(problem: Problem) -> Problem:
    """Return a problem whose message fits beside the others that a job keeps."""
    if len(problem.message) <= MESSAGE_LIMIT:
        return problem
    return replace(problem, message=f"{problem.message[: MESSAGE_LIMIT - 1]}…")


def problem(error: SlidehookError) -> Problem:
    """Return an error as it is kept."""
    return Problem(code=error.code, message=str(error), hint=error.advice)
