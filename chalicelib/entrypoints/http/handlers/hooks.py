"""Webhooks: called with a token, by the page, or signed as Standard Webhooks 1.0.0.

A signed webhook is accepted once. Until then its sender may repeat it under its id, and every call is idempotent.
Afterwards a new attempt (with a later signature) receives the outcome of the first, and an attempt that was seen before
is refused. A recorded webhook is therefore of no use to an attacker.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from chalice.app import Response

from chalicelib.core.errors import NotFoundError, ReplayedError
from chalicelib.core.ids import content_id
from chalicelib.core.jobs.model import Job, require_found
from chalicelib.core.jobs.sync import Sync, require_found_sync
from chalicelib.core.standard_webhooks import Signed
from chalicelib.entrypoints.callbacks import notify
from chalicelib.entrypoints.http.auth import require_scope
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.handlers.jobs import job_accepted
from chalicelib.entrypoints.http.responses import POLL_SECONDS, body_of, json_response, raw_body_of
from chalicelib.entrypoints.http.schemas.syncs import sync_document
from chalicelib.hooks.base import CALLBACK_FIELD, Hook, check_callback, validated
from chalicelib.hooks.registry import hooks
from chalicelib.ports.access_records import Receipt


def call_hook(call: Call, name: str) -> Response:
    hook = hooks().get(name)
    if hook is None:
        raise NotFoundError(f"there is no hook {name!r}", hint=f"The hooks are: {', '.join(hooks())}.")
    require_scope(call.caller, hook.scope)
    if call.signed is None:
        return _run(call, hook)
    receipt = Receipt(
        key=content_id("delivery", {"sender": call.caller.name, "id": call.signed.id}),
        body=content_id("call", {"hook": name, "body": raw_body_of(call.request).hex()}),
        signed_at=call.signed.signed_at,
        location="",
    )
    stored = call.services.access_records.receipt(receipt.key)
    if stored is not None:
        return _repeated(call, call.signed, stored, receipt)
    response = _run(call, hook)
    # Stored with the outcome: after a refusal, or a crash before this line, the sender tries again.
    location = str(response.headers.get("Location", ""))
    call.services.access_records.keep(replace(receipt, location=location), now=call.services.clock.now())
    return response


def _run(call: Call, hook: Hook) -> Response:
    """Run a hook and return its response. Raises InvalidRequestError and the errors of the hook."""
    parameters = validated(hook.parameters, body_of(call.request))
    call.bind(hook.authorize)(parameters, call.caller)
    settings = call.services.settings
    callback_url: str | None = getattr(parameters, CALLBACK_FIELD, None)
    check_callback(callback_url, is_enabled=bool(settings.callback_secrets), loopback=settings.callback_loopback)
    result = call.bind(hook.run)(parameters)
    if isinstance(result, Job):
        if callback_url is not None and not result.is_live:
            # It ended before this call: the new subscriber is notified now.
            notify(result.id, result.attempt, call.services)
        return job_accepted(call, result)
    if isinstance(result, Sync):
        return _sync_accepted(result)
    return json_response(cast(Mapping[str, object], result))


def _sync_accepted(sync: Sync) -> Response:
    headers = {"Location": f"/syncs/{sync.id}", "Retry-After": str(POLL_SECONDS)}
    return json_response(sync_document(sync), status=202, headers=headers)


def _repeated(call: Call, signed: Signed, stored: Receipt, received: Receipt) -> Response:
    """Return the outcome of a webhook that was accepted before, to a new attempt of its sender. Nothing is run.

    Raises ReplayedError for an attempt that was seen before, and for another request under the same id.
    """
    services = call.services
    if stored.body != received.body:
        raise ReplayedError(f"another webhook with the id {signed.id} was accepted before")
    if not services.access_records.keep(replace(received, location=stored.location), now=services.clock.now()):
        raise ReplayedError(f"the webhook {signed.id} was accepted before")
    kind, _, found = stored.location.strip("/").partition("/")
    if kind == "jobs":
        return job_accepted(call, require_found(found, services.jobs.get(found)))
    if kind == "syncs":
        return _sync_accepted(require_found_sync(found, services.syncs.get(found)))
    return json_response({"status": "done before"})
