"""What is answered, as classes: the API's document is made of them, and the tests hold every answer to it. The values
themselves are made by `steps/report.py` and the handlers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.core.errors import SlidehookError
from chalicelib.core.jobs.events import Happening
from chalicelib.core.jobs.model import OnBadTile, State
from chalicelib.core.jobs.sync import Outcome
from chalicelib.core.jobs.verification import Fault
from chalicelib.core.web.auth import Scope

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="id of a job or a sync")]
ObjectId = Annotated[str, Field(pattern=r"^[0-9a-f]{24}$", description="ObjectId of SlideAtlas")]
# Of an arrival whose key names no place, nothing is known.
MaybeObjectId = Annotated[str, Field(pattern=r"^([0-9a-f]{24})?$", description="ObjectId of SlideAtlas, or empty")]
At = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="UTC, to the millisecond")]
Count = Annotated[int, Field(ge=0)]
Px = Annotated[int, Field(ge=0, description="pixels")]
Made = Literal["passthrough", "lossless-crop", "re-encoded", "made"]


def known_codes(kind: type[SlidehookError] = SlidehookError) -> set[str]:
    """Return the codes of an error and of all its kinds."""
    return {kind.code}.union(*(known_codes(each) for each in kind.__subclasses__()))


class Document(BaseModel):
    """An answer has these fields, and no others."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=False)


class FieldOfRequest(Document):
    """A field that is wrong: `pointer` is a JSON pointer into the body, or `/` and the name of a parameter."""

    pointer: str
    detail: str


