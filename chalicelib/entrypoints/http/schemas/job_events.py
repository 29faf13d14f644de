"""The events of a job, and the progress map of its pyramid."""

from dataclasses import asdict
from typing import Annotated

from pydantic import Field

from chalicelib.core.jobs.events import EventName
from chalicelib.core.jobs.model import Job, Method, State
from chalicelib.core.plan.progress_map import ProgressMap
from chalicelib.core.timestamps import instant
from chalicelib.hooks.base import Document
from chalicelib.hooks.fields import At, Count, Id
from chalicelib.ports.events import EventPage


class EventDocument(Document):
    """An event of a job: what happened, in which worker, and which request caused it."""

    job: Id
    at: At
    attempt: Count
    event: EventName
    worker: str = ""
    request_id: str = ""
    entrypoint: str = ""
    chunk: Count = 0
    chunks: Count = 0
    levels: Count = 0
    tiles: Count = 0
    tiles_bad: Count = 0
    source_bytes: Count = 0
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    hint: str = ""


class JobEvents(Document):
    """Events of a job, the newest last.

    A page with fewer events than `limit` is the last one. `next` is the cursor after its last event: events that occur
    later can be read from there. It is null if the job has no events.
    """

    job: Id
    events: list[EventDocument]
    next: str | None
    links: dict[str, str]


class MapLevel(Document):
    """The progress of a level. Each character of `cells`, one string a row, stands for `side` x `side` tiles."""

    level: Count
    columns: Count
    rows: Count
    side: Annotated[int, Field(ge=1)]
    tiles_done: Count
    method: Method | None
    cells: list[Annotated[str, Field(pattern=r"^[.0-9]*$")]]


class MapFault(Document):
    """A tile that could not be read, or that a verification found wrong."""

    level: Count
    column: Count
    row: Count
    reason: str


class Cost(Document):
    """The estimated cost of a job so far."""

    worker_seconds: Annotated[float, Field(ge=0)]
    dollars: Annotated[float, Field(ge=0)]


class MapDocument(Document):
    """The progress map of a job: stored tiles by level."""

    job: Id
    state: State
    attempt: Annotated[int, Field(ge=1)]
    depth: Count
    levels: list[MapLevel]
    bad_tiles: list[MapFault]
    cost: Cost
    links: dict[str, str]


def events_document(job: Job, page: EventPage) -> dict[str, object]:
    """Return a `JobEvents` as JSON. Fields of an event that have no value are omitted."""
    events = [{name: value for name, value in asdict(event).items() if value is not None} for event in page.events]
    return {
        "job": job.id,
        "events": [{**fields, "at": instant(event.at)} for fields, event in zip(events, page.events, strict=True)],
        "next": page.cursor,
        "links": {"self": f"/jobs/{job.id}/events", "job": f"/jobs/{job.id}"},
    }


def map_document(job: Job, progress_map: ProgressMap) -> dict[str, object]:
    """Return a `MapDocument` as JSON.

    A cell is `.` if none of its tiles is published by the job, else a digit from `0` (none stored) to `9` (all stored).
    """
    methods = {level.level: level.method for level in job.levels}
    faults = [
        {"level": fault.level, "column": fault.column, "row": fault.row, "reason": fault.fault}
        for fault in progress_map.faults
    ]
    bad = [
        {"level": each.level, "column": each.column, "row": each.row, "reason": each.reason}
        for each in progress_map.bad
    ]
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
                "method": methods.get(level.level),
                "cells": list(level.cells),
            }
            for level in progress_map.levels
        ],
        "bad_tiles": bad + faults,
        "cost": {
            "worker_seconds": round(progress_map.cost.worker_seconds, 1),
            "dollars": round(progress_map.cost.dollars, 6),
        },
        "links": {"job": f"/jobs/{job.id}", "tile": f"/jobs/{job.id}/tiles/{{name}}"},
    }
