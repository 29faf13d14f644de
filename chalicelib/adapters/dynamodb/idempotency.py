"""Stored responses of idempotent requests, in the jobs table.

    pk = answer#<key>  sk = answer    the call, until when its reservation holds, and its answer

The table drops what has expired within days only; until then it is as if it was not there.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.dynamodb.items import Item, attribute
from chalicelib.adapters.dynamodb.table import Change, Table, new_token
from chalicelib.ports.idempotency import CALL_SECONDS, KEEP_ANSWERS_SECONDS, IdempotencyRecord, StoredResponse

if TYPE_CHECKING:
    pass


class IdempotencyTable(Table):
    """ports.IdempotencyStore over one DynamoDB table."""

    def begin(self, key: str, call: str, *, now: float) -> IdempotencyRecord | None:
        token = new_token()
        until = now + CALL_SECONDS
        outcome = self._write(
            f"the answer to {key}",
            "put_item",
            Item={
                **_key(key), "call": attribute(call), "until": attribute(until), "expires_at": attribute(int(until)),
                "write_token": token,
            },
            ConditionExpression="attribute_not_exists(pk) OR #until <= :now",
            ExpressionAttributeNames={"#until": "until"},
            ExpressionAttributeValues={":now": attribute(now)},
        )  # fmt: skip
        # A reservation whose answer was lost is ours.
        return None if outcome.written or outcome.item.get("write_token") == token else _promise(outcome.item)

    def keep(self, key: str, call: str, answer: StoredResponse, *, now: float) -> None:
        until = now + KEEP_ANSWERS_SECONDS
        change = Change()
        change.set("status", attribute(answer.status))
        change.set("body", attribute(answer.body))
        change.set("headers", {"M": {name: attribute(value) for name, value in answer.headers}})
        change.set("until", attribute(until))
        change.set("expires_at", attribute(int(until)))
        change.where_equal(call=call, status=None)
        self._write(f"the answer to {key}", "update_item", Key=_key(key), **change.request())

    def forget(self, key: str, call: str) -> None:
        self._write(
            f"the answer to {key}",
            "delete_item",
            Key=_key(key),
            ConditionExpression="#call = :call AND attribute_not_exists(#status)",
            ExpressionAttributeNames={"#call": "call", "#status": "status"},
            ExpressionAttributeValues={":call": attribute(call)},
        )


def _key(key: str) -> Item:
    return {"pk": attribute(f"answer#{key}"), "sk": attribute("answer")}


def _promise(item: Mapping[str, Any]) -> IdempotencyRecord:
    call = item["call"]["S"]
    if "status" not in item:
        return IdempotencyRecord(call=call)
    headers = tuple(sorted((name, value["S"]) for name, value in item["headers"]["M"].items()))
    return IdempotencyRecord(
        call=call, answer=StoredResponse(status=int(item["status"]["N"]), body=item["body"]["S"], headers=headers)
    )
