"""Access records in the jobs table. The items expire.

pk = receipt#<key>              sk = receipt    the receipt of a signed webhook
pk = tries#<client>#<minute>    sk = tries      the number of sign-in attempts
pk = code#<SHA-256>             sk = code       a sign-in code: the id of its token, and whether it is redeemed
"""

import secrets
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.dynamodb.items import Item, attribute, attributes, dataclass_of
from chalicelib.ports.access_records import Receipt

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

# Senders retry for three days. A later request is a new one and returns the existing job.
KEEP_RECEIPT_SECONDS = 7 * 24 * 3600
KEEP_TRIES_SECONDS = 600


class AccessRecordTable:
    """ports.AccessRecords in a DynamoDB table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def receipt(self, key: str) -> Receipt | None:
        with translate_transient_errors("the receipt of a webhook"):
            response: Any = self._client.get_item(TableName=self._table, Key=_receipt_key(key), ConsistentRead=True)
        return dataclass_of(Receipt, response["Item"]) if "Item" in response else None

    def keep(self, receipt: Receipt, *, now: float) -> bool:
        # The SDK repeats a write whose response was lost. The token identifies the write of this call.
        token = attribute(secrets.token_hex(8))
        item = {
            **_receipt_key(receipt.key),
            **attributes(receipt),
            "write_token": token,
            "expires_at": attribute(int(now) + KEEP_RECEIPT_SECONDS),
        }
        try:
            with translate_transient_errors("the receipt of a webhook"):
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
            failed: Any = error.response
            return bool(failed.get("Item", {}).get("write_token") == token)
        return True

    def count_try(self, client: str, *, now: float) -> int:
        with translate_transient_errors("the sign-in attempts of a minute"):
            response = self._client.update_item(
                TableName=self._table,
                Key={"pk": attribute(f"tries#{client}#{int(now // 60)}"), "sk": attribute("tries")},
                UpdateExpression="ADD tries :one SET expires_at = :later",
                ExpressionAttributeValues={":one": attribute(1), ":later": attribute(int(now) + KEEP_TRIES_SECONDS)},
                ReturnValues="UPDATED_NEW",
            )
        return int(response["Attributes"]["tries"]["N"])

    def keep_code(self, code_sha256: str, token_id: str, *, expires_at: float) -> None:
        item = {
            **_code_key(code_sha256),
            "token_id": attribute(token_id),
            "valid_before": attribute(expires_at),
            "expires_at": attribute(int(expires_at) + 1),
        }
        with translate_transient_errors("a sign-in code"):
            self._client.put_item(TableName=self._table, Item=item)

    def redeem_code(self, code_sha256: str, *, now: float) -> str | None:
        # The SDK repeats a write whose response was lost. The token identifies the write of this call.
        token = attribute(secrets.token_hex(8))
        try:
            with translate_transient_errors("a sign-in code"):
                response: Any = self._client.update_item(
                    TableName=self._table,
                    Key=_code_key(code_sha256),
                    UpdateExpression="SET redeemed_by = :token",
                    ConditionExpression="valid_before > :now AND attribute_not_exists(redeemed_by)",
                    ExpressionAttributeValues={":token": token, ":now": attribute(now)},
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            failed: Any = error.response
            item = failed.get("Item", {})
            if item.get("redeemed_by") != token:
                return None
        else:
            item = response["Attributes"]
        return str(item["token_id"]["S"])


def _receipt_key(key: str) -> Item:
    return {"pk": attribute(f"receipt#{key}"), "sk": attribute("receipt")}


def _code_key(code_sha256: str) -> Item:
    return {"pk": attribute(f"code#{code_sha256}"), "sk": attribute("code")}
