"""Where a listing goes on, as text that callers hand back untouched."""

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
LONGEST_CURSOR = 2000
# Far beyond every instant, and within the numbers that a database takes.
LATEST = 1e12


@dataclass(frozen=True, slots=True)
class Listing:
    """One of the table's listings: the index, the value that its jobs have in common, and the field it is sorted by."""

    index: str
    shared: str
    sorted_by: str

    def holds(self, job: Job) -> bool:
        """Tell whether a job is in this listing."""
        return self.shared == {"by_session": job.destination.session, "by_state": job.state}.get(self.index, "job")

    def at(self, job: Job) -> float:
        """Return the instant that gives a job its place."""
        return float(getattr(job, self.sorted_by))


def listings_of(state: State | None, session: str | None, states: frozenset[State]) -> tuple[Listing, ...]:
    """Return the listings that together hold all jobs of these filters, each job once.

    Those of a session are in one, filtered by state; those of several states are in the listings of each.
    """
    if session is not None:
        return (Listing("by_session", session, "submitted_at"),)
    if state is None and not states:
        return (Listing("recent", "job", "updated_at"),)
    wanted = [each for each in sorted(State) if state in (None, each) and (not states or each in states)]
    return tuple(Listing("by_state", each.value, "updated_at") for each in wanted)


@dataclass(frozen=True, slots=True)
class Place:
    """A job, and where it stood in a listing: the next page begins behind it."""

    at: float
    job: str


# Behind every job there is.
THE_END = Place(0.0, "f" * 32)


def just_before(place: Place) -> Place:
    """Return the place behind which a listing begins with this one: nothing newer comes."""
    return Place(math.nextafter(place.at, LATEST), "0" * 32)


def within(listing: Listing, only: JobFilter, place: Place | None) -> Place | None:
    """Return where a listing goes on among the wanted jobs: THE_END if none of them can be behind the place, None if
    all of them are."""
    if place is None:
        return None
    # No job changes before it is submitted. At the very instant nothing is left either, unless two jobs have it.
    if only.submitted_after is not None and place.at <= only.submitted_after:
        return THE_END
    if listing.sorted_by == "submitted_at" and only.submitted_before is not None and place.at >= only.submitted_before:
        return None
    return place


def dump_cursor(places: Mapping[Listing, Place]) -> str:
    """Return the cursor that goes on behind these places; listings that are not named are begun."""
    entries = [[listing.index, listing.shared, place.at, place.job] for listing, place in places.items()]
    text = json.dumps(entries, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def load_cursor(listings: Sequence[Listing], cursor: str | None) -> dict[Listing, Place]:
    """Return the places that a cursor names; without one, none. Raises InvalidRequestError if it was not made for these
    listings."""
    if cursor is None:
        return {}
    known = {(listing.index, listing.shared): listing for listing in listings}
    try:
        places = {known[index, shared]: _place(at, job) for index, shared, at, job in json.loads(_bytes(cursor))}
    except (KeyError, RecursionError, TypeError, ValueError):
        places = {}
    if not places:
        detail = "is not a cursor that this listing gave"
        raise InvalidRequestError(
            f"the cursor {detail}", [FieldProblem("/cursor", detail)], hint="Begin again without a cursor."
        )
    return places


def _place(at: object, job: object) -> Place:
    if not (isinstance(at, float) and 0 <= at < LATEST and isinstance(job, str) and JOB_ID.fullmatch(job)):
        raise ValueError("no place of a listing")
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
