"""From HTTP to the steps and back. Errors become problem details (RFC 9457) by one table."""

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from chalice.app import CaseInsensitiveMapping, Request, Response

from chalicelib.core.errors import (
    BodyTooLargeError,
    BucketNotAllowedError,
    ConflictError,
    InvalidRequestError,
    NoSuchCollectionError,
    NoSuchSessionError,
    NotFoundError,
    SlidehookError,
    TransientError,
    UnauthorizedError,
)
from chalicelib.core.job import Job, State, known
from chalicelib.core.source import OBJECT_ID
from chalicelib.core.sync import known_sync
from chalicelib.hooks import validated
from chalicelib.hooks.inspect import InspectParameters, inspect
from chalicelib.hooks.redrive import RedriveParameters
from chalicelib.hooks.remove import RemoveParameters, remove
from chalicelib.hooks.sync import SyncParameters, sync
from chalicelib.hooks.upload import UploadParameters, upload
from chalicelib.hooks.verify import VerifyParameters, verify
from chalicelib.ports import CollectionFacts, SessionFacts
from chalicelib.steps.control import recreate_session, redrive
from chalicelib.steps.report import POLL_SECONDS, report, sync_report
from chalicelib.steps.settle import cancel
from chalicelib.steps.submit import retry
from chalicelib.wiring import System

logger = logging.getLogger("slidehook")

MAX_BODY_BYTES = 64 * 1024
MAX_PAGE = 100
RETRY_SECONDS = 5
JOB_ID = re.compile(r"[0-9a-f]{32}")
PROBLEM_TYPE = "application/problem+json"

# The nearest class of an error's ancestry counts. Whatever else a slide or a destination is refused for is 422.
STATUS: dict[type[SlidehookError], int] = {
    BodyTooLargeError: 413,
    BucketNotAllowedError: 403,
    ConflictError: 409,
    NotFoundError: 404,
    SlidehookError: 422,
    TransientError: 503,
    UnauthorizedError: 401,
}

Handler = Callable[..., Response]
Headers = dict[str, str | list[str]]


def answer(request: Request | None, system: System, handler: Handler, *arguments: str) -> Response:
    """Return what `handler(request, system, *arguments)` answers, or the problem that it raises."""
    if request is not None:
        # Every door has one kind of answer. Chalice would refuse to send an image to who does not ask for that very
        # type, also to who leaves the choice to us.
        request.headers = CaseInsensitiveMapping({**request.headers, "accept": "*/*"})
    try:
        return handler(request, system, *arguments)
    except SlidehookError as error:
        return problem(error)
    except Exception:
        logger.exception("%s failed", handler.__name__)
        return problem(SlidehookError("the service failed to answer"), status=500)


def problem(error: SlidehookError, *, status: int | None = None) -> Response:
    """Return an error as problem details, with our `code`, `hint` and the fields that are wrong."""
    status = status or next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    body: dict[str, Any] = {
        "type": f"urn:slidehook:problem:{error.code}",
        "title": error.code.replace("_", " "),
        "status": status,
        "detail": str(error),
        "code": error.code,
        "hint": error.advice,
    }
    fields = [{"pointer": each.pointer, "detail": each.detail} for each in getattr(error, "problems", ())]
    if error.pointer is not None:
        fields.append({"pointer": error.pointer, "detail": str(error)})
    if fields:
        body["errors"] = fields
    headers: Headers = {"Content-Type": PROBLEM_TYPE}
    if status == STATUS[UnauthorizedError]:
        headers["WWW-Authenticate"] = "Bearer"
    if status == STATUS[TransientError]:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return Response(body=json.dumps(body), status_code=status, headers=headers)


# -- who may ---------------------------------------------------------------------------------------------------------


def _may_submit(request: Request, system: System) -> None:
    scheme, _, token = str(request.headers.get("authorization", "")).partition(" ")
    given = hashlib.sha256(token.strip().encode()).hexdigest()
    # Every hash is compared, in constant time: how long it takes tells nothing.
    known = [hmac.compare_digest(given, each) for each in sorted(system.settings.token_hashes)]
    if scheme.lower() != "bearer" or not any(known):
        raise UnauthorizedError("this needs a token")


