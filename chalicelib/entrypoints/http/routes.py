"""Every HTTP route of the service: method, path, access, handler, and what the OpenAPI document says of it.

The dispatcher, the OpenAPI document, the generated reference and the security tests read this table. `handler` and
`spec` are functions, because a route is registered by every Lambda function, and only the one that serves it loads the
handler's module and the schemas.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from chalice.app import Response

from chalicelib.core.errors import (
    BadAddressError,
    BodyTooLargeError,
    CallbacksDisabledError,
    ConflictError,
    DestinationError,
    ForbiddenError,
    InvalidRequestError,
    LimitError,
    NotCancellableError,
    NotFoundError,
    NotRetryableError,
    RateLimitedError,
    ResponseTooLargeError,
    RetriesExhaustedError,
    SlideError,
    SlidehookError,
    SourceError,
    StagingError,
    UnauthorizedError,
    UnsupportedMediaError,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    import chalicelib.entrypoints.http.schemas.catalogue
    import chalicelib.entrypoints.http.schemas.deliveries
    import chalicelib.entrypoints.http.schemas.job_events
    import chalicelib.entrypoints.http.schemas.job_lists
    import chalicelib.entrypoints.http.schemas.jobs
    import chalicelib.entrypoints.http.schemas.service
    import chalicelib.entrypoints.http.schemas.slides
    import chalicelib.entrypoints.http.schemas.syncs
    import chalicelib.entrypoints.http.schemas.uploads  # noqa: F401
    from chalicelib.entrypoints import pages
    from chalicelib.entrypoints.http import openapi, queries, schemas
    from chalicelib.entrypoints.http.handlers import (
        catalogue,
        deliveries,
        hooks,
        jobs,
        progress_map,
        readiness,
        service,
        sign_in,
        slides,
        syncs,
        tiles,
        uploads,
    )

    # A JSON document, the media type of another body, several of these, or no body.
    Body = type[BaseModel] | str | tuple[type[BaseModel] | str, ...] | None
else:
    Body = object

    class Module:
        """A module that is imported when one of its names is read."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    HTTP = "chalicelib.entrypoints.http"
    pages = Module("chalicelib.entrypoints.pages")
    openapi, queries = Module(f"{HTTP}.openapi"), Module(f"{HTTP}.queries")
    catalogue, deliveries, hooks, jobs, progress_map, readiness, service, sign_in, slides, syncs, tiles, uploads = (
        Module(f"{HTTP}.handlers.{name}")
        for name in (
            "catalogue", "deliveries", "hooks", "jobs", "progress_map", "readiness", "service", "sign_in", "slides",
            "syncs", "tiles", "uploads",
        )
    )  # fmt: skip

    class schemas:  # noqa: N801 - stands for the package
        catalogue, deliveries, job_events, job_lists, jobs, service, slides, syncs, uploads = (
            Module(f"{HTTP}.schemas.{name}")
            for name in (
                "catalogue", "deliveries", "job_events", "job_lists", "jobs", "service", "slides", "syncs", "uploads",
            )
        )  # fmt: skip


Handler = Callable[..., Response]


class Access(StrEnum):
    """The permission that a route requires. The dispatcher checks it before it calls the handler."""

    PUBLIC = "public"
    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"
    # A bearer token of any scope. A session of the page is not sufficient.
    TOKEN = "token"  # noqa: S105
    # A token, a session or a webhook signature; the hook defines the scope.
    HOOK = "hook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What the OpenAPI document says of a route.

    `responses` maps each status of a success to its body. `errors` lists the errors that this route adds to those of
    every route, each with its subclasses. `request_headers` and `response_headers` name headers that
    `chalicelib.entrypoints.http.openapi` describes. `query` is the class of the query parameters of a handler that does
    not declare them as its `query` argument.
    """

    summary: str
    responses: "Mapping[int, Body]"
    errors: tuple[type[SlidehookError], ...] = ()
    request_headers: tuple[str, ...] = ()
    response_headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    query: "type[BaseModel] | None" = None
    body: "type[BaseModel] | None" = None


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. A GET route answers HEAD as well, and every path answers OPTIONS.

    `handler` returns the function that is called with a `Call` and the path parameters. The dispatcher validates the
    query and the body for a handler that has the arguments `query` and `body`; the classes are their annotations.
    A token that is limited to collections is refused unless `by_collection` says that the handler filters by them.
    """

    method: str
    path: str
    access: Access
    handler: Callable[[], Handler]
    spec: Callable[[], Spec]
    group: str = field(default="", kw_only=True)
    by_collection: bool = field(default=True, kw_only=True)
    # A page or another static file: its errors are pages, and it has no request id.
    is_file: bool = field(default=False, kw_only=True)


