"""Cursors of listings: opaque text that a client sends back to read the next page."""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.errors import FieldProblem, InvalidRequestError
from chalicelib.core.jobs.filter import JobFilter
from chalicelib.core.jobs.model import Job, State

JOB_ID = re.compile(r"[0-9a-f]{32}")
MAX_CURSOR_CHARACTERS = 2000
# Later than any instant, and within the range of numbers of DynamoDB.
LATEST = 1e12


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing of the jobs table: an index, the partition value of its jobs, and the field that sorts them."""

    index: str
    partition: str
    sorted_by: str

    def holds(self, job: Job) -> bool:
        """Return whether a job is in this listing."""
        return self.partition == {"by_session": job.destination.session, "by_state": job.state}.get(self.index, "job")

    def at(self, job: Job) -> float:
        """Return the value that sorts a job, in seconds since the Unix epoch."""
        return float(getattr(job, self.sorted_by))


def listings_of(state: State | None, session: str | None, states: frozenset[State]) -> tuple[Listing, ...]:
    """Return the listings that contain all jobs of these filters. A job is in one of them.

    The jobs of a session are in one listing and are filtered by state. Each state has its own listing.
    """
    if session is not None:
        return (Listing("by_session", session, "submitted_at"),)
    if state is None and not states:
        return (Listing("recent", "job", "updated_at"),)
    wanted = [each for each in sorted(State) if state in (None, each) and (not states or each in states)]
    return tuple(Listing("by_state", each.value, "updated_at") for each in wanted)


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a job in a listing. The next page starts after it."""

    at: float
    job: str


# After all jobs.
END = Position(0.0, "f" * 32)


def just_before(position: Position) -> Position:
    """Return the position directly before another one, so that a page starts with it and not with a newer job."""
    return Position(math.nextafter(position.at, LATEST), "0" * 32)


def within(listing: Listing, only: JobFilter, position: Position | None) -> Position | None:
    """Return a position moved into the range of the filter.

    END: no matching job is after the position. None: all matching jobs are after it.
    """
    if position is None:
        return None
    # A job does not change before it is submitted. Two jobs with the same instant are the exception.
    if only.submitted_after is not None and position.at <= only.submitted_after:
        return END
    is_sorted_by_submission = listing.sorted_by == "submitted_at"
    if is_sorted_by_submission and only.submitted_before is not None and position.at >= only.submitted_before:
        return None
    return position


def dump_cursor(positions: Mapping[Listing, Position]) -> str:
    """Return the cursor of these positions. Listings without a position start with their first job."""
    entries = [[listing.index, listing.partition, each.at, each.job] for listing, each in positions.items()]
    text = json.dumps(entries, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def load_cursor(listings: Sequence[Listing], cursor: str | None) -> dict[Listing, Position]:
    """Return the positions of a cursor, {} for None. Raises InvalidRequestError if it belongs to other listings."""
    if cursor is None:
        return {}
    by_name = {(listing.index, listing.partition): listing for listing in listings}
    try:
        positions = {by_name[index, value]: _position(at, job) for index, value, at, job in json.loads(_bytes(cursor))}
    except (KeyError, RecursionError, TypeError, ValueError):
        positions = {}
    if not positions:
        detail = "is not a cursor of this listing"
        raise InvalidRequestError(
            f"the cursor {detail}", [FieldProblem("/cursor", detail)], hint="Start again without a cursor."
        )
    return positions


def _position(at: object, job: object) -> Position:
    if not (isinstance(at, float) and 0 <= at < LATEST and isinstance(job, str) and JOB_ID.fullmatch(job)):
        raise ValueError("not a position in a listing")
    return Position(at, job)


def page_of(listed: Sequence[str], cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
    """Return up to `limit` ids after `cursor`, which is one of the ids, and the cursor of the next page.

    Raises InvalidRequestError if the cursor is not one of the ids.
    """
    if cursor is not None and cursor not in listed:
        detail = "is not in the listing, or has been removed from it"
        raise InvalidRequestError(
            f"the cursor {detail}", [FieldProblem("/cursor", detail)], hint="Start again without a cursor."
        )
    start = 0 if cursor is None else listed.index(cursor) + 1
    page = listed[start : start + limit]
    return page, page[-1] if start + limit < len(listed) else None


def _bytes(cursor: str) -> bytes:
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise ValueError("longer than any cursor")
    return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)


# The cursor of an event: its time, its number within its process, and a token of the process. Sorted as text, cursors
# are in the order of the events.
EVENT_CURSOR = re.compile(r"\d{10}\.\d{6}-\d{8}-[0-9a-f]{8}")


def event_cursor(at: float, number: int, token: str) -> str:
    """Return the cursor of event `number` of the process with this token. `at` is in seconds since the Unix epoch."""
    return f"{at:017.6f}-{number:08d}-{token}"


def checked_event_cursor(cursor: str | None) -> str:
    """Return the cursor, "" for None. Raises InvalidRequestError if it is not a cursor of events."""
    if cursor is not None and not EVENT_CURSOR.fullmatch(cursor):
        detail = "is not a cursor of a list of events"
        raise InvalidRequestError(f"`after` {detail}", [FieldProblem("/after", detail)], hint="Omit `after`.")
    return cursor or ""
