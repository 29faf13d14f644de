"""Every door of app.py as one row: what it takes, what it answers, what it refuses. The API's document is this table
and the classes it names; a test compares it with app.py, and others every answer with it.

A new door is one more row in ROUTES: `refuses` names the errors beyond those of every door, each for all its kinds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from chalicelib.core.errors import (
    AnswerTooLargeError,
    BadAddressError,
    BodyTooLargeError,
    BucketNotAllowedError,
    CallbacksOffError,
    ConflictError,
    DestinationError,
    ForbiddenError,
    InvalidRequestError,
    KeyInUseError,
    KeyReusedError,
    LimitError,
    MethodNotAllowedError,
    NoProgressError,
    NotCancellableError,
    NotFoundError,
    NotRetryableError,
    NotVerifiableError,
    ReplayedError,
    SlideError,
    SlidehookError,
    SourceError,
    StagingError,
    TooManySubscribersError,
    TooManyTriesError,
    TransientError,
    UnauthorizedError,
    UnsupportedMediaError,
)
from chalicelib.entrypoints.http import documents as told
from chalicelib.entrypoints.http.queries import (
    EventsQuery,
    ListQuery,
    OrphansQuery,
    Query,
    SlidesQuery,
    SyncQuery,
    ThumbnailQuery,
    TileQuery,
)
from chalicelib.hooks import Parameters
from chalicelib.hooks.inspect import InspectParameters
from chalicelib.hooks.multipart import BeginParameters, CompleteParameters, PartsParameters, UploadNamed
from chalicelib.hooks.redrive import RedriveParameters
from chalicelib.hooks.remove import RemoveParameters
from chalicelib.hooks.session import SessionParameters, SignInParameters
from chalicelib.hooks.sync import SyncParameters
from chalicelib.hooks.upload import UploadParameters
from chalicelib.hooks.verify import VerifyParameters

# A body: a class of JSON, the media type of something else, several of either, or nothing.
Body = type[BaseModel] | str | tuple[type[BaseModel] | str, ...] | None

WRONG = (InvalidRequestError,)
GONE = (NotFoundError,)
BODY = (InvalidRequestError, BodyTooLargeError, UnsupportedMediaError)
SUBMITTING = (SourceError, DestinationError, SlideError)
RETRYING = (NotRetryableError, *SUBMITTING, StagingError, NoProgressError)
# By Chalice, of whatever door.
ALWAYS = (TransientError, MethodNotAllowedError, UnsupportedMediaError)
PICTURE = "image/jpeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one address. `path` is the route of app.py, `address` one of those that it stands for where they
    differ. Of a door that is read, HEAD is answered as well."""

    path: str
    says: str
    answers: Mapping[int, Body]
    method: str = "GET"
    address: str = ""
    group: str = ""
    query: type[Query] | None = None
    body: type[Parameters] | None = None
    refuses: tuple[type[SlidehookError], ...] = ()
    headers: tuple[str, ...] = ()
    is_open: bool = False
    needs_submit: bool = False
    is_plain: bool = False
    deprecated: str = ""
    sends: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_read(self) -> bool:
        """Tell whether it may be open where reading is."""
        return self.method == "GET" and not self.needs_submit

    @property
    def at(self) -> str:
        return self.address or self.path

    @property
    def refusals(self) -> tuple[type[SlidehookError], ...]:
        """What may be refused, as classes: a file is refused to nobody."""
        if self.is_plain:
            return (*self.refuses, MethodNotAllowedError, UnsupportedMediaError)
        keys = (KeyReusedError, KeyInUseError, InvalidRequestError) if self.method == "POST" else ()
        tokens = () if self.is_open else (UnauthorizedError, ForbiddenError)
        return (*self.refuses, *keys, *tokens, *ALWAYS)


def _hook(
    name: str, says: str, body: type[Parameters], answers: Mapping[int, Body], *refuses: type[SlidehookError]
) -> Route:
    sends = {status: ("Location", "Retry-After") for status in answers if status == 202}
    return Route(
        method="POST", path="/hooks/{name}", address=f"/hooks/{name}", says=says, body=body, answers=answers,
        group="hooks", sends=sends,
        refuses=(*BODY, ReplayedError, CallbacksOffError, TooManySubscribersError, *refuses),
    )  # fmt: skip


JOB = {200: ("ETag", "Retry-After", "Preference-Applied", "Cache-Control"), 304: ("ETag",)}
INSPECTED = (told.Publishable, told.Unpublishable, told.DoneBefore)
TILE: Mapping[int, Body] = {200: PICTURE, 304: None, 404: told.NoTile, 413: told.NoTile}
TAGGED = {200: ("ETag", "Cache-Control"), 304: ("ETag", "Cache-Control")}

FILE: Mapping[int, Body] = {
    200: ("text/html", "text/javascript", "text/css", "text/plain", "image/svg+xml"),
    304: None,
    404: "text/html",
}
PLAIN: dict[str, Any] = {
    "is_open": True,
    "is_plain": True,
    "refuses": GONE,
    "headers": ("If-None-Match",),
    "sends": TAGGED,
}