JPEG = "image/jpeg"
CACHED = {200: ("ETag", "Cache-Control"), 304: ("ETag", "Cache-Control")}
POLLED = {202: ("Location", "Retry-After")}
INVALID = (InvalidRequestError,)
MISSING = (NotFoundError,)
BODY = (InvalidRequestError, BodyTooLargeError, UnsupportedMediaError)
SUBMIT_ERRORS = (SourceError, DestinationError, SlideError)
RETRY_ERRORS = (NotFoundError, NotRetryableError, *SUBMIT_ERRORS, StagingError, RetriesExhaustedError)
READ, SUBMIT, ADMIN, PUBLIC = Access.READ, Access.SUBMIT, Access.ADMIN, Access.PUBLIC


def _cached(summary: str, responses: "Mapping[int, Body]", *errors: type[SlidehookError], **more: Any) -> Spec:
    """A response with an ETag, which a client revalidates."""
    return Spec(
        summary=summary, responses={**responses, 304: None}, errors=errors, request_headers=("If-None-Match",),
        response_headers=CACHED, **more,
    )  # fmt: skip


def _tile(summary: str, **more: Any) -> Spec:
    """A tile, whose 404 has the form that SlideAtlas' viewer expects."""
    return _cached(summary, {200: JPEG, 404: schemas.slides.TileError, 413: schemas.slides.TileError}, **more)


def _file(summary: str) -> Spec:
    types = ("text/html", "text/javascript", "text/css", "text/plain", "image/svg+xml")
    return _cached(summary, {200: types, 404: "text/html"}, NotFoundError)


