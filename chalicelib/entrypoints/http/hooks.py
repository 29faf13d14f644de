"""The webhooks: called with a token, by the page, or signed by Standard Webhooks 1.0.0.

A signed delivery is answered well once. Until then its sender may try again under its id as often as it likes, and
every call is harmless to repeat; afterwards a new attempt (signed later) is told what became of it, and one that
was seen before is refused. So nobody who has recorded a delivery can make anything of it.
"""

from collections.abc import Callable
from dataclasses import replace

from chalice.app import Request, Response

from chalicelib.core.errors import NotFoundError, ReplayedError, SourceNotAllowedError
from chalicelib.core.ids import content_id
from chalicelib.core.jobs.model import Job, known
from chalicelib.core.jobs.source import DIRECT_PREFIX, parse_prefix
from chalicelib.core.jobs.sync import known_sync
from chalicelib.core.standard_webhooks import Signed
from chalicelib.core.web.auth import Caller, Scope, collection_of_key
from chalicelib.entrypoints.callbacks import tell
from chalicelib.entrypoints.http.auth import (
    may_call_hook,
    need,
    see_named_image,
    see_place,
    seen_job,
    seen_session,
)
from chalicelib.entrypoints.http.responses import accepted, answered, body_of, raw_body_of
from chalicelib.hooks import check_callback, validated
from chalicelib.hooks.inspect import InspectParameters, inspect
from chalicelib.hooks.remove import RemoveParameters, remove
from chalicelib.hooks.sync import SyncParameters, sync
from chalicelib.hooks.upload import UploadParameters, upload
from chalicelib.hooks.verify import VerifyParameters, verify
from chalicelib.ports.receipts import Receipt
from chalicelib.services import Services
from chalicelib.steps.report import POLL_SECONDS, sync_report

Hook = Callable[[object, Services, Caller], Response]


def call_hook(request: Request, system: Services, name: str) -> Response:
    body = raw_body_of(request)
    caller, signed = may_call_hook(request, system, body)
    if name not in HOOKS:
        raise NotFoundError(f"there is no hook {name!r}", hint=f"The hooks are: {', '.join(sorted(HOOKS))}.")
    need(caller, Scope.ADMIN if name in TAKES_AWAY else Scope.SUBMIT)
    if signed is None:
        return HOOKS[name](body_of(request), system, caller)
    receipt = Receipt(
        key=content_id("delivery", {"sender": caller.name, "id": signed.id}),
        body=content_id("call", {"hook": name, "body": body.hex()}),
        signed_at=signed.signed_at,
        location="",
    )
    before = system.doorbook.receipt(receipt.key)
    if before is not None:
        return _again(signed, before, receipt, system)
    answer = HOOKS[name](body_of(request), system, caller)
    # Kept with the outcome: who was refused, or got no answer because this died before here, tries again.
    location = str(answer.headers.get("Location", ""))
    system.doorbook.keep(replace(receipt, location=location), now=system.clock.now())
    return answer


def _again(signed: Signed, before: Receipt, now: Receipt, system: Services) -> Response:
    """Answer a new attempt to deliver what was accepted already, whose answer must have been lost. Nothing is done
    again. Raises ReplayedError for an attempt that was seen before, and for another call under the same id."""
    if before.body != now.body:
        raise ReplayedError(f"another delivery {signed.id} was accepted before")
    if not system.doorbook.keep(replace(now, location=before.location), now=system.clock.now()):
        raise ReplayedError(f"the delivery {signed.id} was accepted before")
    kind, _, found = before.location.strip("/").partition("/")
    if kind == "jobs":
        return accepted(known(found, system.jobs.get(found)), system)
    if kind == "syncs":
        running = known_sync(found, system.syncs.get(found))
        return answered(sync_report(running), status=202, headers={"Location": before.location})
    return answered({"status": "done before"})


def _refuse_foreign_source(caller: Caller, url: str, pointer: str) -> None:
    """Raise SourceNotAllowedError for what a limited caller may not have read: publishing a slide shows it."""
    if not caller.reads(*parse_prefix(url)):
        raise SourceNotAllowedError(f"{url} belongs to none of the token's collections", pointer=pointer)


def _upload(body: object, system: Services, caller: Caller) -> Response:
    parameters = validated(UploadParameters, body)
    see_place(caller, system, parameters.collection, parameters.session)
    _refuse_foreign_source(caller, parameters.source, "/source")
    _check_callback(parameters.callback_url, system)
    if caller.is_limited and parameters.mongo_collection is not None:
        place = system.archive.locate(parameters.collection, parameters.session, None)
        see_named_image(caller, system, place.image_store, parameters.mongo_collection)
    job = upload(
        parameters,
        source_buckets=system.settings.source_buckets,
        slides=system.slides,
        jobs=system.jobs,
        archive=system.archive,
        queue=system.queue,
        clock=system.clock,
    )
    return _accepted(job, parameters.callback_url, system)


def _check_callback(url: str | None, system: Services) -> None:
    settings = system.settings
    check_callback(url, is_on=bool(settings.callback_secrets), loopback=settings.callback_loopback)


def _accepted(job: Job, callback_url: str | None, system: Services) -> Response:
    if callback_url is not None and not job.is_live:
        # It was done before: who asked now hears of it as well.
        tell(job.id, job.attempt, system)
    return accepted(job, system)


def _verify(body: object, system: Services, caller: Caller) -> Response:
    parameters = validated(VerifyParameters, body)
    known(parameters.job, seen_job(caller, system.jobs.get(parameters.job)))
    _check_callback(parameters.callback_url, system)
    job = verify(
        parameters,
        source_buckets=system.settings.source_buckets,
        jobs=system.jobs,
        archive=system.archive,
        queue=system.queue,
        clock=system.clock,
    )
    return _accepted(job, parameters.callback_url, system)


def _sync(body: object, system: Services, caller: Caller) -> Response:
    parameters = validated(SyncParameters, body)
    prefix = parse_prefix(parameters.prefix)[1].removeprefix(DIRECT_PREFIX)
    see_place(caller, system, parameters.collection or collection_of_key(prefix), parameters.session)
    _refuse_foreign_source(caller, parameters.prefix, "/prefix")
    begun = sync(
        parameters,
        source_buckets=system.settings.source_buckets,
        archive=system.archive,
        syncs=system.syncs,
        queue=system.queue,
        clock=system.clock,
    )
    headers = {"Location": f"/syncs/{begun.id}", "Retry-After": str(POLL_SECONDS)}
    return answered(sync_report(begun), status=202, headers=headers)


def _inspect(body: object, system: Services, caller: Caller) -> Response:
    parameters = validated(InspectParameters, body)
    _refuse_foreign_source(caller, parameters.source, "/source")
    found = inspect(
        parameters,
        source_buckets=system.settings.source_buckets,
        chunk_bytes=system.settings.chunk_bytes,
        slides=system.slides,
        clock=system.clock,
    )
    return answered(found)


def _remove(body: object, system: Services, caller: Caller) -> Response:
    parameters = validated(RemoveParameters, body)
    seen_session(caller, system, parameters.session)
    removed = remove(parameters, jobs=system.jobs, archive=system.archive, clock=system.clock)
    return answered({"session": parameters.session, "views_removed": removed})


HOOKS: dict[str, Hook] = {
    "inspect": _inspect,
    "remove": _remove,
    "sync": _sync,
    "upload": _upload,
    "verify": _verify,
}
# What these do, readers miss afterwards.
TAKES_AWAY = frozenset({"remove"})
