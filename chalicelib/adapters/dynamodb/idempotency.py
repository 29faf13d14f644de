"""Stored responses of idempotent requests, in the jobs table.

    pk = answer#<key>  sk = answer    the digest of the request, the end of its reservation, and its response

DynamoDB deletes expired items within days. Until then, `until` decides whether an item has expired.
"""

from collections.abc import Mapping
from typing import Any

from chalicelib.adapters.dynamodb.items import Item, attribute
from chalicelib.adapters.dynamodb.table import Change, Table, new_token
from chalicelib.ports.idempotency import (
    KEEP_RESPONSE_SECONDS,
    RESERVATION_SECONDS,
    IdempotencyRecord,
    StoredResponse,
)


class IdempotencyTable(Table):
    """ports.IdempotencyStore in a DynamoDB table."""

    def begin(self, key: str, request: str, *, now: float) -> IdempotencyRecord | None:
        token = new_token()
        until = now + RESERVATION_SECONDS
        outcome = self._write(
            f"the response of key {key}",
            "put_item",
            Item={
                **_key(key), "call": attribute(request), "until": attribute(until),
                "expires_at": attribute(int(until)), "write_token": token,
            },
            ConditionExpression="attribute_not_exists(pk) OR #until <= :now",
            ExpressionAttributeNames={"#until": "until"},
            ExpressionAttributeValues={":now": attribute(now)},
        )  # fmt: skip
        # With the same token, an earlier try of this request stored the reservation, and its response was lost.
        return None if outcome.written or outcome.item.get("write_token") == token else _record(outcome.item)

    def keep(self, key: str, request: str, response: StoredResponse, *, now: float) -> None:
        until = now + KEEP_RESPONSE_SECONDS
        change = Change()
        change.set("status", attribute(response.status))
        change.set("body", attribute(response.body))
        change.set("headers", {"M": {name: attribute(value) for name, value in response.headers}})
        change.set("until", attribute(until))
        change.set("expires_at", attribute(int(until)))
        change.where_equal(call=request, status=None)
        self._write(f"the response of key {key}", "update_item", Key=_key(key), **change.request())

    def forget(self, key: str, request: str) -> None:
        self._write(
            f"the response of key {key}",
            "delete_item",
            Key=_key(key),
            ConditionExpression="#call = :call AND attribute_not_exists(#status)",
            ExpressionAttributeNames={"#call": "call", "#status": "status"},
            ExpressionAttributeValues={":call": attribute(request)},
        )


def _key(key: str) -> Item:
    return {"pk": attribute(f"answer#{key}"), "sk": attribute("answer")}


def _record(item: Mapping[str, Any]) -> IdempotencyRecord:
    request = item["call"]["S"]
    if "status" not in item:
        return IdempotencyRecord(request=request)
    headers = tuple(sorted((name, value["S"]) for name, value in item["headers"]["M"].items()))
    response = StoredResponse(status=int(item["status"]["N"]), body=item["body"]["S"], headers=headers)
    return IdempotencyRecord(request=request, response=response)