ROUTES: tuple[Route, ...] = (
    # -- hooks
    Route("POST", "/hooks/{name}", Access.HOOK, lambda: hooks.call_hook, lambda: Spec(
        summary="Call an unknown hook: 404", responses={}, errors=(NotFoundError, BodyTooLargeError)), group="hooks"),
    # -- jobs
    Route("GET", "/jobs", READ, lambda: jobs.list_jobs, lambda: _cached(
        "List jobs, last changed first", {200: schemas.job_lists.JobList}, InvalidRequestError), group="jobs"),
    Route("GET", "/jobs/counts", READ, lambda: jobs.count_jobs, lambda: Spec(
        summary="Count the jobs by state", responses={200: schemas.job_lists.JobCounts}),
        group="jobs", by_collection=False),
    Route("GET", "/jobs/{job_id}", READ, lambda: jobs.show_job, lambda: Spec(
        summary="Get the status of a job", responses={200: schemas.jobs.JobDocument, 304: None}, errors=MISSING,
        request_headers=("If-None-Match", "Prefer"), response_headers={
            200: ("ETag", "Retry-After", "Preference-Applied", "Cache-Control"), 304: ("ETag",)}), group="jobs"),
    Route("GET", "/jobs/{job_id}/events", READ, lambda: jobs.show_events, lambda: Spec(
        summary="List the events of a job", responses={200: schemas.job_events.JobEvents}, errors=MISSING + INVALID),
        group="jobs"),
    Route("GET", "/jobs/{job_id}/map", READ, lambda: progress_map.show_map, lambda: _cached(
        "Get the progress map of a job: stored tiles by level", {200: schemas.job_events.MapDocument}, NotFoundError),
        group="jobs"),
    Route("GET", "/jobs/{job_id}/tiles/{name}", READ, lambda: progress_map.show_staged_tile, lambda: Spec(
        summary="Get a tile of a job that is not published yet", responses={200: JPEG}, errors=MISSING), group="jobs"),
    Route("POST", "/jobs/{job_id}/cancel", SUBMIT, lambda: jobs.cancel_job, lambda: Spec(
        summary="Cancel a job", responses={200: schemas.jobs.JobDocument},
        errors=(NotFoundError, NotCancellableError)), group="jobs"),
    Route("POST", "/jobs/{job_id}/retry", SUBMIT, lambda: jobs.retry_job, lambda: Spec(
        summary="Retry a failed or cancelled job", responses={202: schemas.jobs.JobDocument}, errors=RETRY_ERRORS,
        response_headers=POLLED), group="jobs"),
    Route("POST", "/redrive", ADMIN, lambda: jobs.redrive_jobs, lambda: Spec(
        summary="Retry failed jobs in bulk", responses={202: schemas.job_lists.RedriveResult}, errors=BODY),
        group="jobs"),
    Route("GET", "/jobs/{job_id}/deliveries", READ, lambda: deliveries.list_deliveries, lambda: Spec(
        summary="List the callback deliveries of a job", responses={200: schemas.deliveries.DeliveryList},
        errors=MISSING),
        group="jobs"),
    Route("POST", "/jobs/{job_id}/deliveries/{delivery}/replay", SUBMIT, lambda: deliveries.replay_delivery,
        lambda: Spec(
            summary="Send a callback delivery again", responses={202: schemas.deliveries.DeliveryDocument},
            errors=(NotFoundError, ConflictError, CallbacksDisabledError), response_headers={202: ("Location",)}),
        group="jobs"),
    Route("GET", "/orphans", ADMIN, lambda: jobs.show_orphans, lambda: Spec(
        summary="List collections that ended jobs left in MongoDB", responses={200: schemas.job_lists.OrphanList},
        errors=INVALID), group="jobs", by_collection=False),
    Route("DELETE", "/orphans", ADMIN, lambda: jobs.drop_orphans, lambda: Spec(
        summary="Drop collections that ended jobs left in MongoDB", responses={200: schemas.job_lists.OrphanList},
        errors=INVALID), group="jobs", by_collection=False),
    # -- uploads
    Route("POST", "/uploads", SUBMIT, lambda: uploads.begin_upload, lambda: Spec(
        summary="Start a multipart upload of a local slide", responses={201: schemas.uploads.UploadDocument},
        errors=(*BODY, DestinationError, LimitError)), group="uploads"),
    Route("POST", "/uploads/parts", SUBMIT, lambda: uploads.list_parts, lambda: Spec(
        summary="List stored parts, and get presigned URLs for further parts",
        responses={200: schemas.uploads.UploadParts},
        errors=(*BODY, NotFoundError)), group="uploads"),
    Route("POST", "/uploads/complete", SUBMIT, lambda: uploads.complete_upload, lambda: Spec(
        summary="Complete a multipart upload", responses={200: schemas.uploads.UploadCompleted},
        errors=(*BODY, NotFoundError, ConflictError)), group="uploads"),
    Route("POST", "/uploads/abort", SUBMIT, lambda: uploads.abort_upload, lambda: Spec(
        summary="Abort a multipart upload", responses={200: schemas.uploads.UploadAborted},
        errors=(*BODY, NotFoundError)), group="uploads"),
    # -- syncs
    Route("GET", "/syncs", READ, lambda: syncs.list_syncs, lambda: Spec(
        summary="List running and finished syncs", responses={200: schemas.syncs.SyncList}), group="syncs"),
    Route("GET", "/syncs/{sync_id}", READ, lambda: syncs.show_sync, lambda: Spec(
        summary="Get a sync and its report", responses={200: schemas.syncs.SyncDocument}, errors=MISSING + INVALID,
        response_headers={200: ("Retry-After",)}), group="syncs"),
    # -- tiles
    Route("GET", "/tile", READ, lambda: tiles.show_tile_by_query, lambda: _tile(
        "Get a tile by SlideAtlas' query parameters", query=queries.TileQuery), group="tiles"),
    Route("GET", "/tile/{image_store}/{image}/{name}", READ, lambda: tiles.show_tile, lambda: _tile("Get a tile"),
        group="tiles"),
    Route("GET", "/thumb", READ, lambda: tiles.show_thumbnail, lambda: _tile(
        "Get the thumbnail of an image: its smallest tile", query=queries.ThumbnailQuery), group="tiles"),
    Route("GET", "/associated/{image_store}/{image}/{name}", READ, lambda: tiles.show_associated, lambda: Spec(
        summary="Get an associated image or the ICC profile of a slide",
        responses={200: (JPEG, "application/octet-stream")}, errors=MISSING), group="tiles"),
    # -- slides
    Route("GET", "/slides/{slide}", READ, lambda: slides.show_slide, lambda: _cached(
        "Get the description of a slide, or its DZI descriptor (`.dzi`)",
        {200: (schemas.slides.SlideDescription, "application/xml")}, NotFoundError), group="slides"),
    Route("GET", "/slides/{slide}/{level}/{tile}", READ, lambda: slides.show_slide_tile, lambda: _cached(
        "Get a tile by Slidehook's levels, or by DZI's (`_files`)", {200: JPEG}, NotFoundError,
        ResponseTooLargeError), group="slides"),
    Route("GET", "/iiif/{slide}", READ, lambda: slides.redirect_to_info, lambda: Spec(
        summary="IIIF: redirect to info.json", responses={303: None}, errors=MISSING,
        response_headers={303: ("Location",)}), group="slides"),
    Route("GET", "/iiif/{slide}/info.json", READ, lambda: slides.show_info, lambda: _cached(
        "IIIF: get the image information", {200: "application/json"}, NotFoundError), group="slides"),
    Route("GET", "/iiif/{slide}/{region}/{size}/{rotation}/{picture}", READ, lambda: slides.show_region,
        lambda: _cached("IIIF: get a tile, or the full slide at a listed size", {200: JPEG}, NotFoundError,
            BadAddressError, ResponseTooLargeError), group="slides"),
    # -- catalogue
    Route("GET", "/collections", READ, lambda: catalogue.list_collections, lambda: Spec(
        summary="List collections with their sessions", responses={200: schemas.catalogue.CollectionList}),
        group="catalogue"),
    Route("GET", "/collections/{collection}", READ, lambda: catalogue.show_collection, lambda: Spec(
        summary="Get a collection with its sessions", responses={200: schemas.catalogue.CollectionDocument},
        errors=MISSING),
        group="catalogue"),
    Route("POST", "/collections/{collection}/sessions", SUBMIT, lambda: catalogue.create_session, lambda: Spec(
        summary="Create a session, or return the one with this label",
        responses={200: schemas.catalogue.SessionDocument, 201: schemas.catalogue.SessionDocument},
        errors=MISSING + BODY),
        group="catalogue"),
    Route("GET", "/sessions/{session}", READ, lambda: catalogue.show_session, lambda: Spec(
        summary="Get a session with its views", responses={200: schemas.catalogue.SessionWithViews}, errors=MISSING),
        group="catalogue"),
    Route("GET", "/sessions/{session}/slides", READ, lambda: catalogue.show_slides, lambda: Spec(
        summary="List the slides of a session, newest first", responses={200: schemas.slides.SlideList},
        errors=MISSING + INVALID), group="catalogue"),
    Route("POST", "/sessions/{session}/recreate", ADMIN, lambda: catalogue.recreate, lambda: Spec(
        summary="Remove all slides of a session", responses={200: schemas.catalogue.EmptiedSession}, errors=MISSING),
        group="catalogue"),
    # -- the service
    Route("GET", "/health", PUBLIC, lambda: service.show_health, lambda: Spec(
        summary="Check that the service runs", responses={200: schemas.service.Health}), group="service"),
    Route("GET", "/ready", PUBLIC, lambda: readiness.show_readiness, lambda: Spec(
        summary="Check the parts that the service depends on",
        responses={200: schemas.service.Readiness, 503: schemas.service.Readiness}), group="service"),
    Route("GET", "/client", SUBMIT, lambda: service.show_client_settings, lambda: Spec(
        summary="Get the settings that a client needs for uploads", responses={200: schemas.service.ClientSettings}),
        group="service"),
    Route("GET", "/sign-in", READ, lambda: sign_in.show_caller, lambda: Spec(
        summary="Get the current caller and its permissions", responses={200: schemas.service.SignedIn}),
        group="service"),
    Route("POST", "/sign-in", PUBLIC, lambda: sign_in.sign_in, lambda: Spec(
        summary="Sign a browser in with a token or with the code of a link", responses={200: schemas.service.SignedIn},
        body=schemas.service.SignInParameters, response_headers={200: ("Set-Cookie",)},
        errors=(*BODY, RateLimitedError, ForbiddenError, UnauthorizedError)), group="service"),
    Route("POST", "/sign-in/links", Access.TOKEN, lambda: sign_in.create_link, lambda: Spec(
        summary="Create a link that signs one browser in", responses={201: schemas.service.SignInLink}),
        group="service"),
    Route("GET", "/sign-in/links/{code}", PUBLIC, lambda: sign_in.open_link, lambda: Spec(
        summary="Sign a browser in by a link",
        responses={200: "text/html", 303: None, 410: "text/html", 429: "text/html"},
        response_headers={303: ("Location", "Set-Cookie"), 429: ("Retry-After",)}), group="page"),
    Route("POST", "/sign-out", PUBLIC, lambda: sign_in.sign_out, lambda: Spec(
        summary="End the session of the page", responses={200: schemas.service.SignedOut},
        response_headers={200: ("Set-Cookie",)}, errors=(ForbiddenError, UnauthorizedError)), group="service"),
    Route("GET", "/openapi.json", PUBLIC, lambda: openapi.show_document, lambda: _cached(
        "Get this document", {200: "application/json"}), group="service"),
    # -- pages
    Route("GET", "/", PUBLIC, lambda: pages.show_index, lambda: _file("The jobs page"), group="page", is_file=True),
    Route("GET", "/pages/{name}", PUBLIC, lambda: pages.show_page, lambda: _file("A page"),
        group="page", is_file=True),
    Route("GET", "/static/{folder}/{name}", PUBLIC, lambda: pages.show_file, lambda: _file(
        "A script, stylesheet or icon of the pages"), group="page", is_file=True),
)  # fmt: skip
