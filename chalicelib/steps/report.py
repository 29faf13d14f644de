"""Report: a job as its status document. Plain values, ready for JSON; instants as ISO 8601 in UTC."""

from collections.abc import Sequence
from dataclasses import asdict

from chalicelib.core.jobs.deliveries import Delivery
from chalicelib.core.jobs.model import ENDED, UNFINISHED, Job, Problem, State
from chalicelib.core.jobs.sync import Counts, Entry, Sync
from chalicelib.core.plan.progress_map import Fill
from chalicelib.core.timestamps import instant
from chalicelib.core.web.callback_url import parse_endpoint
from chalicelib.ports.events import EventPage

# How soon it is worth asking again.
POLL_SECONDS = 1


def report(job: Job, *, now: float, is_told: bool = False) -> dict[str, object]:
    """Return the status document of a job as it stands at `now`; `is_told` if its hook's receiver hears of its end."""
    return {
        "id": job.id,
        "hook": job.hook,
        "state": job.state.value,
        "attempt": job.attempt,
        "source": {
            "bucket": job.source.bucket,
            "key": job.source.key,
            "etag": job.source.etag,
            "size_bytes": job.source.size_bytes,
            "version_id": job.source.version_id,
            "last_modified_at": instant(job.source.last_modified_at),
        },
        "destination": {
            "collection": job.destination.collection,
            "session": job.destination.session,
            "image_store": job.destination.image_store,
            "mongo_collection": job.destination.mongo_collection,
        },
        "options": {
            "tile_size": job.options.tile_size,
            "base_only": job.options.base_only,
            "overwrite": job.options.overwrite,
            "on_bad_tile": job.options.on_bad_tile,
            "associated": job.options.associated,
        },
        "slide": _slide(job),
        "levels": [
            {
                "level": level.level,
                "width_px": level.width_px,
                "height_px": level.height_px,
                "columns": level.columns,
                "rows": level.rows,
                "tiles": level.tiles,
                "sparse": level.sparse,
                "made": level.made,
            }
            for level in job.levels
        ],
        **_progress(job, now),
        "bad_tiles": {
            "count": job.tiles_bad,
            "listed": [
                {
                    "level": bad.level,
                    "column": bad.column,
                    "row": bad.row,
                    "offset": bad.offset,
                    "reason": bad.reason,
                }
                for bad in job.bad_tiles
            ],
        },
        "asked_by": job.asked_by,
        "submitted_at": instant(job.submitted_at),
        "started_at": instant(job.started_at),
        "updated_at": instant(job.updated_at),
        "ended_at": instant(job.ended_at),
        "attempts": [
            {
                "attempt": attempt.attempt,
                "started_at": instant(attempt.started_at),
                "ended_at": instant(attempt.ended_at),
                "outcome": attempt.outcome.value,
                "worker": attempt.worker or None,
                "error": _problem(attempt.error),
            }
            for attempt in job.history
        ],
        "error": _problem(job.error),
        "trouble": _problem(job.trouble) if job.is_live else None,
        "result": _result(job),
        "verification": _verification(job),
        "links": _links(job, is_told=is_told),
    }


def _slide(job: Job) -> dict[str, object] | None:
    """What is known of the slide itself; None before it was looked at."""
    if not job.levels:
        return None
    base, slide = job.levels[0], job.slide
    return {
        "width_px": base.width_px,
        "height_px": base.height_px,
        "tile_size_px": job.tile_size_px,
        "mpp_x": slide.mpp_x,
        "mpp_y": slide.mpp_y,
        "magnification": slide.magnification,
        "vendor": slide.vendor,
        "icc_profile_bytes": slide.icc_profile_bytes,
        "associated": list(slide.associated),
    }