def _may_read(request: Request, system: System) -> None:
    if not system.settings.open_reads:
        _may_submit(request, system)


# -- doors -----------------------------------------------------------------------------------------------------------


def health(_request: Request, _system: System) -> Response:
    return _json({"status": "ok"})


def call_hook(request: Request, system: System, name: str) -> Response:
    _may_submit(request, system)
    if name not in HOOKS:
        raise NotFoundError(f"there is no hook {name!r}", hint=f"The hooks are: {', '.join(sorted(HOOKS))}.")
    return HOOKS[name](_body(request), system)


def _upload(body: object, system: System) -> Response:
    parameters = validated(UploadParameters, body)
    job = upload(
        parameters,
        source_buckets=system.settings.source_buckets,
        slides=system.slides,
        jobs=system.jobs,
        archive=system.archive,
        queue=system.queue,
        clock=system.clock,
    )
    return _accepted(job, system)


def _verify(body: object, system: System) -> Response:
    job = verify(
        validated(VerifyParameters, body),
        source_buckets=system.settings.source_buckets,
        jobs=system.jobs,
        archive=system.archive,
        queue=system.queue,
        clock=system.clock,
    )
    return _accepted(job, system)


def _sync(body: object, system: System) -> Response:
    begun = sync(
        validated(SyncParameters, body),
        source_buckets=system.settings.source_buckets,
        archive=system.archive,
        syncs=system.syncs,
        queue=system.queue,
        clock=system.clock,
    )
    headers = {"Location": f"/syncs/{begun.id}", "Retry-After": str(POLL_SECONDS)}
    return _json(sync_report(begun), status=202, headers=headers)


def _accepted(job: Job, system: System) -> Response:
    headers = {"Location": f"/jobs/{job.id}", "Retry-After": str(POLL_SECONDS)}
    return _json(report(job, now=system.clock.now()), status=202, headers=headers)


def _inspect(body: object, system: System) -> Response:
    found = inspect(
        validated(InspectParameters, body),
        source_buckets=system.settings.source_buckets,
        chunk_bytes=system.settings.chunk_bytes,
        slides=system.slides,
        clock=system.clock,
    )
    return _json(found)


def _remove(body: object, system: System) -> Response:
    parameters = validated(RemoveParameters, body)
    removed = remove(parameters, jobs=system.jobs, archive=system.archive, clock=system.clock)
    return _json({"session": parameters.session, "views_removed": removed})


HOOKS: dict[str, Callable[[object, System], Response]] = {
    "inspect": _inspect,
    "remove": _remove,
    "sync": _sync,
    "upload": _upload,
    "verify": _verify,
}


def show_job(request: Request, system: System, job_id: str) -> Response:
    _may_read(request, system)
    job = known(job_id, system.jobs.get(job_id) if JOB_ID.fullmatch(job_id) else None)
    headers = {"Retry-After": str(POLL_SECONDS)} if job.is_live else {}
    return _json(report(job, now=system.clock.now()), headers={"Cache-Control": "no-store", **headers})


def cancel_job(request: Request, system: System, job_id: str) -> Response:
    _may_submit(request, system)
    job = cancel(_job_id(job_id), jobs=system.jobs, archive=system.archive, clock=system.clock)
    return _json(report(job, now=system.clock.now()))


def retry_job(request: Request, system: System, job_id: str) -> Response:
    _may_submit(request, system)
    return _accepted(_retry(system)(_job_id(job_id)), system)


def redrive_jobs(request: Request, system: System) -> Response:
    """Retry failed jobs, a page of them a call; `next` goes on where it ended."""
    _may_submit(request, system)
    asked = validated(RedriveParameters, _body(request))
    found = redrive(_retry(system), codes=asked.codes, session=asked.session, cursor=asked.cursor, jobs=system.jobs)
    refused = [{"id": job.id, "code": why.code, "message": why.message, "hint": why.hint} for job, why in found.refused]
    return _json({"retried": [job.id for job in found.again], "refused": refused, "next": found.cursor}, status=202)


