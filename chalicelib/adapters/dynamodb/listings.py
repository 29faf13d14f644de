"""Listings of jobs in DynamoDB.

Listings read sparse indexes: an item is in an index only while it carries that index's `gsi_` attribute.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.cursors import (
    LATEST,
    THE_END,
    Listing,
    Place,
    dump_cursor,
    just_before,
    listings_of,
    load_cursor,
    within,
)
from chalicelib.adapters.dynamodb.items import Item, attribute, dataclass_of
from chalicelib.adapters.dynamodb.table import Table, index_query, job_key, shared_attribute
from chalicelib.core.jobs.filter import EVERY_JOB, JobFilter
from chalicelib.core.jobs.model import Job, State
from chalicelib.ports.jobs import JobPage

# The number of items that one call of a listing reads at most, and the largest page.
MOST_LOOKED_AT = 2000

MOST_AT_ONCE = 500


class JobListings(Table):
    """The queries of ports.Jobs that return more than one job."""

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: JobFilter = EVERY_JOB
    ) -> JobPage:
        listings = listings_of(state, session, only.states)
        places = load_cursor(listings, cursor)
        # The table refuses a query that begins outside of its own bounds.
        behind = {listing: within(listing, only, places.get(listing)) for listing in listings}
        readers = [
            _Reader(self, _selecting(listing, state, only), listing, place, at_once=limit + 1)
            for listing, place in behind.items()
        ]
        found: list[Job] = []
        left = MOST_LOOKED_AT
        while True:
            for reader in readers:
                while reader.is_empty and left > 0:
                    left -= reader.read(left)
            waiting = [reader for reader in readers if reader.jobs]
            is_known = not any(reader.is_empty for reader in readers)
            if not (is_known and waiting) or len(found) == limit:
                break
            found.append(min(waiting, key=lambda reader: -reader.listing.at(reader.jobs[0])).take())
        if is_known and not waiting:
            return JobPage(jobs=tuple(found), cursor=None)
        reached = {reader.listing: reader.place for reader in readers if reader.place is not None}
        return JobPage(jobs=tuple(found), cursor=dump_cursor(reached))

    def count(self, state: State, *, most: int) -> int:
        request = {"TableName": self._table, "Select": "COUNT", **index_query("counted", state.value)}
        counted, start = 0, None
        while counted < most:
            if start is not None:
                request["ExclusiveStartKey"] = start
            with translate_transient_errors(f"the number of jobs that are {state}"):
                answer = self._client.query(**request, Limit=most - counted)
            counted += answer["Count"]
            start = answer.get("LastEvaluatedKey")
            if start is None:
                break
        return counted

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        query = index_query("by_state", state.value, "updated_at < :until", before)
        start = (
            None
            if after is None
            else _start(Listing("by_state", state.value, "updated_at"), Place(after.updated_at, after.id))
        )
        return self._query(query, newest_first=False, limit=limit, start=start)

    def due_for_cleanup(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        query = index_query("sweep", "due", "sweep_at <= :until", now)
        cleanups = Listing("sweep", "due", "sweep_at")
        start = None if after is None else _start(cleanups, Place(after.cleanup_at or 0.0, after.id))
        return self._query(query, newest_first=False, limit=limit, start=start)

    def _query(self, query: Any, *, newest_first: bool, limit: int, start: Any = None) -> tuple[Job, ...]:
        """Return up to `limit` jobs of an index."""
        found: tuple[Job, ...] = ()
        request = {**query, "TableName": self._table, "ScanIndexForward": not newest_first, "Limit": limit}
        while True:
            if start is not None:
                request["ExclusiveStartKey"] = start
            with translate_transient_errors(f"the listing {query['IndexName']}"):
                answer = self._client.query(**request)
            found += tuple(job_of(item) for item in answer["Items"])
            start = answer.get("LastEvaluatedKey")
            if start is None or len(found) >= limit:
                return found[:limit]


class _Reader:
    """The wanted jobs of one listing, newest first, read piece by piece. `place` is where a cursor goes on: behind what
    was taken, or behind all that was looked at while nothing waits to be taken."""

    def __init__(
        self, table: Table, query: dict[str, Any], listing: Listing, place: Place | None, *, at_once: int
    ) -> None:
        self.listing = listing
        self.jobs: deque[Job] = deque()
        self.place = self._looked_at = place
        self._table, self._query, self._at_once = table, query, at_once

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing waits, and something may be left to be read."""
        return not self.jobs and self._looked_at != THE_END

    def read(self, most: int) -> int:
        """Read a piece, larger each time, and return how many items were looked at for it."""
        request = {**self._query, "Limit": min(self._at_once, most)}
        self._at_once = min(2 * self._at_once, MOST_AT_ONCE)
        if self._looked_at is not None:
            request["ExclusiveStartKey"] = _start(self.listing, self._looked_at)
        with translate_transient_errors(f"the listing {self.listing.index}"):
            answer = self._table._client.query(TableName=self._table._table, ScanIndexForward=False, **request)
        self.jobs.extend(job_of(item) for item in answer["Items"])
        last: Any = answer.get("LastEvaluatedKey")
        self._looked_at = THE_END if last is None else _place(self.listing, last)
        if not self.jobs:
            self.place = self._looked_at
        elif self.place is None:
            # What changes from now on is newer than what waits here, and comes on no page behind this one.
            self.place = just_before(self._place_of(self.jobs[0]))
        return max(1, answer["ScannedCount"])

    def take(self) -> Job:
        job = self.jobs.popleft()
        self.place = self._place_of(job) if self.jobs else self._looked_at
        return job

    def _place_of(self, job: Job) -> Place:
        return Place(self.listing.at(job), job.id)