def _progress(job: Job, now: float) -> dict[str, object]:
    # A done job has done all of it, also after its leftovers were swept.
    complete = job.state in (State.FINISHING, State.DONE)
    tiles = job.tiles_total if complete else job.tiles_done
    read = job.bytes_total if complete else job.bytes_done
    until = job.ended_at or now
    seconds = until - job.tiling_at if job.tiling_at is not None else 0.0
    tiles_per_second = tiles / seconds if seconds > 0 else None
    left = job.tiles_total - tiles
    return {
        "tiles": {"done": tiles, "total": job.tiles_total},
        "bytes": {"done": read, "total": job.bytes_total},
        "chunks": {"done": job.chunks_total if complete else len(job.chunks_done), "total": job.chunks_total},
        "rate": {
            "tiles_per_second": _rounded(tiles_per_second),
            "bytes_per_second": _rounded(read / seconds if seconds > 0 else None),
        },
        "eta_seconds": _rounded(left / tiles_per_second) if tiles_per_second and job.state is State.TILING else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _problem(problem: Problem | None) -> dict[str, str] | None:
    if problem is None:
        return None
    return {"code": problem.code, "message": problem.message, "hint": problem.hint}


def _result(job: Job) -> dict[str, str] | None:
    shown = job.published
    if shown is None:
        return None
    return {
        "image": shown.image,
        "view": shown.view,
        "image_store": shown.image_store,
        "database": shown.database,
        "thumbnail": f"/thumb?img={shown.image}&db={shown.image_store}",
    }


def _verification(job: Job) -> dict[str, object] | None:
    """What is verified, and what was found: None, and no faults, before the end."""
    target, found = job.verifies, job.findings if job.state is State.DONE else None
    if target is None:
        return None
    return {
        "job": target.job,
        "attempt": target.attempt,
        "image": target.image,
        "repair": target.repair,
        "intact": None if found is None else found.are_clean,
        "missing": None if found is None else found.missing,
        "altered": None if found is None else found.altered,
        "doubled": None if found is None else found.doubled,
        "unexpected": None if found is None else found.unexpected,
        "faults": [
            {
                "level": fault.level,
                "column": fault.column,
                "row": fault.row,
                "name": fault.name,
                "fault": fault.fault,
                "documents": fault.documents,
            }
            for fault in (found.faults if found else ())
        ],
    }


def events_report(job: Job, page: EventPage) -> dict[str, object]:
    """Return lines of a job, each with what it has to say. `after` asks for those that come behind them."""
    lines = [{name: value for name, value in asdict(event).items() if value is not None} for event in page.events]
    return {
        "job": job.id,
        "events": [{**line, "at": instant(event.at)} for line, event in zip(lines, page.events, strict=True)],
        "after": page.cursor,
        "more": not page.is_end,
        "links": {"self": f"/jobs/{job.id}/events", "job": f"/jobs/{job.id}"},
    }


def fill_report(job: Job, fill: Fill) -> dict[str, object]:
    """Return the map of a job. Of `cells`, a text a row, each character is a square of `side` x `side` tiles: `.` for
    none that are published, `0` to `9` for how much of it is done, `9` for all."""
    made = {level.level: level.made for level in job.levels}
    faults = [
        {"level": fault.level, "column": fault.column, "row": fault.row, "reason": fault.fault} for fault in fill.faults
    ]
    bad = [{"level": each.level, "column": each.column, "row": each.row, "reason": each.reason} for each in fill.bad]
    return {
        "job": job.id,
        "state": job.state.value,
        "attempt": job.attempt,
        "depth": job.depth if job.levels else 0,
        "levels": [
            {
                "level": level.level,
                "columns": level.columns,
                "rows": level.rows,
                "side": level.side,
                "tiles_done": level.tiles_done,
                "made": made.get(level.level),
                "cells": list(level.cells),
            }
            for level in fill.levels
        ],
        "bad_tiles": bad + faults,
        "cost": {"worker_seconds": round(fill.cost.worker_seconds, 1), "dollars": round(fill.cost.dollars, 6)},
        "links": {"job": f"/jobs/{job.id}", "tile": f"/jobs/{job.id}/tiles/{{name}}"},
    }


def sync_report(sync: Sync, entries: Sequence[Entry] | None = None) -> dict[str, object]:
    """Return the status document of a sync; `entries` are those of a page of its report, if one was asked for."""
    place = sync.place
    return {
        "id": sync.id,
        "state": "running" if sync.is_live else "done",
        "run": sync.run,
        "prefix": f"s3://{sync.bucket}/{sync.prefix}",
        "collection": place.collection if place else None,
        "session": place.session if place else None,
        "counts": {name: getattr(sync.counts, name) for name in Counts.__slots__},
        "noteworthy": [_entry(entry) for entry in sync.noteworthy],
        "pages": sync.pages,
        **({} if entries is None else {"entries": [_entry(entry) for entry in entries]}),
        "submitted_at": instant(sync.submitted_at),
        "updated_at": instant(sync.updated_at),
        "ended_at": instant(sync.ended_at),
        "links": {"self": f"/syncs/{sync.id}"},
    }


def _entry(entry: Entry) -> dict[str, object]:
    return {
        "key": entry.key,
        "outcome": entry.outcome,
        "job": entry.job,
        "code": entry.code,
        "message": entry.message,
    }


def delivery_report(delivery: Delivery) -> dict[str, object]:
    """Return a delivery as its log shows it. Of its URL only the origin: the rest can be the key to it."""
    return {
        "id": delivery.id,
        "job": delivery.job,
        "attempt": delivery.attempt,
        "type": f"job.{delivery.outcome.value}",
        "receiver": parse_endpoint(delivery.url, loopback=True).origin,
        "state": delivery.state,
        "created_at": instant(delivery.created_at),
        "next_at": instant(delivery.next_at),
        "tries": [
            {
                "at": instant(made.at),
                "milliseconds": made.milliseconds,
                "status": made.status,
                "error": made.error,
            }
            for made in delivery.log
        ],
        "links": {
            "job": f"/jobs/{delivery.job}",
            "replay": f"/jobs/{delivery.job}/deliveries/{delivery.id}/replay",
        },
    }


def _links(job: Job, *, is_told: bool) -> dict[str, str]:
    links = {"self": f"/jobs/{job.id}", "events": f"/jobs/{job.id}/events"}
    if is_told or job.subscribers:
        links["deliveries"] = f"/jobs/{job.id}/deliveries"
    if job.state in UNFINISHED:
        links["cancel"] = f"/jobs/{job.id}/cancel"
    elif job.state in ENDED - {State.DONE} and job.verifies is None and job.destination.session:
        links["retry"] = f"/jobs/{job.id}/retry"
    if job.verifies is not None:
        links["verifies"] = f"/jobs/{job.verifies.job}"
    if job.published is not None:
        links["thumbnail"] = f"/thumb?img={job.published.image}&db={job.published.image_store}"
    return links
