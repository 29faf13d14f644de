"""Listings of jobs in DynamoDB.

Listings read sparse indexes: an index contains the items that have its `gsi_` attribute.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.cursors import (
    END,
    LATEST,
    Listing,
    Position,
    dump_cursor,
    just_before,
    listings_of,
    load_cursor,
    within,
)
from chalicelib.adapters.dynamodb.items import Item, attribute, dataclass_of
from chalicelib.adapters.dynamodb.table import Table, index_query, job_key, partition_attribute
from chalicelib.core.jobs.filter import EVERY_JOB, JobFilter
from chalicelib.core.jobs.model import Job, State
from chalicelib.ports.jobs import JobPage

# The maximum number of items that one call reads, and that one query reads.
MAX_SCANNED = 2000
MAX_PAGE_ITEMS = 500


class JobListings(Table):
    """The queries of ports.Jobs that return more than one job."""

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: JobFilter = EVERY_JOB
    ) -> JobPage:
        listings = listings_of(state, session, only.states)
        positions = load_cursor(listings, cursor)
        # DynamoDB rejects a start key outside of the range of the query.
        starts = {listing: within(listing, only, positions.get(listing)) for listing in listings}
        readers = [
            _Reader(self, _filtered_query(listing, state, only), listing, start, page_items=limit + 1)
            for listing, start in starts.items()
        ]
        found: list[Job] = []
        remaining = MAX_SCANNED
        while True:
            for reader in readers:
                while reader.needs_read and remaining > 0:
                    remaining -= reader.read(remaining)
            non_empty = [reader for reader in readers if reader.jobs]
            is_complete = not any(reader.needs_read for reader in readers)
            if not (is_complete and non_empty) or len(found) == limit:
                break
            found.append(min(non_empty, key=lambda reader: -reader.listing.at(reader.jobs[0])).take())
        if is_complete and not non_empty:
            return JobPage(jobs=tuple(found), cursor=None)
        reached = {reader.listing: reader.position for reader in readers if reader.position is not None}
        return JobPage(jobs=tuple(found), cursor=dump_cursor(reached))

    def count(self, state: State, *, limit: int) -> int:
        request = {"TableName": self._table, "Select": "COUNT", **index_query("counted", state.value)}
        counted, start = 0, None
        while counted < limit:
            if start is not None:
                request["ExclusiveStartKey"] = start
            with translate_transient_errors(f"the number of jobs in state {state}"):
                response = self._client.query(**request, Limit=limit - counted)
            counted += response["Count"]
            start = response.get("LastEvaluatedKey")
            if start is None:
                break
        return counted

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        query = index_query("by_state", state.value, "updated_at < :until", before)
        start = (
            None
            if after is None
            else _start_key(Listing("by_state", state.value, "updated_at"), Position(after.updated_at, after.id))
        )
        return self._query(query, newest_first=False, limit=limit, start=start)

    def due_for_cleanup(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        query = index_query("sweep", "due", "sweep_at <= :until", now)
        cleanups = Listing("sweep", "due", "sweep_at")
        start = None if after is None else _start_key(cleanups, Position(after.cleanup_at or 0.0, after.id))
        return self._query(query, newest_first=False, limit=limit, start=start)

    def _query(self, query: Any, *, newest_first: bool, limit: int, start: Any = None) -> tuple[Job, ...]:
        """Return up to `limit` jobs of an index."""
        found: tuple[Job, ...] = ()
        request = {**query, "TableName": self._table, "ScanIndexForward": not newest_first, "Limit": limit}
        while True:
            if start is not None:
                request["ExclusiveStartKey"] = start
            with translate_transient_errors(f"the listing {query['IndexName']}"):
                response = self._client.query(**request)
            found += tuple(job_of(item) for item in response["Items"])
            start = response.get("LastEvaluatedKey")
            if start is None or len(found) >= limit:
                return found[:limit]


class _Reader:
    """Reads the matching jobs of one listing in pages, the newest first.

    `jobs` are read but not taken. `position` is the position for a cursor: after the last taken job, or after all
    scanned items if `jobs` is empty.
    """

    def __init__(
        self, table: Table, query: dict[str, Any], listing: Listing, start: Position | None, *, page_items: int
    ) -> None:
        self.listing = listing
        self.jobs: deque[Job] = deque()
        self.position = self._scanned_to = start
        self._table, self._query, self._page_items = table, query, page_items

    @property
    def needs_read(self) -> bool:
        """Return whether `jobs` is empty and the listing may contain more."""
        return not self.jobs and self._scanned_to != END

    def read(self, most: int) -> int:
        """Read up to `most` items into `jobs`, twice as many as in the previous call. Return the number scanned."""
        request = {**self._query, "Limit": min(self._page_items, most)}
        self._page_items = min(2 * self._page_items, MAX_PAGE_ITEMS)
        if self._scanned_to is not None:
            request["ExclusiveStartKey"] = _start_key(self.listing, self._scanned_to)
        with translate_transient_errors(f"the listing {self.listing.index}"):
            response = self._table._client.query(TableName=self._table._table, ScanIndexForward=False, **request)
        self.jobs.extend(job_of(item) for item in response["Items"])
        last_key: Any = response.get("LastEvaluatedKey")
        self._scanned_to = END if last_key is None else _position(self.listing, last_key)
        if not self.jobs:
            self.position = self._scanned_to
        elif self.position is None:
            # A job that changes from now on is newer than these. It must not appear on a later page.
            self.position = just_before(self._position_of(self.jobs[0]))
        return max(1, response["ScannedCount"])

    def take(self) -> Job:
        """Remove and return the newest job of `jobs`."""
        job = self.jobs.popleft()
        self.position = self._position_of(job) if self.jobs else self._scanned_to
        return job

    def _position_of(self, job: Job) -> Position:
        return Position(self.listing.at(job), job.id)


def job_of(item: Mapping[str, Any]) -> Job:
    """Return the job of an item."""
    return dataclass_of(Job, item)


def _filtered_query(listing: Listing, state: State | None, only: JobFilter) -> dict[str, Any]:
    """Return the query for the matching items of a listing.

    The sort key limits the scanned range, because a job changes only after its submission.
    """
    request = index_query(listing.index, listing.partition)
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
    """Return the key condition for the time range. Further filters are added to `conditions`."""
    after, before = only.submitted_after, only.submitted_before
    if listing.sorted_by == "submitted_at":
        if after is None and before is None:
            return ""
        # A filter may not use the sort key, and BETWEEN includes both ends.
        last = LATEST if before is None else math.nextafter(before, -1.0)
        first = after or 0.0
        if first > last:
            first = last = LATEST  # an empty range; DynamoDB rejects a lower bound above the upper one
        names = compare("submitted_at", "{1}", "first", first), compare("submitted_at", "{1}", "last", last)
        return f" AND #submitted_at BETWEEN {' AND '.join(names)}"
    if before is not None:
        conditions.append(compare("submitted_at", "{} < {}", "before", before))
    if after is None:
        return ""
    conditions.append(compare("submitted_at", "{} >= {}", "after", after))
    return " AND " + compare("updated_at", "{} >= {}", "after", after)


def _position(listing: Listing, key: Mapping[str, Any]) -> Position:
    """Return the position of an item from its key."""
    return Position(float(key[listing.sorted_by]["N"]), key["pk"]["S"].removeprefix("job#"))


def _start_key(listing: Listing, position: Position) -> Item:
    """Return the `ExclusiveStartKey` of a position."""
    return {
        **job_key(position.job),
        partition_attribute(listing.index): attribute(listing.partition),
        listing.sorted_by: attribute(position.at),
    }
