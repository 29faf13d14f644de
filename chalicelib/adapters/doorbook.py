"""The door's book in DynamoDB, in the table of the jobs. Its items expire.

pk = receipt#<key>          sk = receipt    what became of a signed webhook
pk = tries#<who>#<minute>   sk = tries      how often somebody tried to sign in
"""

import secrets
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.adapters.aws import patience
from chalicelib.adapters.item import Item, attribute, attributes, dataclass_of
from chalicelib.ports import Receipt

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# Senders try again for three days; whoever comes later is a new call, which finds the job that is there.
KEEP_RECEIPT_SECONDS = 7 * 24 * 3600
KEEP_TRIES_SECONDS = 600


class DoorbookTable:
    """ports.Doorbook over one DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def receipt(self, key: str) -> Receipt | None:
        with patience("the receipt of a webhook"):
            answer: Any = self._client.get_item(TableName=self._table, Key=_receipt_key(key), ConsistentRead=True)
        return dataclass_of(Receipt, answer["Item"]) if "Item" in answer else None

    def keep(self, receipt: Receipt, *, now: float) -> bool:
        # A write whose answer was lost is sent again by the SDK, and knows itself by its token.
        token = attribute(secrets.token_hex(8))
        item = {
            **_receipt_key(receipt.key),
            **attributes(receipt),
            "write_token": token,
            "expires_at": attribute(int(now) + KEEP_RECEIPT_SECONDS),
        }
        try:
            with patience("the receipt of a webhook"):
                self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression="attribute_not_exists(pk) OR (#body = :body AND signed_at < :signed_at)",
                    ExpressionAttributeNames={"#body": "body"},
                    ExpressionAttributeValues={":body": item["body"], ":signed_at": item["signed_at"]},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            refused: Any = error.response
            return bool(refused.get("Item", {}).get("write_token") == token)
        return True

    def count_try(self, who: str, *, now: float) -> int:
        with patience("the tries of a minute"):
            answer = self._client.update_item(
                TableName=self._table,
                Key={"pk": attribute(f"tries#{who}#{int(now // 60)}"), "sk": attribute("tries")},
                UpdateExpression="ADD tries :one SET expires_at = :later",
                ExpressionAttributeValues={":one": attribute(1), ":later": attribute(int(now) + KEEP_TRIES_SECONDS)},
                ReturnValues="UPDATED_NEW",
            )
        return int(answer["Attributes"]["tries"]["N"])


def _receipt_key(key: str) -> Item:
    return {"pk": attribute(f"receipt#{key}"), "sk": attribute("receipt")}
