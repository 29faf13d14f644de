"""Syncs, and what they found."""

from chalice.app import Request, Response

from chalicelib.core.sync import known_sync
from chalicelib.entrypoints.http.access import may_read
from chalicelib.entrypoints.http.answers import answered
from chalicelib.entrypoints.http.jobs import JOB_ID
from chalicelib.entrypoints.http.queries import MAX_PAGE, SyncQuery, asked
from chalicelib.steps.report import POLL_SECONDS, sync_report
from chalicelib.wiring import System


def list_syncs(request: Request, system: System) -> Response:
    caller = may_read(request, system, limited=True)
    found = [
        *system.syncs.latest(live=True, limit=MAX_PAGE // 2), *system.syncs.latest(live=False, limit=MAX_PAGE // 2)
    ]  # fmt: skip
    found = [each for each in found if _sees(caller, each)]
    return answered({"syncs": [sync_report(each) for each in found]}, headers={"Cache-Control": "no-store"})


def show_sync(request: Request, system: System, sync_id: str) -> Response:
    """A sync; with `page`, also what it found of each object of that page, counted from 0."""
    may_read(request, system)
    found = known_sync(sync_id, system.syncs.get(sync_id) if JOB_ID.fullmatch(sync_id) else None)
    page = asked(SyncQuery, request).page
    entries = None if page is None else system.syncs.page(found, page)
    headers = {"Retry-After": str(POLL_SECONDS)} if found.is_live else {}
    return answered(sync_report(found, entries), headers={"Cache-Control": "no-store", **headers})
