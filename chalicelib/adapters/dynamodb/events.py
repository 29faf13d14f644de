"""The events of jobs in the jobs table: pk = job#<id>, sk = event#<cursor>."""

import secrets
from itertools import count
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.cursors import checked_event_cursor, event_cursor
from chalicelib.adapters.dynamodb.items import Item, attribute, attributes, dataclass_of
from chalicelib.core.jobs.events import Event
from chalicelib.ports.events import EventPage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

KEEP_SECONDS = 90 * 24 * 3600.0
MAX_BATCH_ITEMS = 25  # the limit of DynamoDB
# Sorts after all cursors, which consist of digits, letters, dots and hyphens.
END = "~"


class EventTable:
    """ports.Events in a DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        self._number, self._token = count(), secrets.token_hex(4)

    def append(self, event: Event) -> None:
        # The key is chosen before the request, so that a request that the SDK repeats stores one event.
        cursor = event_cursor(event.at, next(self._number), self._token)
        expires_at = attribute(int(event.at + KEEP_SECONDS))
        with translate_transient_errors(f"an event of job {event.job}"):
            self._client.put_item(
                TableName=self._table,
                Item={**_key(event.job, cursor), **attributes(event), "expires_at": expires_at},
            )

    def list(self, job_id: str, *, after: str | None, limit: int) -> EventPage:
        # One more event than requested shows whether there are more.
        items = self._query(job_id, checked_event_cursor(after), ScanIndexForward=True, Limit=limit + 1)
        page = items[:limit]
        return EventPage(
            events=tuple(dataclass_of(Event, item) for item in page),
            cursor=_cursor(page[-1]) if page else after,
            is_end=len(items) <= limit,
        )

    def trim(self, job_id: str, *, keep: int) -> None:
        keys = {"ProjectionExpression": "pk, sk"}
        newest = self._query(job_id, "", ScanIndexForward=False, Limit=keep, **keys)
        if len(newest) < keep:
            return
        oldest = _cursor(newest[-1])
        while older := self._query(job_id, "", before=oldest, ScanIndexForward=True, Limit=MAX_BATCH_ITEMS, **keys):
            deletes: Any = [{"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}} for item in older]
            with translate_transient_errors(f"the events of job {job_id}"):
                self._client.batch_write_item(RequestItems={self._table: deletes})

    def _query(self, job_id: str, after: str, *, before: str = END, **options: Any) -> tuple[Item, ...]:
        """Return up to `Limit` items whose cursors are between `after` and `before` (both exclusive)."""
        # BETWEEN includes both ends.
        first, last = _key(job_id, after), _key(job_id, before)
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :job AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {":job": first["pk"], ":first": first["sk"], ":last": last["sk"]},
            "ConsistentRead": True,
            **options,
        }
        items: tuple[Item, ...] = ()
        limit = options["Limit"]
        while True:
            with translate_transient_errors(f"the events of job {job_id}"):
                response: Any = self._client.query(TableName=self._table, **request)
            items += tuple(item for item in response["Items"] if item["sk"] not in (first["sk"], last["sk"]))
            start = response.get("LastEvaluatedKey")
            if start is None or len(items) >= limit:
                return items[:limit]
            request["ExclusiveStartKey"] = start


def _key(job_id: str, cursor: str) -> Item:
    return {"pk": attribute(f"job#{job_id}"), "sk": attribute(f"event#{cursor}")}


def _cursor(item: Item) -> str:
    return str(item["sk"]["S"]).removeprefix("event#")