class ProblemDetails(Document):
    """An error (RFC 9457): `code` is stable, `hint` says what to do."""

    type: Annotated[str, Field(pattern="^urn:slidehook:problem:")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: str
    hint: str
    errors: list[FieldOfRequest] = []


class Why(Document):
    """An error of a job: stable code, what happened, what to do."""

    code: str
    message: str
    hint: str


class SourceDocument(Document):
    """The pinned object."""

    bucket: str
    key: str
    etag: str
    size_bytes: Count
    version_id: str | None
    last_modified_at: At


class DestinationDocument(Document):
    collection: MaybeObjectId
    session: MaybeObjectId
    image_store: MaybeObjectId
    mongo_collection: ObjectId | None


class OptionsDocument(Document):
    tile_size: Px | None
    base_only: bool
    overwrite: bool
    on_bad_tile: OnBadTile
    associated: bool


class SlideDocument(Document):
    """What is known of the slide; null where the file does not say."""

    width_px: Px
    height_px: Px
    tile_size_px: Px
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    icc_profile_bytes: Count
    associated: list[str]


class LevelDocument(Document):
    """A level, 0 is the full resolution."""

    level: Count
    width_px: Px
    height_px: Px
    columns: Count
    rows: Count
    tiles: Count
    sparse: Count
    made: Made


class Progress(Document):
    done: Count
    total: Count


class Rate(Document):
    tiles_per_second: float | None
    bytes_per_second: float | None


class BadTileDocument(Document):
    level: Count
    column: Count
    row: Count
    offset: Count
    reason: str


class BadTiles(Document):
    """How many stored tiles could not be read, and the first of them."""

    count: Count
    listed: list[BadTileDocument]


class AttemptDocument(Document):
    attempt: Annotated[int, Field(ge=1)]
    started_at: At
    ended_at: At
    outcome: State
    worker: str | None
    error: Why | None


class ResultDocument(Document):
    """What readers see of a done job."""

    image: ObjectId
    view: ObjectId
    image_store: ObjectId
    database: str
    thumbnail: str


class FaultDocument(Document):
    level: Count
    column: Count
    row: Count
    name: str
    fault: Fault
    documents: Count


class VerificationDocument(Document):
    """What a verification looks at, and found: null before its end."""

    job: Id
    attempt: Count
    image: ObjectId
    repair: bool
    intact: bool | None
    missing: Count | None
    altered: Count | None
    doubled: Count | None
    unexpected: Count | None
    faults: list[FaultDocument]


class JobDocument(Document):
    """The status of a job. `links` names what can be looked at or done now."""

    id: Id
    hook: str
    state: State
    attempt: Annotated[int, Field(ge=1)]
    source: SourceDocument
    destination: DestinationDocument
    options: OptionsDocument
    slide: SlideDocument | None
    levels: list[LevelDocument]
    tiles: Progress
    bytes: Progress
    chunks: Progress
    rate: Rate
    eta_seconds: float | None
    bad_tiles: BadTiles
    asked_by: str | None
    submitted_at: At
    started_at: At
    updated_at: At
    ended_at: At | None
    attempts: list[AttemptDocument]
    error: Why | None
    trouble: Why | None
    result: ResultDocument | None
    verification: VerificationDocument | None
    links: dict[str, str]


class JobList(Document):
    """A page of jobs. `next` is the cursor of the page behind it, which there may be also behind a short one."""

    jobs: list[JobDocument]
    next: str | None


class CountDocument(Document):
    """So many jobs, or at least so many."""

    count: Count
    is_exact: bool


class JobCounts(Document):
    counts: dict[State, CountDocument]


class EventDocument(Document):
    """A line of a job's history: what happened, who did it, and who asked for it."""

    job: Id
    at: At
    attempt: Count
    event: Happening
    worker: str = ""
    asked_by: str = ""
    door: str = ""
    chunk: Count = 0
    chunks: Count = 0
    levels: Count = 0
    tiles: Count = 0
    tiles_bad: Count = 0
    source_bytes: Count = 0
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    hint: str = ""


class JobEvents(Document):
    """Lines of a job, the newest last. `after` asks for those behind them; `more` tells that there are some."""

    job: Id
    events: list[EventDocument]
    after: str | None
    more: bool
    links: dict[str, str]


class TryDocument(Document):
    """One POST to a receiver, and what came of it."""

    at: At
    milliseconds: Count
    status: int | None
    error: str | None


class DeliveryDocument(Document):
    """What is told of an end of a job; of its receiver only the origin."""

    id: str
    job: Id
    attempt: Count
    type: str
    receiver: str
    state: str
    created_at: At
    next_at: At | None
    tries: list[TryDocument]
    links: dict[str, str]


class DeliveryList(Document):
    deliveries: list[DeliveryDocument]


class OrphanDocument(Document):
    """A collection that an ended job has left behind."""

    job: Id
    generation: Count
    database: str
    collection: str


class OrphanList(Document):
    orphans: list[OrphanDocument]
    jobs: Count
    next: str | None


class DescribedLevel(Document):
    level: Count
    width_px: Px
    height_px: Px
    columns: Count
    rows: Count


class SlideDescription(Document):
    """What a viewer needs to know of a published slide. `tiles` addresses a tile, with names to be filled in."""

    id: str
    view: ObjectId | None
    image_store: ObjectId
    image: ObjectId
    generation: str | None
    job: Id | None
    file_name: str
    width_px: Px
    height_px: Px
    tile_size_px: Px
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    levels: list[DescribedLevel]
    tiles: str
    links: dict[str, str | None]


class MapLevel(Document):
    """How far a level has filled up: of `cells`, a text a row, each character stands for `side` x `side` tiles."""

    level: Count
    columns: Count
    rows: Count
    side: Annotated[int, Field(ge=1)]
    tiles_done: Count
    made: Made | None
    cells: list[Annotated[str, Field(pattern=r"^[.0-9]*$")]]


class MapFault(Document):
    """A tile that could not be read, or that a verification found wrong."""

    level: Count
    column: Count
    row: Count
    reason: str


class Cost(Document):
    """What a job has cost so far, estimated."""

    worker_seconds: Annotated[float, Field(ge=0)]
    dollars: Annotated[float, Field(ge=0)]


class MapDocument(Document):
    """How far a job's pyramid has filled up."""

    job: Id
    state: State
    attempt: Annotated[int, Field(ge=1)]
    depth: Count
    levels: list[MapLevel]
    bad_tiles: list[MapFault]
    cost: Cost
    links: dict[str, str]


class UploadDocument(Document):
    """An upload that was begun: `source` is what a hook is called with once it is complete."""

    key: str
    upload_id: str
    part_bytes: Annotated[int, Field(ge=1)]
    parts: Annotated[int, Field(ge=1)]
    source: str


class StoredPart(Document):
    number: Annotated[int, Field(ge=1)]
    size_bytes: Count


class PartAddress(Document):
    """Where a part may be sent (PUT), for an hour, by whoever has the address."""

    number: Annotated[int, Field(ge=1)]
    url: str


class UploadParts(Document):
    stored: list[StoredPart]
    addresses: list[PartAddress]


class UploadCompleted(Document):
    source: str
    etag: str
    size_bytes: Count


class UploadAborted(Document):
    aborted: str


class RefusedRetry(Document):
    id: Id
    code: str
    message: str
    hint: str


class Redriven(Document):
    retried: list[Id]
    refused: list[RefusedRetry]
    next: str | None


class EntryDocument(Document):
    """What was found of an object."""

    key: str
    outcome: Outcome
    job: Id | None
    code: str | None
    message: str | None


class SyncCounts(Document):
    present: Count
    running: Count
    added: Count
    replaced: Count
    removed: Count
    failed: Count
    cancelled: Count
    missing: Count
    ignored: Count


class SyncDocument(Document):
    """A sync and what it found; `entries` are those of the page that was asked for."""

    id: Id
    state: Literal["running", "done"]
    run: Count
    prefix: str
    collection: ObjectId | None
    session: ObjectId | None
    counts: SyncCounts
    noteworthy: list[EntryDocument]
    pages: Count
    entries: list[EntryDocument] = []
    submitted_at: At
    updated_at: At
    ended_at: At | None
    links: dict[str, str]


class SyncList(Document):
    syncs: list[SyncDocument]


class Removed(Document):
    session: ObjectId
    views_removed: Count


class DoneBefore(Document):
    """A signed delivery that was accepted before, whose answer names nothing that could be looked at."""

    status: Literal["done before"]


class StoredLevel(Document):
    compression: str
    kind: Literal["tiles", "strips"]
    width_px: Px
    height_px: Px


class InspectedLevel(LevelDocument):
    size_bytes: Count
    stored: StoredLevel | None
    beyond_end: Count


class InspectedSlide(Document):
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    icc_profile_bytes: Count


class Estimate(Document):
    seconds: float
    worker_seconds: float
    dollars: float


class Publishable(Document):
    """What an upload would do."""

    verdict: Literal["publish"]
    source: str
    etag: str
    size_bytes: Count
    width_px: Px
    height_px: Px
    tile_size_px: Px
    slide: InspectedSlide
    tiles: Count
    tile_bytes: Count
    chunks: Count
    levels: list[InspectedLevel]
    associated: list[str]
    estimate: Estimate
    requests: Count


class Unpublishable(Document):
    """Why an upload would be refused."""

    verdict: Literal["refuse"]
    source: str
    etag: str
    size_bytes: Count
    reason: Why
    requests: Count


class SessionDocument(Document):
    id: ObjectId
    label: str
    collection: ObjectId


class SessionWithViews(SessionDocument):
    views: list[ObjectId]


class EmptiedSession(SessionDocument):
    views_removed: Count


class SessionOfCollection(Document):
    id: ObjectId
    label: str
    views: Count


class CollectionDocument(Document):
    id: ObjectId
    label: str
    image_store: ObjectId | None
    sessions: list[SessionOfCollection]


class CollectionList(Document):
    collections: list[CollectionDocument]


class ShownFacts(Document):
    """What is known of a published slide."""

    width_px: Px
    height_px: Px
    tile_size_px: Px
    levels: Count
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    vendor: str | None
    icc_profile_bytes: Count
    associated: list[str]


class ShownSlideDocument(Document):
    """A slide of a session as readers see it. `slide` is null where its image says nothing."""

    view: ObjectId
    title: str
    image_store: MaybeObjectId
    image: MaybeObjectId
    job: Id | None
    slide: ShownFacts | None
    links: dict[str, str]


class SlideList(Document):
    slides: list[ShownSlideDocument]
    next: str | None


class Health(Document):
    status: Literal["ok"]


class PartDocument(Document):
    """A part that the service stands on. `ok` is null if it could not be measured; `detail` says why, or what to do.
    `seconds` is how long it took to answer."""

    ok: bool | None
    seconds: float
    detail: str = ""


class Readiness(Document):
    """Whether each part answers. A degraded service works, and a part of it needs attention."""

    status: Literal["ready", "degraded", "not ready"]
    parts: dict[str, PartDocument]


class SignedIn(Document):
    """Who asks, and what they may; `collections` is null for all."""

    name: str
    scopes: list[Scope]
    collections: list[ObjectId] | None


class SignInLink(Document):
    """A link that signs one browser in, once, until it expires."""

    url: Annotated[str, Field(pattern="^https?://")]
    expires_at: At


class SignedOut(Document):
    status: Literal["signed out"]


class ClientSettings(Document):
    incoming_bucket: str
    region: str
    aws_endpoint: str | None


class NoTile(Document):
    """There is no such tile, as SlideAtlas' viewer expects it."""

    error: str


# The document itself, which is described by OpenAPI.
OpenApi = dict[str, Any]
