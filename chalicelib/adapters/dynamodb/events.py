"""The events of jobs in the jobs table: pk = job#<id>, sk = event#<place>."""

import secrets
from itertools import count
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.cursors import checked_event_place, event_place
from chalicelib.adapters.dynamodb.items import Item, attribute, attributes, dataclass_of
from chalicelib.core.jobs.events import Event
from chalicelib.ports.events import EventPage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

KEEP_SECONDS = 90 * 24 * 3600.0
MOST_IN_A_BATCH = 25  # the limit of DynamoDB
# Behind the last place that can be: the next character after the digits and letters that places are made of.
END = "~"


class EventTable:
    """ports.Events over one DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        self._number, self._token = count(), secrets.token_hex(4)

    def append(self, event: Event) -> None:
        # The place is drawn before the request: sent twice, it is one line.
        place = event_place(event.at, next(self._number), self._token)
        expires_at = attribute(int(event.at + KEEP_SECONDS))
        with translate_transient_errors(f"a line of job {event.job}"):
            self._client.put_item(
                TableName=self._table,
                Item={**_key(event.job, place), **attributes(event), "expires_at": expires_at},
            )

    def list(self, job_id: str, *, after: str | None, limit: int) -> EventPage:
        # One more event than requested shows whether there are more.
        found = self._query(job_id, checked_event_place(after), ScanIndexForward=True, Limit=limit + 1)
        page = found[:limit]
        return EventPage(
            events=tuple(dataclass_of(Event, item) for item in page),
            cursor=_place(page[-1]) if page else after,
            is_end=len(found) <= limit,
        )

    def trim(self, job_id: str, *, keep: int) -> None:
        keys = {"ProjectionExpression": "pk, sk"}
        newest = self._query(job_id, "", ScanIndexForward=False, Limit=keep, **keys)
        if len(newest) < keep:
            return
        last = _place(newest[-1])
        while older := self._query(job_id, "", until=last, ScanIndexForward=True, Limit=MOST_IN_A_BATCH, **keys):
            deletes: Any = [{"DeleteRequest": {"Key": {"pk": item["pk"], "sk": item["sk"]}}} for item in older]
            with translate_transient_errors(f"the lines of job {job_id}"):
                self._client.batch_write_item(RequestItems={self._table: deletes})

    def _query(self, job_id: str, behind: str, *, until: str = END, **options: Any) -> tuple[Item, ...]:
        """Return items whose places lie behind one and before another; as many as `Limit` says, or all there are."""
        # BETWEEN takes both ends in.
        first, last = _key(job_id, behind), _key(job_id, until)
        request: dict[str, Any] = {
            "KeyConditionExpression": "pk = :job AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {":job": first["pk"], ":first": first["sk"], ":last": last["sk"]},
            "ConsistentRead": True,
            **options,
        }
        found: tuple[Item, ...] = ()
        limit = options["Limit"]
        while True:
            with translate_transient_errors(f"the lines of job {job_id}"):
                answer: Any = self._client.query(TableName=self._table, **request)
            found += tuple(item for item in answer["Items"] if item["sk"] not in (first["sk"], last["sk"]))
            start = answer.get("LastEvaluatedKey")
            if start is None or len(found) >= limit:
                return found[:limit]
            request["ExclusiveStartKey"] = start


def _key(job_id: str, place: str) -> Item:
    return {"pk": attribute(f"job#{job_id}"), "sk": attribute(f"event#{place}")}


def _place(item: Item) -> str:
    return str(item["sk"]["S"]).removeprefix("event#")
