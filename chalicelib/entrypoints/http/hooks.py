"""The webhooks."""

from collections.abc import Callable

from chalice.app import Request, Response

from chalicelib.core.errors import NotFoundError
from chalicelib.core.job import Job
from chalicelib.entrypoints.callbacks import tell
from chalicelib.entrypoints.http.access import may_submit
from chalicelib.entrypoints.http.answers import accepted, answered, body_of
from chalicelib.hooks import check_callback, validated
from chalicelib.hooks.inspect import InspectParameters, inspect
from chalicelib.hooks.remove import RemoveParameters, remove
from chalicelib.hooks.sync import SyncParameters, sync
from chalicelib.hooks.upload import UploadParameters, upload
from chalicelib.hooks.verify import VerifyParameters, verify
from chalicelib.steps.report import POLL_SECONDS, sync_report
from chalicelib.wiring import System


def call_hook(request: Request, system: System, name: str) -> Response:
    may_submit(request, system)
    if name not in HOOKS:
        raise NotFoundError(f"there is no hook {name!r}", hint=f"The hooks are: {', '.join(sorted(HOOKS))}.")
    return HOOKS[name](body_of(request), system)


def _upload(body: object, system: System) -> Response:
    parameters = validated(UploadParameters, body)
    _check_callback(parameters.callback_url, system)
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


def _check_callback(url: str | None, system: System) -> None:
    settings = system.settings
    check_callback(url, is_on=bool(settings.callback_secrets), loopback=settings.callback_loopback)


def _accepted(job: Job, callback_url: str | None, system: System) -> Response:
    if callback_url is not None and not job.is_live:
        # It was done before: who asked now hears of it as well.
        tell(job.id, job.attempt, system)
    return accepted(job, system)


def _verify(body: object, system: System) -> Response:
    parameters = validated(VerifyParameters, body)
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
    return answered(sync_report(begun), status=202, headers=headers)


def _inspect(body: object, system: System) -> Response:
    found = inspect(
        validated(InspectParameters, body),
        source_buckets=system.settings.source_buckets,
        chunk_bytes=system.settings.chunk_bytes,
        slides=system.slides,
        clock=system.clock,
    )
    return answered(found)


def _remove(body: object, system: System) -> Response:
    parameters = validated(RemoveParameters, body)
    removed = remove(parameters, jobs=system.jobs, archive=system.archive, clock=system.clock)
    return answered({"session": parameters.session, "views_removed": removed})


HOOKS: dict[str, Callable[[object, System], Response]] = {
    "inspect": _inspect,
    "remove": _remove,
    "sync": _sync,
    "upload": _upload,
    "verify": _verify,
}