def _retry(system: System) -> Callable[[str], Job]:
    return partial(
        retry, source_buckets=system.settings.source_buckets,
        slides=system.slides, jobs=system.jobs, archive=system.archive, queue=system.queue, clock=system.clock,
    )  # fmt: skip


def _job_id(text: str) -> str:
    if not JOB_ID.fullmatch(text):
        known(text, None)
    return text


def list_jobs(request: Request, system: System) -> Response:
    _may_read(request, system)
    query: Mapping[str, str] = request.query_params or {}
    page = system.jobs.list(
        state=_state(query.get("state")),
        session=_object_id(query["session"], "session") if query.get("session") else None,
        cursor=query.get("cursor") or None,
        limit=_limit(query.get("limit")),
    )
    now = system.clock.now()
    jobs = [report(job, now=now) for job in page.jobs]
    return _json({"jobs": jobs, "next": page.cursor}, headers={"Cache-Control": "no-store"})


def list_syncs(request: Request, system: System) -> Response:
    _may_read(request, system)
    found = [
        *system.syncs.latest(live=True, limit=MAX_PAGE // 2), *system.syncs.latest(live=False, limit=MAX_PAGE // 2)
    ]  # fmt: skip
    return _json({"syncs": [sync_report(each) for each in found]}, headers={"Cache-Control": "no-store"})


def show_sync(request: Request, system: System, sync_id: str) -> Response:
    """A sync; with `page`, also what it found of each object of that page, counted from 0."""
    _may_read(request, system)
    found = known_sync(sync_id, system.syncs.get(sync_id) if JOB_ID.fullmatch(sync_id) else None)
    query: Mapping[str, str] = request.query_params or {}
    page = query.get("page")
    if page is not None and not (page.isdecimal() and len(page) < MAX_DIGITS):
        raise InvalidRequestError("page must be a number from 0")
    entries = None if page is None else system.syncs.page(found, int(page))
    headers = {"Retry-After": str(POLL_SECONDS)} if found.is_live else {}
    return _json(sync_report(found, entries), headers={"Cache-Control": "no-store", **headers})


MAX_DIGITS = 7


def show_tile(request: Request, system: System, image_store: str, image: str, name: str) -> Response:
    """A tile, or 404 with an `error`, as SlideAtlas' viewer expects it."""
    _may_read(request, system)
    jpeg = None
    if OBJECT_ID.fullmatch(image_store) and OBJECT_ID.fullmatch(image):
        jpeg = system.archive.tile(image_store, image, name)
    if jpeg is None:
        return _json({"error": f"no tile {name} of image {image}"}, status=404)
    etag = f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"'
    # The tiles behind an address change when an image is replaced in place: caches ask each time, and get a 304.
    caching = "public, no-cache" if system.settings.open_reads else "private, no-cache"
    headers: Headers = {"Content-Type": "image/jpeg", "Cache-Control": caching, "ETag": etag}
    if etag in str(request.headers.get("if-none-match", "")):
        return Response(body=b"", status_code=304, headers=headers)
    return Response(body=jpeg, status_code=200, headers=headers)


def show_tile_by_query(request: Request, system: System) -> Response:
    query: Mapping[str, str] = request.query_params or {}
    return show_tile(request, system, query.get("db", ""), query.get("img", ""), query.get("name", ""))


def show_thumbnail(request: Request, system: System) -> Response:
    query: Mapping[str, str] = request.query_params or {}
    return show_tile(request, system, query.get("db", ""), query.get("img", ""), "t.jpg")


def show_beside(request: Request, system: System, image_store: str, image: str, name: str) -> Response:
    """What is kept beside a slide: an associated image, or its ICC profile."""
    _may_read(request, system)
    kept = None
    if OBJECT_ID.fullmatch(image_store) and OBJECT_ID.fullmatch(image) and name in BESIDE:
        kept = system.archive.beside(image_store, image, name)
    if kept is None:
        raise NotFoundError(f"image {image} has no {name:.64}", hint=f"There may be: {', '.join(BESIDE)}.")
    headers: Headers = {"Content-Type": BESIDE[name], "Cache-Control": "private, no-cache"}
    return Response(body=kept, status_code=200, headers=headers)


BESIDE = {
    "label": "image/jpeg",
    "macro": "image/jpeg",
    "thumbnail": "image/jpeg",
    "icc": "application/octet-stream",
}


def client_settings(request: Request, system: System) -> Response:
    """What a command line must know to bring a slide to the incoming bucket."""
    _may_submit(request, system)
    settings = system.settings
    return _json(
        {
            "incoming_bucket": settings.incoming_bucket,
            "region": settings.region,
            "aws_endpoint": settings.aws_endpoint,
        }
    )


def show_collection(request: Request, system: System, collection: str) -> Response:
    _may_read(request, system)
    return _json(_collection(_found(lambda: system.archive.collection(_object_id(collection, "collection")))))


def show_session(request: Request, system: System, session: str) -> Response:
    _may_read(request, system)
    facts = _found(lambda: system.archive.session(_object_id(session, "session")))
    return _json({**_session(facts), "views": list(facts.views)})


def make_session(request: Request, system: System, collection: str) -> Response:
    _may_submit(request, system)
    body = _body(request)
    label = body.get("label") if isinstance(body, dict) else None
    if not isinstance(label, str) or not 0 < len(label.strip()) <= MAX_LABEL or not label.isprintable():
        raise InvalidRequestError(f"label must be a text of 1 to {MAX_LABEL} printable characters")
    collection = _object_id(collection, "collection")
    facts, made = _found(lambda: system.archive.make_session(collection, label.strip()))
    return _json(_session(facts), status=201 if made else 200)


MAX_LABEL = 200


def recreate(request: Request, system: System, session: str) -> Response:
    _may_submit(request, system)
    session = _object_id(session, "session")
    removed = _found(lambda: recreate_session(session, jobs=system.jobs, archive=system.archive, clock=system.clock))
    return _json({**_session(system.archive.session(session)), "views_removed": removed})


# -- translation -----------------------------------------------------------------------------------------------------


def _json(body: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        body=json.dumps(body), status_code=status, headers={"Content-Type": "application/json", **(headers or {})}
    )


def _body(request: Request) -> object:
    raw = request.raw_body or b""
    if len(raw) > MAX_BODY_BYTES:
        raise BodyTooLargeError(f"the body has {len(raw)} bytes; at most {MAX_BODY_BYTES} are taken")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidRequestError("the body is no JSON", hint="Send a JSON object, encoded in UTF-8.") from None


def _found(look: Callable[[], Any]) -> Any:
    """Return what `look` finds; what an address names and does not exist is 404, not a wrong field."""
    try:
        return look()
    except (NoSuchCollectionError, NoSuchSessionError) as error:
        raise NotFoundError(str(error), hint=error.advice) from error


def _object_id(text: str, what: str) -> str:
    if not OBJECT_ID.fullmatch(text.lower()):
        raise NotFoundError(f"{text!r} is no id of a {what}", hint="Ids are ObjectIds: 24 hexadecimal digits.")
    return text.lower()


def _state(text: str | None) -> State | None:
    try:
        return State(text) if text else None
    except ValueError:
        known = ", ".join(State)
        raise InvalidRequestError(f"{text!r} is no state", hint=f"The states are: {known}.") from None


def _limit(text: str | None) -> int:
    if not text:
        return MAX_PAGE // 2
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidRequestError(f"limit must be a number from 1 to {MAX_PAGE}")
    return int(text)


def _session(facts: SessionFacts) -> dict[str, object]:
    return {"id": facts.id, "label": facts.label, "collection": facts.collection}


def _collection(facts: CollectionFacts) -> dict[str, object]:
    return {
        "id": facts.id,
        "label": facts.label,
        "image_store": facts.image_store,
        "sessions": [{"id": each.id, "label": each.label, "views": len(each.views)} for each in facts.sessions],
    }
