"""The jobs in DynamoDB. Every change of a job is one conditional write.

    pk = job#<id>   sk = job                            the job
                    sk = chunk#<generation>#<number>    a finished chunk of one generation
                    sk = outcome#<attempt>              the pending notification of an ended attempt

If callbacks are enabled, the transaction that ends an attempt also stores a pending notification (outbox). A worker
that stops after it does not lose the callbacks.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.dynamodb.items import Item, attribute, attributes, dataclass_of, stored_name
from chalicelib.adapters.dynamodb.listings import JobListings, job_of
from chalicelib.adapters.dynamodb.table import Change, index_query, job_key, new_token
from chalicelib.core.jobs.deliveries import PendingNotification
from chalicelib.core.jobs.filter import searched
from chalicelib.core.jobs.model import ENDED, LIVE, ChunkRecord, Job, Problem, State, Subscriber

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

PROGRESS = ("chunks_done", "tiles_done", "bytes_done", "tiles_bad")

JOB_ATTRIBUTES = frozenset({stored_name(field.name) for field in fields(Job)} | {"gsi_sweep"})


class JobTable(JobListings):
    """ports.Jobs in a DynamoDB table. `stores_notifications` stores pending notifications of ended attempts."""

    def __init__(self, client: "DynamoDBClient", table: str, *, stores_notifications: bool = False) -> None:
        super().__init__(client, table)
        self._stores_notifications = stores_notifications

    def create(self, job: Job) -> Job:
        token = new_token()
        put = {
            "Item": {**job_key(job.id), **_job_item(job), "write_token": token},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        if self._stores_notifications and not job.is_live:
            outcome = self._write_both(f"job {job.id}", {"Put": put}, _notification_item(job))
        else:
            outcome = self._write(f"job {job.id}", "put_item", **put)
        return job if outcome.written or outcome.item.get("write_token") == token else job_of(outcome.item)

    def get(self, job_id: str) -> Job | None:
        with translate_transient_errors(f"job {job_id}"):
            response = self._client.get_item(TableName=self._table, Key=job_key(job_id), ConsistentRead=True)
        return job_of(response["Item"]) if "Item" in response else None

    def move(self, was: Job, now: Job) -> bool:
        unchanged = {"subscribers", *(name for name in PROGRESS if getattr(was, name) == getattr(now, name))}
        item = _job_item(now)
        change = Change()
        for name in sorted(JOB_ATTRIBUTES.union(item) - unchanged):
            change.set(name, item.get(name))
        change.where_equal(state=was.state, attempt=was.attempt, generation=was.generation)
        if not was.is_live and not now.is_live:
            # A cleanup that was scheduled in between must not be lost.
            change.where_equal(sweep_at=was.cleanup_at)
        ends = self._stores_notifications and was.is_live and not now.is_live
        return self._apply(now.id, change, _notification_item(now) if ends else None)

    def subscribe(self, job: Job, subscriber: Subscriber) -> bool:
        subscribed = replace(job, subscribers=(*job.subscribers, subscriber))
        change = Change()
        change.set("subscribers", attribute(subscribed.subscribers))
        change.where_equal(attempt=job.attempt, subscribers=job.subscribers or None)
        change.where_state_in(LIVE if job.is_live else ENDED)
        ended = self._stores_notifications and not job.is_live
        return self._apply(job.id, change, _notification_item(subscribed) if ended else None)

    def pending_notifications(self, *, before: float, limit: int) -> tuple[PendingNotification, ...]:
        query = index_query("sweep", PENDING_NOTIFICATION, "sweep_at < :until", before)
        with translate_transient_errors("the pending notifications"):
            response = self._client.query(TableName=self._table, Limit=limit, **query)
        return tuple(_notification(item) for item in response["Items"])

    def acknowledge(self, notification: PendingNotification, *, subscribers: int) -> None:
        self._write(
            f"the pending notification of job {notification.job}",
            "delete_item",
            Key=job_key(notification.job, _notification_key(notification.attempt)),
            ConditionExpression="attribute_not_exists(pk) OR subscribers <= :known",
            ExpressionAttributeValues={":known": attribute(subscribers)},
        )

    def finish_chunk(self, job: Job, record: ChunkRecord) -> Job | None:
        self._put_record(job, record)
        number = attribute(frozenset({record.number}))
        change = Change()
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
            f"job {job.id}", "update_item", Key=job_key(job.id), **change.request(), ReturnValues="ALL_NEW"
        )
        stored = job_of(outcome.item) if outcome.item else None
        return stored if stored and _is_tiling(stored, job) and record.number in stored.chunks_done else None

    def _put_record(self, job: Job, record: ChunkRecord) -> None:
        """Store the record of a chunk before it is marked as done. A record of a later attempt is not overwritten."""
        self._write(
            f"chunk {record.number} of job {job.id}",
            "put_item",
            Item={
                **job_key(job.id, _chunk_key(job.generation, record.number)),
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
        first = job_key(job.id, _chunk_key(job.generation))
        with translate_transient_errors(f"the chunks of job {job.id}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :job AND begins_with(sk, :chunks)",
                ExpressionAttributeValues={":job": first["pk"], ":chunks": first["sk"]},
                ConsistentRead=True,
            )
            records = [_record(item) for page in pages for item in page["Items"]]
        # A record whose number is not in the done set belongs to an interrupted write or to an earlier plan.
        return tuple(record for record in records if record.number in stored.chunks_done)

    def record_transient_error(self, job: Job, error: Problem) -> None:
        change = Change()
        change.set("last_transient_error", attribute(error))
        change.where_equal(attempt=job.attempt)
        change.where_state_in(LIVE)
        self._apply(job.id, change)

    def count_rescue(self, job: Job, *, now: float) -> bool:
        change = Change()
        change.set("rescues", attribute(job.rescues + 1))
        change.set("updated_at", attribute(now))
        change.where_equal(state=job.state, attempt=job.attempt, rescues=job.rescues)
        return self._apply(job.id, change)

    def schedule_cleanup(self, job_id: str, at: float) -> None:
        change = Change()
        change.set("sweep_at", attribute(at))
        change.set("gsi_sweep", attribute("due"))
        change.where_state_in(frozenset(State) - LIVE)
        change.where("(attribute_not_exists(#sweep_at) OR #sweep_at < :at)", {":at": attribute(at)})
        self._apply(job_id, change)

    def _apply(self, job_id: str, change: "Change", notification: Item | None = None) -> bool:
        """Write a conditional change, with a pending notification in the same transaction if given.

        Return whether it was written, by this request or an earlier try of it.
        """
        token = new_token()
        change.set("write_token", token)
        update = {"Key": job_key(job_id), **change.request()}
        if notification is None:
            outcome = self._write(f"job {job_id}", "update_item", **update)
        else:
            outcome = self._write_both(f"job {job_id}", {"Update": update}, notification)
        return outcome.written or outcome.item.get("write_token") == token


# The partition of pending notifications in the sparse index `sweep`, which also contains jobs.
PENDING_NOTIFICATION = "untold"


def _notification_key(attempt: int) -> str:
    return f"outcome#{attempt:06d}"


def _notification_item(ended: Job) -> Item:
    return {
        **job_key(ended.id, _notification_key(ended.attempt)),
        **attributes(PendingNotification(job=ended.id, attempt=ended.attempt)),
        "subscribers": attribute(len(ended.subscribers)),
        "gsi_sweep": attribute(PENDING_NOTIFICATION),
        "sweep_at": attribute(ended.ended_at or ended.updated_at),
    }


def _notification(item: Mapping[str, Any]) -> PendingNotification:
    return dataclass_of(PendingNotification, item)


def _is_tiling(stored: Job, job: Job) -> bool:
    expected = (State.TILING, job.attempt, job.generation)
    return (stored.state, stored.attempt, stored.generation) == expected


def _chunk_key(generation: int, number: int | None = None) -> str:
    return f"chunk#{generation:06d}#" + ("" if number is None else f"{number:06d}")


def _job_item(job: Job) -> Item:
    """Return the attributes of a job, including the keys of the indexes."""
    item = {**attributes(job), "gsi_recent": attribute("job"), "gsi_state": attribute(job.state)}
    item["searched"] = attribute(searched(job))
    if job.destination.session:  # the key of an index must not be empty
        item["gsi_session"] = attribute(job.destination.session)
    if job.cleanup_at is not None:
        item["gsi_sweep"] = attribute("due")
    return item


def _record(item: Mapping[str, Any]) -> ChunkRecord:
    return dataclass_of(ChunkRecord, item)