ROUTES: tuple[Route, ...] = (
    # -- hooks
    _hook("upload", "Bring a slide to its viewers", UploadParameters, {202: told.JobDocument}, *SUBMITTING),
    _hook("inspect", "Say what an upload would do", InspectParameters, {200: INSPECTED}, SourceError, SlideError),
    _hook("sync", "Submit what is new or changed under a prefix", SyncParameters, {202: told.SyncDocument},
          BucketNotAllowedError, DestinationError),
    _hook("verify", "Compare a published slide with its source", VerifyParameters, {202: told.JobDocument},
          NotFoundError, NotVerifiableError, BucketNotAllowedError),
    _hook("remove", "Take slides out of a session", RemoveParameters, {200: (told.Removed, told.DoneBefore)},
          DestinationError),
    Route(method="POST", path="/hooks/{name}", says="There is no other hook", answers={}, group="hooks",
         refuses=(NotFoundError, BodyTooLargeError)),
    # -- jobs
    Route(path="/jobs", says="List jobs, the latest change first", query=ListQuery, group="jobs", refuses=WRONG,
         answers={200: told.JobList, 304: None}, headers=("If-None-Match",), sends=TAGGED),
    Route(path="/jobs/counts", says="Count the jobs in each state", answers={200: told.JobCounts}, group="jobs"),
    Route(path="/jobs/{job_id}", says="Show a job's status", answers={200: told.JobDocument, 304: None}, group="jobs",
         refuses=GONE, headers=("If-None-Match", "Prefer"), sends=JOB),
    Route(path="/jobs/{job_id}/events", says="Tell what happened to a job, line by line", query=EventsQuery,
         group="jobs", answers={200: told.JobEvents}, refuses=(*GONE, *WRONG)),
    Route(path="/jobs/{job_id}/map", says="Tell how far a job's pyramid has filled up", group="jobs", refuses=GONE,
         answers={200: told.MapDocument, 304: None}, headers=("If-None-Match",), sends=TAGGED),
    Route(path="/jobs/{job_id}/tiles/{name}", says="A tile of a slide on its way", group="jobs", refuses=GONE,
         answers={200: PICTURE}),
    Route(method="POST", path="/jobs/{job_id}/cancel", says="End a job", answers={200: told.JobDocument}, group="jobs",
         refuses=(NotFoundError, NotCancellableError)),
    Route(method="POST", path="/jobs/{job_id}/retry", says="Begin the next attempt", answers={202: told.JobDocument},
         group="jobs", refuses=(NotFoundError, *RETRYING), sends={202: ("Location", "Retry-After")}),
    Route(method="POST", path="/redrive", says="Retry failed jobs in bulk", body=RedriveParameters,
         answers={202: told.Redriven}, group="jobs", refuses=BODY),
    Route(path="/jobs/{job_id}/deliveries", says="Tell what was told of a job's ends", group="jobs", refuses=GONE,
         answers={200: told.DeliveryList}),
    Route(method="POST", path="/jobs/{job_id}/deliveries/{delivery}/replay", says="Send a delivery again", group="jobs",
         answers={202: told.DeliveryDocument}, refuses=(NotFoundError, ConflictError, CallbacksOffError),
         sends={202: ("Location",)}),
    Route(path="/orphans", says="Tell what ended jobs have left behind", query=OrphansQuery, group="jobs",
         answers={200: told.OrphanList}, refuses=WRONG, needs_submit=True),
    Route(method="DELETE", path="/orphans", says="Drop what ended jobs have left behind", query=OrphansQuery,
         answers={200: told.OrphanList}, group="jobs", refuses=WRONG),
    # -- uploads
    Route(method="POST", path="/uploads", says="Begin to send a local slide in parts", body=BeginParameters,
         answers={201: told.UploadDocument}, group="uploads", refuses=(*BODY, DestinationError, LimitError)),
    Route(method="POST", path="/uploads/parts", says="Which parts have arrived, and where the next ones go",
         body=PartsParameters, answers={200: told.UploadParts}, group="uploads", refuses=(*BODY, NotFoundError)),
    Route(method="POST", path="/uploads/complete", says="Put the parts together", body=CompleteParameters,
         answers={200: told.UploadCompleted}, group="uploads", refuses=(*BODY, NotFoundError, ConflictError)),
    Route(method="POST", path="/uploads/abort", says="Give an upload up", body=UploadNamed,
         answers={200: told.UploadAborted}, group="uploads", refuses=(*BODY, NotFoundError)),
    # -- syncs
    Route(path="/syncs", says="List syncs, running and ended", answers={200: told.SyncList}, group="syncs"),
    Route(path="/syncs/{sync_id}", says="Show a sync and what it found", answers={200: told.SyncDocument},
         group="syncs", query=SyncQuery, refuses=(*GONE, *WRONG), sends={200: ("Retry-After",)}),
    # -- tiles
    Route(path="/tile", says="A tile, as SlideAtlas asks for it", query=TileQuery, group="tiles",
         answers=TILE, headers=("If-None-Match",), sends=TAGGED),
    Route(path="/tile/{image_store}/{image}/{name}", says="A tile", group="tiles",
         answers=TILE, headers=("If-None-Match",), sends=TAGGED),
    Route(path="/thumb", says="The smallest tile of an image", query=ThumbnailQuery, group="tiles",
         answers=TILE, headers=("If-None-Match",), sends=TAGGED),
    Route(path="/beside/{image_store}/{image}/{name}", says="What is kept beside a slide", group="tiles", refuses=GONE,
         answers={200: (PICTURE, "application/octet-stream")}),
    # -- slides
    Route(path="/slides/{slide}", says="Describe a slide for viewers, or as DZI (`.dzi`)", group="slides", refuses=GONE,
         answers={200: (told.SlideDescription, "application/xml"), 304: None}, headers=("If-None-Match",),
         sends=TAGGED),
    Route(path="/slides/{slide}/{level}/{tile}", says="A tile by our levels, or by those of DZI (`_files`)",
         group="slides", answers={200: PICTURE, 304: None}, refuses=(*GONE, AnswerTooLargeError),
         headers=("If-None-Match",), sends=TAGGED),
    Route(path="/iiif/{slide}", says="IIIF: where info.json is", group="slides", answers={303: None}, refuses=GONE,
         sends={303: ("Location",)}),
    Route(path="/iiif/{slide}/info.json", says="IIIF: the image's information", group="slides", refuses=GONE,
         answers={200: "application/json", 304: None}, headers=("If-None-Match",), sends=TAGGED),
    Route(path="/iiif/{slide}/{region}/{size}/{rotation}/{picture}", says="IIIF: a tile, or the whole slide",
         group="slides", answers={200: PICTURE, 304: None}, headers=("If-None-Match",), sends=TAGGED,
         refuses=(*GONE, BadAddressError, AnswerTooLargeError)),
    # -- catalogue
    Route(path="/collections", says="List collections with their sessions", group="catalogue",
         answers={200: told.CollectionList}),
    Route(path="/collections/{collection}", says="Show a collection with its sessions", group="catalogue", refuses=GONE,
         answers={200: told.CollectionDocument}),
    Route(method="POST", path="/collections/{collection}/sessions", says="Make a session, once for a label",
         body=SessionParameters, answers={200: told.SessionDocument, 201: told.SessionDocument}, group="catalogue",
         refuses=(*GONE, *BODY)),
    Route(path="/sessions/{session}", says="Show a session with its views", group="catalogue", refuses=GONE,
         answers={200: told.SessionWithViews}),
    Route(path="/sessions/{session}/slides", says="List a session's slides, the newest first", query=SlidesQuery,
         answers={200: told.SlideList}, group="catalogue", refuses=(*GONE, *WRONG)),
    Route(method="POST", path="/sessions/{session}/recreate", says="Empty a session", group="catalogue",
         answers={200: told.EmptiedSession}, refuses=GONE),
    # -- the service
    Route(path="/health", says="Whether the service is alive", group="service", is_open=True,
         answers={200: told.Health}),
    Route(path="/ready", says="Whether all that it stands on answers", group="service", is_open=True,
         answers={200: told.Readiness, 503: told.Readiness}),
    Route(path="/client", says="What a client needs to upload", answers={200: told.ClientSettings}, group="service",
         needs_submit=True),
    Route(path="/sign-in", says="Who is signed in, and what they may", answers={200: told.SignedIn}, group="service"),
    Route(method="POST", path="/sign-in", says="A session of the page, for a token or a link's code",
         body=SignInParameters, answers={200: told.SignedIn}, group="service", is_open=True,
         refuses=(*BODY, TooManyTriesError, ForbiddenError, UnauthorizedError), sends={200: ("Set-Cookie",)}),
    Route(method="POST", path="/sign-in/links", says="Make a link that signs one browser in", group="service",
         answers={201: told.SignInLink}),
    Route(path="/sign-in/links/{code}", says="Sign a browser in by a link", group="page", is_open=True,
         answers={200: "text/html", 303: None, 410: "text/html", 429: "text/html"},
         sends={303: ("Location", "Set-Cookie"), 429: ("Retry-After",)}),
    Route(method="POST", path="/sign-out", says="End the page's session", answers={200: told.SignedOut},
         group="service", is_open=True, refuses=(ForbiddenError, UnauthorizedError), sends={200: ("Set-Cookie",)}),
    Route(path="/openapi.json", says="This document", group="service", is_open=True,
         answers={200: "application/json", 304: None}, headers=("If-None-Match",), sends=TAGGED),
    Route(path="/", says="The jobs page", group="page", answers=FILE, **PLAIN),
    Route(path="/pages/{name}", says="A page", group="page", answers=FILE, **PLAIN),
    Route(path="/static/{name}", says="A file of the pages", group="page", answers=FILE, **PLAIN),
    Route(path="/static/vendor/{name}", says="A file of the viewer's library", group="page", answers=FILE, **PLAIN),
)  # fmt: skip
