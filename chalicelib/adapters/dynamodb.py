"""The job table in DynamoDB. Every change of a job is one conditional write.

    pk = job#<id>   sk = job                            the job
                    sk = chunk#<generation>#<number>    a finished chunk of one generation
                    sk = outcome#<attempt>              a notice: how it ended was not told yet
                    sk = delivery#<webhook-id>          what is told of an end to one URL
    pk = callback#<digest>  sk = callback               a URL that wants to hear nothing more
    pk = sync#<id>  sk = sync                           the sync
                    sk = page#<run>#<number>            a page of the report of one run

Listings read sparse indexes: an item is in an index only while it carries that index's `gsi_` attribute.

A write whose answer was lost is sent again by the SDK, and would find that somebody (itself) was faster. Each write
therefore leaves a token of its own in the item, and knows itself by it.

Where callbacks are on, the write that ends an attempt leaves a notice beside the job, both or none: an outcome is never
lost between its end and its telling.
"""

import math
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.adapters.aws import busy, patience
from chalicelib.adapters.cursor import (
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
from chalicelib.adapters.item import Attribute, Item, attribute, attributes, dataclass_of
from chalicelib.core.callback import Delivery, Notice
from chalicelib.core.digest import content_id
from chalicelib.core.job import ENDED, LIVE, ChunkRecord, Job, Problem, State, Subscriber
from chalicelib.core.selection import EVERY_JOB, Selection, searched
from chalicelib.core.sync import Entry, Sync
from chalicelib.ports import JobPage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# What one call of a listing looks at, at most, and how many items it asks for at a time.
MOST_LOOKED_AT = 2000
MOST_AT_ONCE = 500

PROGRESS = ("chunks_done", "tiles_done", "bytes_done", "tiles_bad")
KEPT_FIELDS = frozenset({field.name for field in fields(Job)} | {"gsi_sweep"})


class JobTable:
    """ports.Jobs over one DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str, *, leaves_notices: bool = False) -> None:
        self._client = client
        self._table = table
        self._leaves_notices = leaves_notices

    # -- one job -----------------------------------------------------------------------------------------------------

    def create(self, job: Job) -> Job:
        token = _new_token()
        put = {
            "Item": {**_key(job.id), **_job_item(job), "write_token": token},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if self._leaves_notices and not job.is_live:
            outcome = self._write_both(f"job {job.id}", {"Put": put}, _notice_item(job))
        else:
            outcome = self._write(f"job {job.id}", "put_item", **put)
        return job if outcome.made or outcome.item.get("write_token") == token else _job(outcome.item)

    def get(self, job_id: str) -> Job | None:
        with patience(f"job {job_id}"):
            answer = self._client.get_item(TableName=self._table, Key=_key(job_id), ConsistentRead=True)
        return _job(answer["Item"]) if "Item" in answer else None

    def move(self, was: Job, now: Job) -> bool:
        kept = {"subscribers", *(name for name in PROGRESS if getattr(was, name) == getattr(now, name))}
        item = _job_item(now)
        change = _Change()
        for name in sorted(KEPT_FIELDS.union(item) - kept):
            change.set(name, item.get(name))
        change.where_equal(state=was.state, attempt=was.attempt, generation=was.generation)
        if not was.is_live and not now.is_live:
            # Between two looks of the sweeper somebody may have asked for another one: that is not forgotten.
            change.where_equal(sweep_at=was.sweep_at)
        ends = self._leaves_notices and was.is_live and not now.is_live
        return self._apply(now.id, change, _notice_item(now) if ends else None)

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        subscribed = replace(job, subscribers=(*job.subscribers, subscriber))
        change = _Change()
        change.set("subscribers", attribute(subscribed.subscribers))
        change.where_equal(attempt=job.attempt, subscribers=job.subscribers or None)
        change.where_state_in(LIVE if job.is_live else ENDED)
        ended = self._leaves_notices and not job.is_live
        return self._apply(job.id, change, _notice_item(subscribed) if ended else None)

    def untold(self, *, before: float, limit: int) -> tuple[Notice, ...]:
        query = _query("sweep", UNTOLD, "sweep_at < :until", before)
        with patience("the outcomes that were not told"):
            answer = self._client.query(TableName=self._table, Limit=limit, **query)
        return tuple(_notice(item) for item in answer["Items"])

    def told(self, notice: Notice, *, subscribers: int) -> None:
        self._write(
            f"the notice of job {notice.job}",
            "delete_item",
            Key=_key(notice.job, _notice_key(notice.attempt)),
            ConditionExpression="attribute_not_exists(pk) OR subscribers <= :known",
            ExpressionAttributeValues={":known": attribute(subscribers)},
        )

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        self._put_record(job, record)
        number = attribute(frozenset({record.number}))
        change = _Change()
        change.set("updated_at", attribute(record.ended_at))
        change.set("rescues", attribute(0))
        change.add(
            chunks_done=number,
            tiles_done=attribute(record.tiles),
            bytes_done=attribute(record.source_bytes),
            tiles_bad=attribute(record.tiles_bad),
        )
        change.where_equal(state=State.TILING, attempt=job.attempt, generation=job.generation)
        change.where("NOT contains(chunks_done, :chunk)", {":chunk": attribute(record.number)})
        outcome = self._write(
            f"job {job.id}", "update_item", Key=_key(job.id), **change.request(), ReturnValues="ALL_NEW"
        )
        stored = _job(outcome.item) if outcome.item else None
        return stored if stored and _is_tiling(stored, job) and record.number in stored.chunks_done else None

    def _put_record(self, job: Job, record: ChunkRecord) -> None:
        """Keep what the chunk did, before it counts as done. A worker of an earlier attempt, whose plan may have been
        another one, writes no more over a later one's."""
        self._write(
            f"chunk {record.number} of job {job.id}",
            "put_item",
            Item={
                **_key(job.id, _chunk_key(job.generation, record.number)),
                **attributes(record),
                "attempt": attribute(job.attempt),
            },
            ConditionExpression="attribute_not_exists(pk) OR attempt <= :attempt",
            ExpressionAttributeValues={":attempt": attribute(job.attempt)},
        )

    def chunk_records(self, job: Job) -> tuple[ChunkRecord, ...]:
        stored = self.get(job.id)
        if stored is None or stored.generation != job.generation:
            return ()
        first = _key(job.id, _chunk_key(job.generation))
        with patience(f"the chunks of job {job.id}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :job AND begins_with(sk, :chunks)",
                ExpressionAttributeValues={":job": first["pk"], ":chunks": first["sk"]},
                ConsistentRead=True,
            )
            records = [_record(item) for page in pages for item in page["Items"]]
        # A record without its number in the done set is of a worker that died in between, or of an earlier plan.
        return tuple(record for record in records if record.number in stored.chunks_done)

    def note_trouble(self, job: Job, trouble: Problem) -> None:
        change = _Change()
        change.set("trouble", attribute(trouble))
        change.where_equal(attempt=job.attempt)
        change.where_state_in(LIVE)
        self._apply(job.id, change)

    def count_rescue(self, job: Job, *, now: float) -> bool:
        change = _Change()
        change.set("rescues", attribute(job.rescues + 1))
        change.set("updated_at", attribute(now))
        change.where_equal(state=job.state, attempt=job.attempt, rescues=job.rescues)
        return self._apply(job.id, change)

    def schedule_sweep(self, job_id: str, at: float) -> None:
        change = _Change()
        change.set("sweep_at", attribute(at))
        change.set("gsi_sweep", attribute("due"))
        change.where_state_in(frozenset(State) - LIVE)
        change.where("(attribute_not_exists(#sweep_at) OR #sweep_at < :at)", {":at": attribute(at)})
        self._apply(job_id, change)

    def _apply(self, job_id: str, change: "_Change", notice: Item | None = None) -> bool:
        """Make a conditional change, with a notice in the same write if one is given; tell whether it was made, now or
        by the same request before."""
        token = _new_token()
        change.set("write_token", token)
        update = {"Key": _key(job_id), **change.request()}
        if notice is None:
            outcome = self._write(f"job {job_id}", "update_item", **update)
        else:
            outcome = self._write_both(f"job {job_id}", {"Update": update}, notice)
        return outcome.made or outcome.item.get("write_token") == token

    def _write(self, what: str, operation: str, **request: Any) -> "_Outcome":
        try:
            with patience(what):
                answer = getattr(self._client, operation)(
                    TableName=self._table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **request
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            refused: Any = error.response
            return _Outcome(made=False, item=refused.get("Item", {}))
        return _Outcome(made=True, item=answer.get("Attributes", {}))

    def _write_both(self, what: str, conditional: dict[str, dict[str, Any]], beside: Item) -> "_Outcome":
        """Make one conditional write and put another item, both or none."""
        ((verb, request),) = conditional.items()
        writes: Any = [
            {verb: {**request, "TableName": self._table, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
            {"Put": {"TableName": self._table, "Item": beside}},
        ]
        try:
            with patience(what):
                self._client.transact_write_items(TransactItems=writes)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            cancelled: Any = error.response
            reasons = cancelled.get("CancellationReasons") or [{}]
            if reasons[0].get("Code") == "ConditionalCheckFailed":
                return _Outcome(made=False, item=reasons[0].get("Item", {}))
            if any(reason.get("Code") in PATIENT_REASONS for reason in reasons):
                raise busy(error, what) from error
            raise
        return _Outcome(made=True, item={})

    # -- listings ----------------------------------------------------------------------------------------------------

    def list(
        self, *, state: State | None, session: str | None, cursor: str | None, limit: int, only: Selection = EVERY_JOB
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
        request = {"TableName": self._table, "Select": "COUNT", **_query("counted", state.value)}
        counted, start = 0, None
        while counted < most:
            if start is not None:
                request["ExclusiveStartKey"] = start
            with patience(f"the number of jobs that are {state}"):
                answer = self._client.query(**request, Limit=most - counted)
            counted += answer["Count"]
            start = answer.get("LastEvaluatedKey")
            if start is None:
                break
        return counted

    def silent(self, state: State, *, before: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        query = _query("by_state", state.value, "updated_at < :until", before)
        start = (
            None
            if after is None
            else _start(Listing("by_state", state.value, "updated_at"), Place(after.updated_at, after.id))
        )
        return self._query(query, newest_first=False, limit=limit, start=start)

    def to_sweep(self, *, now: float, limit: int, after: Job | None = None) -> tuple[Job, ...]:
        query = _query("sweep", "due", "sweep_at <= :until", now)
        sweeps = Listing("sweep", "due", "sweep_at")
        start = None if after is None else _start(sweeps, Place(after.sweep_at or 0.0, after.id))
        return self._query(query, newest_first=False, limit=limit, start=start)

    def _query(self, query: Any, *, newest_first: bool, limit: int, start: Any = None) -> tuple[Job, ...]:
        """Return up to `limit` jobs of an index."""
        found: tuple[Job, ...] = ()
        request = {**query, "TableName": self._table, "ScanIndexForward": not newest_first, "Limit": limit}
        while True:
            if start is not None:
                request["ExclusiveStartKey"] = start
            with patience(f"the listing {query['IndexName']}"):
                answer = self._client.query(**request)
            found += tuple(_job(item) for item in answer["Items"])
            start = answer.get("LastEvaluatedKey")
            if start is None or len(found) >= limit:
                return found[:limit]


class _Reader:
    """The wanted jobs of one listing, newest first, read piece by piece. `place` is where a cursor goes on: behind what
    was taken, or behind all that was looked at while nothing waits to be taken."""

    def __init__(
        self, table: JobTable, query: dict[str, Any], listing: Listing, place: Place | None, *, at_once: int
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
        with patience(f"the listing {self.listing.index}"):
            answer = self._table._client.query(TableName=self._table._table, ScanIndexForward=False, **request)
        self.jobs.extend(_job(item) for item in answer["Items"])
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


class SyncTable:
    """ports.Syncs over the same table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._jobs = JobTable(client, table)
        self._client = client
        self._table = table

    def create(self, sync: Sync) -> Sync:
        token = _new_token()
        outcome = self._jobs._write(
            f"sync {sync.id}",
            "put_item",
            Item={**_sync_key(sync.id), **_sync_item(sync), "write_token": token},
            ConditionExpression="attribute_not_exists(pk)",
        )
        return sync if outcome.made or outcome.item.get("write_token") == token else _sync(outcome.item)

    def get(self, sync_id: str) -> Sync | None:
        with patience(f"sync {sync_id}"):
            answer = self._client.get_item(TableName=self._table, Key=_sync_key(sync_id), ConsistentRead=True)
        return _sync(answer["Item"]) if "Item" in answer else None

    def move(self, was: Sync, now: Sync) -> bool:
        item, token = _sync_item(now), _new_token()
        change = _Change()
        for name in sorted({field.name for field in fields(Sync)}.union(item)):
            change.set(name, item.get(name))
        change.set("write_token", token)
        change.where_equal(run=was.run, pages=was.pages, ended_at=was.ended_at)
        outcome = self._jobs._write(f"sync {was.id}", "update_item", Key=_sync_key(was.id), **change.request())
        return outcome.made or outcome.item.get("write_token") == token

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        self._jobs._write(
            f"page {sync.pages} of sync {sync.id}",
            "put_item",
            Item={
                **_sync_key(sync.id, _page_key(sync, sync.pages)),
                "entries": attribute(tuple(entries)),
                "expires_at": attribute(int(sync.updated_at + KEEP_PAGES_SECONDS)),
            },
        )

    def page(self, sync: Sync, number: int) -> tuple[Entry, ...]:
        with patience(f"page {number} of sync {sync.id}"):
            answer = self._client.get_item(
                TableName=self._table, Key=_sync_key(sync.id, _page_key(sync, number)), ConsistentRead=True
            )
        found: Any = answer.get("Item", {}).get("entries", {"L": []})
        return tuple(dataclass_of(Entry, each["M"]) for each in found["L"])

    def latest(self, *, live: bool, limit: int) -> tuple[Sync, ...]:
        query = _query("by_state", _sync_state(live=live))
        with patience("the listing of syncs"):
            answer = self._client.query(TableName=self._table, ScanIndexForward=False, Limit=limit, **query)
        return tuple(_sync(item) for item in answer["Items"])


class DeliveryTable:
    """ports.Deliveries over the same table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._jobs = JobTable(client, table)
        self._client = client
        self._table = table

    def create(self, delivery: Delivery) -> Delivery:
        token = _new_token()
        outcome = self._jobs._write(
            f"delivery {delivery.id}",
            "put_item",
            Item={**_delivery_key(delivery), **_delivery_item(delivery), "write_token": token},
            ConditionExpression="attribute_not_exists(pk)",
        )
        return delivery if outcome.made or outcome.item.get("write_token") == token else _delivery(outcome.item)

    def get(self, job: str, delivery: str) -> Delivery | None:
        with patience(f"delivery {delivery}"):
            answer = self._client.get_item(
                TableName=self._table, Key=_key(job, f"{DELIVERY_PREFIX}{delivery}"), ConsistentRead=True
            )
        return _delivery(answer["Item"]) if "Item" in answer else None

    def move(self, was: Delivery, now: Delivery) -> bool:
        item, token = _delivery_item(now), _new_token()
        change = _Change()
        for name in sorted({field.name for field in fields(Delivery)}.union(item, {"gsi_sweep", "sweep_at"})):
            change.set(name, item.get(name))
        change.set("write_token", token)
        change.where_equal(version=was.version)
        outcome = self._jobs._write(f"delivery {was.id}", "update_item", Key=_delivery_key(was), **change.request())
        return outcome.made or outcome.item.get("write_token") == token

    def of_job(self, job: str) -> tuple[Delivery, ...]:
        first = _key(job, DELIVERY_PREFIX)
        with patience(f"the deliveries of job {job}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :job AND begins_with(sk, :deliveries)",
                ExpressionAttributeValues={":job": first["pk"], ":deliveries": first["sk"]},
                ConsistentRead=True,
            )
            found = [_delivery(item) for page in pages for item in page["Items"]]
        return tuple(sorted(found, key=lambda delivery: (-delivery.created_at, delivery.id)))

    def due(self, *, before: float, limit: int) -> tuple[Delivery, ...]:
        query = _query("sweep", PENDING, "sweep_at < :until", before)
        with patience("the deliveries that are due"):
            answer = self._client.query(TableName=self._table, Limit=limit, **query)
        return tuple(_delivery(item) for item in answer["Items"])

    def disable(self, scope: str, url: str) -> None:
        self._jobs._write(f"a callback of {scope}", "put_item", Item=_callback_key(scope, url))

    def enable(self, scope: str, url: str) -> None:
        self._jobs._write(f"a callback of {scope}", "delete_item", Key=_callback_key(scope, url))

    def is_disabled(self, scope: str, url: str) -> bool:
        with patience(f"a callback of {scope}"):
            answer = self._client.get_item(TableName=self._table, Key=_callback_key(scope, url), ConsistentRead=True)
        return "Item" in answer


DELIVERY_PREFIX = "delivery#"
# What shares the sparse index of the sweeper with the jobs, under values of its own.
UNTOLD, PENDING = "untold", "pending"
PATIENT_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


def _notice_key(attempt: int) -> str:
    return f"outcome#{attempt:06d}"


def _notice_item(ended: Job) -> Item:
    return {
        **_key(ended.id, _notice_key(ended.attempt)),
        **attributes(Notice(job=ended.id, attempt=ended.attempt)),
        "subscribers": attribute(len(ended.subscribers)),
        "gsi_sweep": attribute(UNTOLD),
        "sweep_at": attribute(ended.ended_at or ended.updated_at),
    }


def _notice(item: Mapping[str, Any]) -> Notice:
    return dataclass_of(Notice, item)


def _delivery_key(delivery: Delivery) -> Item:
    return _key(delivery.job, f"{DELIVERY_PREFIX}{delivery.id}")


def _delivery_item(delivery: Delivery) -> Item:
    item = attributes(delivery)
    if delivery.state == "pending" and delivery.next_at is not None:
        item |= {"gsi_sweep": attribute(PENDING), "sweep_at": attribute(delivery.next_at)}
    return item


def _delivery(item: Mapping[str, Any]) -> Delivery:
    return dataclass_of(Delivery, item)


def _callback_key(scope: str, url: str) -> Item:
    digest = content_id("disabled", {"scope": scope, "url": url})
    return {"pk": attribute(f"callback#{digest}"), "sk": attribute("callback")}


KEEP_PAGES_SECONDS = 30 * 24 * 3600.0


def _sync_key(sync_id: str, sort_key: str = "sync") -> Item:
    return {"pk": attribute(f"sync#{sync_id}"), "sk": attribute(sort_key)}


def _page_key(sync: Sync, number: int) -> str:
    return f"page#{sync.run:06d}#{number:06d}"


def _sync(item: Mapping[str, Any]) -> Sync:
    return dataclass_of(Sync, item)


def _sync_item(sync: Sync) -> Item:
    return {**attributes(sync), "gsi_state": attribute(_sync_state(live=sync.is_live))}


def _sync_state(*, live: bool) -> str:
    return "sync running" if live else "sync ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """Whether a conditional write was made, and the item: as it was asked for then, else as it stands ({}: none)."""

    made: bool
    item: Item


class _Change:
    """One update: what is written, and on which condition. Every name is a placeholder, many are reserved words."""

    def __init__(self) -> None:
        self._sets: list[str] = []
        self._removes: list[str] = []
        self._adds: list[str] = []
        self._conditions: list[str] = []
        self._names: dict[str, str] = {}
        self._values: Item = {}

    def _name(self, name: str) -> str:
        self._names[f"#{name}"] = name
        return f"#{name}"

    def set(self, name: str, value: Attribute | None) -> None:
        """Write an attribute; None takes it away."""
        if value is None:
            self._removes.append(self._name(name))
            return
        self._values[f":{name}"] = value
        self._sets.append(f"{self._name(name)} = :{name}")

    def add(self, **values: Attribute) -> None:
        """Add numbers to numbers, and sets to sets."""
        for name, value in values.items():
            self._values[f":{name}"] = value
            self._adds.append(f"{self._name(name)} :{name}")

    def where(self, condition: str, values: Item) -> None:
        self._conditions.append(condition)
        self._values |= values

    def where_equal(self, **values: object) -> None:
        for name, value in values.items():
            if value is None:
                self.where(f"attribute_not_exists({self._name(name)})", {})
            else:
                self.where(f"{self._name(name)} = :was_{name}", {f":was_{name}": attribute(value)})

    def where_state_in(self, states: frozenset[State]) -> None:
        values = {f":in_{state}": attribute(state) for state in sorted(states)}
        self.where(f"{self._name('state')} IN ({', '.join(values)})", values)

    def request(self) -> dict[str, Any]:
        clauses = {"SET": self._sets, "REMOVE": self._removes, "ADD": self._adds}
        return {
            "UpdateExpression": " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts),
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }


def _is_tiling(stored: Job, job: Job) -> bool:
    place = (State.TILING, job.attempt, job.generation)
    return (stored.state, stored.attempt, stored.generation) == place


def _new_token() -> Attribute:
    return attribute(secrets.token_hex(8))


def _key(job_id: str, sort_key: str = "job") -> Item:
    return {"pk": attribute(f"job#{job_id}"), "sk": attribute(sort_key)}


def _chunk_key(generation: int, number: int | None = None) -> str:
    return f"chunk#{generation:06d}#" + ("" if number is None else f"{number:06d}")


def _job_item(job: Job) -> Item:
    """Return the job's attributes, with those that put it into the indexes."""
    item = {**attributes(job), "gsi_recent": attribute("job"), "gsi_state": attribute(job.state)}
    item["searched"] = attribute(searched(job))
    if job.destination.session:  # an index's key is never empty
        item["gsi_session"] = attribute(job.destination.session)
    if job.sweep_at is not None:
        item["gsi_sweep"] = attribute("due")
    return item


def _job(item: Mapping[str, Any]) -> Job:
    return dataclass_of(Job, item)


def _record(item: Mapping[str, Any]) -> ChunkRecord:
    return dataclass_of(ChunkRecord, item)


def _shared_attribute(index: str) -> str:
    return "gsi_state" if index == "counted" else "gsi_" + index.removeprefix("by_")


def _query(index: str, shared: str, until: str | None = None, instant: float | None = None) -> dict[str, Any]:
    """Return the request for the items of an index that share a value, up to an instant if one is given."""
    request: dict[str, Any] = {
        "IndexName": index,
        "KeyConditionExpression": "#shared = :shared",
        "ExpressionAttributeNames": {"#shared": _shared_attribute(index)},
        "ExpressionAttributeValues": {":shared": attribute(shared)},
    }
    if until is not None:
        request["KeyConditionExpression"] += f" AND {until}"
        request["ExpressionAttributeValues"][":until"] = attribute(instant)
    return request


def _selecting(listing: Listing, state: State | None, only: Selection) -> dict[str, Any]:
    """Return the request for the wanted items of a listing. What it is sorted by bounds what is looked at: a job
    changes after it was submitted."""
    request = _query(listing.index, listing.shared)
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
    listing: Listing, only: Selection, compare: Callable[[str, str, str, object], str], conditions: list[str]
) -> str:
    """Return what bounds the instants that are looked at; what has to be filtered beside it joins the conditions."""
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
        **_key(place.job),
        _shared_attribute(listing.index): attribute(listing.shared),
        listing.sorted_by: attribute(place.at),
    }