def job_of(item: Mapping[str, Any]) -> Job:
    return dataclass_of(Job, item)


def _selecting(listing: Listing, state: State | None, only: JobFilter) -> dict[str, Any]:
    """Return the request for the wanted items of a listing. What it is sorted by bounds what is looked at: a job
    changes after it was submitted."""
    request = index_query(listing.index, listing.shared)
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    conditions: list[str] = []

    def compare(path: str, operator: str, name: str, value: object) -> str:
        names.update({f"#{part}": part for part in path.split(".")})
        values[f":{name}"] = attribute(value)
        return operator.format("#" + path.replace(".", ".#"), f":{name}")

    def among(path: str, name: str, wanted: Sequence[str]) -> str:
        return f"({' OR '.join(compare(path, '{} = {}', f'{name}{at}', each) for at, each in enumerate(wanted))})"

    if listing.index == "by_session":
        for name, states in (("state", [] if state is None else [state]), ("in", sorted(only.states))):
            conditions += [among("state", name, states)] if states else []
    if only.collections:
        conditions.append(among("destination.collection", "collection", sorted(only.collections)))
    if only.hook is not None:
        conditions.append(compare("hook", "{} = {}", "hook", only.hook))
    if only.text is not None:
        in_name = compare("searched", "contains({}, {})", "name", only.text.casefold())
        in_id = compare("id", "contains({}, {})", "in_id", only.text.lower())
        conditions.append(f"({in_name} OR {in_id})")
    request["KeyConditionExpression"] += _bounds(listing, only, compare, conditions)
    if conditions:
        request["FilterExpression"] = " AND ".join(conditions)
    return request


def _bounds(
    listing: Listing, only: JobFilter, compare: Callable[[str, str, str, object], str], conditions: list[str]
) -> str:
    """Return the key condition of the instants. Further filters are added to `conditions`."""
    after, before = only.submitted_after, only.submitted_before
    if listing.sorted_by == "submitted_at":
        if after is None and before is None:
            return ""
        # What is sorted by can be bounded, not filtered, and both bounds are within.
        last = LATEST if before is None else math.nextafter(before, -1.0)
        first = after or 0.0
        if first > last:
            first = last = LATEST  # nothing stands there, and the table refuses bounds that are the wrong way round
        names = compare("submitted_at", "{1}", "first", first), compare("submitted_at", "{1}", "last", last)
        return f" AND #submitted_at BETWEEN {' AND '.join(names)}"
    if before is not None:
        conditions.append(compare("submitted_at", "{} < {}", "before", before))
    if after is None:
        return ""
    conditions.append(compare("submitted_at", "{} >= {}", "after", after))
    return " AND " + compare("updated_at", "{} >= {}", "after", after)


def _place(listing: Listing, key: Mapping[str, Any]) -> Place:
    """Return the place of an item of a listing, by its key."""
    return Place(float(key[listing.sorted_by]["N"]), key["pk"]["S"].removeprefix("job#"))


def _start(listing: Listing, place: Place) -> Item:
    """Return the key behind which a listing goes on."""
    return {
        **job_key(place.job),
        shared_attribute(listing.index): attribute(listing.shared),
        listing.sorted_by: attribute(place.at),
    }
