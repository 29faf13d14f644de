"""Syncs and their reports."""

from chalice.app import Response

from chalicelib.core.jobs.sync import Sync, require_found_sync
from chalicelib.core.web.auth import Caller, collection_of_key
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.handlers.jobs import JOB_ID
from chalicelib.entrypoints.http.queries import MAX_PAGE, SyncQuery
from chalicelib.entrypoints.http.responses import POLL_SECONDS, json_response
from chalicelib.entrypoints.http.schemas.syncs import sync_document


def list_syncs(call: Call) -> Response:
    """Return the latest syncs: running ones first."""
    syncs = call.services.syncs
    found = [*syncs.latest(live=True, limit=MAX_PAGE // 2), *syncs.latest(live=False, limit=MAX_PAGE // 2)]
    visible = [sync_document(each) for each in found if _is_visible(call.caller, each)]
    return json_response({"syncs": visible}, headers={"Cache-Control": "no-store"})


def show_sync(call: Call, sync_id: str, *, query: SyncQuery) -> Response:
    """Return a sync and, if the query asks for one, a page of its report."""
    syncs = call.services.syncs
    stored = syncs.get(sync_id) if JOB_ID.fullmatch(sync_id) else None
    found = require_found_sync(sync_id, stored if stored is not None and _is_visible(call.caller, stored) else None)
    entries = None if query.page is None else syncs.page(found, query.page)
    headers = {"Retry-After": str(POLL_SECONDS)} if found.is_live else {}
    return json_response(sync_document(found, entries), headers={"Cache-Control": "no-store", **headers})


def _is_visible(caller: Caller, sync: Sync) -> bool:
    """Return whether the caller may see the collection of a sync: its destination, or the one that its prefix names."""
    return caller.sees(sync.place.collection if sync.place else collection_of_key(sync.prefix))
