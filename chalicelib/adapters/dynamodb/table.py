"""Conditional writes and keys of the jobs table.

The SDK repeats a write whose response was lost, and the condition of the repeated write fails. Each write therefore
stores a random token in the item: a failed condition with the same token means that the write has succeeded.
"""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.adapters.aws import translate_transient_errors, unavailable
from chalicelib.adapters.dynamodb.items import EARLIER_NAMES, Attribute, Item, attribute
from chalicelib.core.jobs.model import State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


TRANSIENT_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOutcome:
    """The outcome of a conditional write. `item` is the item after the write. If the condition failed, it is the stored
    item, {} if it does not exist."""

    written: bool
    item: Item


class Change:
    """A conditional update. All names are placeholders, because many attributes are reserved words of DynamoDB."""

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
        """Write an attribute, or remove it if `value` is None. Its name of schema version 1 is removed as well."""
        if name in EARLIER_NAMES:
            self._removes.append(self._name(EARLIER_NAMES[name]))
        if value is None:
            self._removes.append(self._name(name))
            return
        self._values[f":{name}"] = value
        self._sets.append(f"{self._name(name)} = :{name}")

    def replace(self, name: str, was: Attribute | None, now: Attribute | None) -> None:
        """Write an attribute (None: remove it), on the condition that its value is `was` (None: it does not exist)."""
        placeholder = self._name(name)
        if now is None:
            self._removes.append(placeholder)
        else:
            self._values[f":{name}"] = now
            self._sets.append(f"{placeholder} = :{name}")
        if was is None:
            self.where(f"attribute_not_exists({placeholder})", {})
        else:
            self.where(f"{placeholder} = :was_{name}", {f":was_{name}": was})

    def add(self, **values: Attribute) -> None:
        """Add to numbers and sets."""
        for name, value in values.items():
            self._values[f":{name}"] = value
            self._adds.append(f"{self._name(name)} :{name}")

    def where(self, condition: str, values: Item) -> None:
        """Add a condition expression with its values. All conditions must be true."""
        self._conditions.append(condition)
        self._values |= values

    def where_equal(self, **values: object) -> None:
        """Add the condition that attributes have these values. None: the attribute does not exist."""
        for name, value in values.items():
            if value is None:
                self.where(f"attribute_not_exists({self._name(name)})", {})
            else:
                self.where(f"{self._name(name)} = :was_{name}", {f":was_{name}": attribute(value)})

    def where_state_in(self, states: frozenset[State]) -> None:
        """Add the condition that the job is in one of these states."""
        values = {f":in_{state}": attribute(state) for state in sorted(states)}
        self.where(f"{self._name('state')} IN ({', '.join(values)})", values)

    def request(self) -> dict[str, Any]:
        """Return the expressions, names and values for `update_item`."""
        clauses = {"SET": self._sets, "REMOVE": self._removes, "ADD": self._adds}
        return {
            "UpdateExpression": " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses.items() if parts),
            "ConditionExpression": " AND ".join(self._conditions),
            "ExpressionAttributeNames": self._names,
            "ExpressionAttributeValues": self._values,
        }


class Table:
    """A DynamoDB table with conditional writes."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def _write(self, what: str, operation: str, **request: Any) -> "WriteOutcome":
        try:
            with translate_transient_errors(what):
                response = getattr(self._client, operation)(
                    TableName=self._table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **request
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            failed: Any = error.response
            return WriteOutcome(written=False, item=failed.get("Item", {}))
        return WriteOutcome(written=True, item=response.get("Attributes", {}))

    def _write_both(self, what: str, conditional: dict[str, dict[str, Any]], second: Item) -> "WriteOutcome":
        """Make a conditional write and put a second item in one transaction."""
        ((verb, request),) = conditional.items()
        writes: Any = [
            {verb: {**request, "TableName": self._table, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
            {"Put": {"TableName": self._table, "Item": second}},
        ]
        try:
            with translate_transient_errors(what):
                self._client.transact_write_items(TransactItems=writes)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            cancelled: Any = error.response
            reasons = cancelled.get("CancellationReasons") or [{}]
            if reasons[0].get("Code") == "ConditionalCheckFailed":
                return WriteOutcome(written=False, item=reasons[0].get("Item", {}))
            if any(reason.get("Code") in TRANSIENT_REASONS for reason in reasons):
                raise unavailable(error, what) from error
            raise
        return WriteOutcome(written=True, item={})


def new_token() -> Attribute:
    """Return the random token of a write."""
    return attribute(secrets.token_hex(8))


def job_key(job_id: str, sort_key: str = "job") -> Item:
    """Return the primary key of an item of a job."""
    return {"pk": attribute(f"job#{job_id}"), "sk": attribute(sort_key)}


def partition_attribute(index: str) -> str:
    """Return the name of the partition key attribute of an index."""
    return "gsi_state" if index == "counted" else "gsi_" + index.removeprefix("by_")


def index_query(index: str, partition: str, until: str | None = None, instant: float | None = None) -> dict[str, Any]:
    """Return the query for the items of a partition of an index.

    `until` is a condition on the sort key with the placeholder `:until`, whose value is `instant`.
    """
    request: dict[str, Any] = {
        "IndexName": index,
        "KeyConditionExpression": "#partition = :partition",
        "ExpressionAttributeNames": {"#partition": partition_attribute(index)},
        "ExpressionAttributeValues": {":partition": attribute(partition)},
    }
    if until is not None:
        request["KeyConditionExpression"] += f" AND {until}"
        request["ExpressionAttributeValues"][":until"] = attribute(instant)
    return request
