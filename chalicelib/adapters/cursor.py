"""Where a listing goes on, as text that callers hand back untouched."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.core.errors import FieldProblem, InvalidRequestError
from chalicelib.core.job import Job, State

JOB_ID = re.compile(r"[0-9a-f]{32}")
LONGEST_CURSOR = 1000
# Far beyond every instant, and within the numbers that a database takes.
LATEST = 1e12


@dataclass(frozen=True, slots=True)
class Listing:
    """One of the table's listings: the index, the value that its jobs have in common, and the field it is sorted by."""

    index: str
    shared: str
    sorted_by: str

    def at(self, job: Job) -> float:
        """Return the instant that gives a job its place."""
        return float(getattr(job, self.sorted_by))


def listing_of(state: State | None, session: str | None) -> Listing:
    """Return the listing that answers for these filters. With both it is the session's, filtered by state."""
    if session is not None:
        return Listing("by_session", session, "submitted_at")
    if state is not None:
        return Listing("by_state", state.value, "updated_at")
    return Listing("recent", "job", "updated_at")


@dataclass(frozen=True, slots=True)
class Place:
    """The last job of a page, and where it stood: the next page begins behind it."""

    at: float
    job: str


def dump_cursor(listing: Listing, place: Place) -> str:
    text = json.dumps([listing.index, listing.shared, place.at, place.job], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def load_cursor(listing: Listing, cursor: str) -> Place:
    """Return the place that a cursor names. Raises InvalidRequestError if it was not made for this listing."""
    try:
        index, shared, at, job = json.loads(_bytes(cursor))
        is_sound = type(at) is float and 0 <= at < LATEST and JOB_ID.fullmatch(job) is not None
    except (TypeError, ValueError):
        is_sound = False
    if not is_sound or (index, shared) != (listing.index, listing.shared):
        detail = "is not a cursor that this listing gave"
        raise InvalidRequestError(
            f"the cursor {detail}", [FieldProblem("/cursor", detail)], hint="Begin again without a cursor."
        )
    return Place(at, job)


def page_of(listed: Sequence[str], cursor: str | None, limit: int) -> tuple[Sequence[str], str | None]:
    """Return up to `limit` ids that stand behind `cursor` (one of them), and the cursor of what follows.

    Raises InvalidRequestError if the cursor is not listed, or not any more.
    """
    if cursor is not None and cursor not in listed:
        detail = "names nothing that is listed, or nothing any more"
        raise InvalidRequestError(
            f"the cursor {detail}", [FieldProblem("/cursor", detail)], hint="Begin again without a cursor."
        )
    start = 0 if cursor is None else listed.index(cursor) + 1
    page = listed[start : start + limit]
    return page, page[-1] if start + limit < len(listed) else None


def _bytes(cursor: str) -> bytes:
    if len(cursor) > LONGEST_CURSOR:
        raise ValueError("longer than any cursor")
    return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)


# Where a line of a job's history stands: its instant, which line of its process it is, and a token of the process.
# As text these are in order.
EVENT_PLACE = re.compile(r"\d{10}\.\d{6}-\d{8}-[0-9a-f]{8}")


def event_place(at: float, number: int, token: str) -> str:
    return f"{at:017.6f}-{number:08d}-{token}"


def checked_event_place(cursor: str | None) -> str:
    """Return the place that a cursor names, "" for none. Raises InvalidRequestError if it is none."""
    if cursor is not None and not EVENT_PLACE.fullmatch(cursor):
        detail = "is not a cursor that a list of events gave"
        raise InvalidRequestError(f"`after` {detail}", [FieldProblem("/after", detail)], hint="Begin without it.")
    return cursor or ""
