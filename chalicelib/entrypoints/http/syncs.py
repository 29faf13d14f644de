"""Syncs, and what they found."""

from chalice.app import Request, Response

from chalicelib.core.jobs.sync import Sync, known_sync
from chalicelib.core.web.auth import Caller, collection_of_key
from chalicelib.entrypoints.http.auth import may_read
from chalicelib.entrypoints.http.jobs import JOB_ID
from chalicelib.entrypoints.http.queries import MAX_PAGE, SyncQuery, asked
from chalicelib.entrypoints.http.responses import answered
from chalicelib.services import Services
from chalicelib.steps.report import POLL_SECONDS, sync_report


def list_syncs(request: Request, system: Services) -> Response:
    caller = may_read(request, system, limited=True)
    found = [
        *system.syncs.latest(live=True, limit=MAX_PAGE // 2), *system.syncs.latest(live=False, limit=MAX_PAGE // 2)
    ]  # fmt: skip
    found = [each for each in found if _sees(caller, each)]
    return answered({"syncs": [sync_report(each) for each in found]}, headers={"Cache-Control": "no-store"})


def show_sync(request: Request, system: Services, sync_id: str) -> Response:
    """A sync; with `page`, also what it found of each object of that page, counted from 0."""
    caller = may_read(request, system, limited=True)
    stored = system.syncs.get(sync_id) if JOB_ID.fullmatch(sync_id) else None
    found = known_sync(sync_id, stored if stored is not None and _sees(caller, stored) else None)
    page = asked(SyncQuery, request).page
    entries = None if page is None else system.syncs.page(found, page)
    headers = {"Retry-After": str(POLL_SECONDS)} if found.is_live else {}
    return answered(sync_report(found, entries), headers={"Cache-Control": "no-store", **headers})


def _sees(caller: Caller, sync: Sync) -> bool:
    """Tell whether a sync is there for the caller: by where its slides go, which may be what its prefix names."""
    return caller.sees(sync.place.collection if sync.place else collection_of_key(sync.prefix))
