"""Callback deliveries in the jobs table.

pk = job#<id>           sk = delivery#<webhook-id>  one outcome for one URL
pk = callback#<digest>  sk = callback               a URL that has disabled its callbacks
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.dynamodb.items import Item, attribute, attributes, dataclass_of
from chalicelib.adapters.dynamodb.table import Change, Table, index_query, job_key, new_token
from chalicelib.core.ids import content_id
from chalicelib.core.jobs.deliveries import Delivery

DELIVERY_PREFIX = "delivery#"

# The partition of pending deliveries in the sparse index `sweep`, which also contains jobs.
PENDING = "pending"


class DeliveryTable(Table):
    """ports.Deliveries in a DynamoDB table."""

    def create(self, delivery: Delivery) -> Delivery:
        token = new_token()
        outcome = self._write(
            f"delivery {delivery.id}",
            "put_item",
            Item={**_delivery_key(delivery), **_delivery_item(delivery), "write_token": token},
            ConditionExpression="attribute_not_exists(pk)",
        )
        return delivery if outcome.written or outcome.item.get("write_token") == token else _delivery(outcome.item)

    def get(self, job: str, delivery: str) -> Delivery | None:
        with translate_transient_errors(f"delivery {delivery}"):
            response = self._client.get_item(
                TableName=self._table, Key=job_key(job, f"{DELIVERY_PREFIX}{delivery}"), ConsistentRead=True
            )
        return _delivery(response["Item"]) if "Item" in response else None

    def move(self, was: Delivery, now: Delivery) -> bool:
        item, token = _delivery_item(now), new_token()
        change = Change()
        for name in sorted({field.name for field in fields(Delivery)}.union(item, {"gsi_sweep", "sweep_at"})):
            change.set(name, item.get(name))
        change.set("write_token", token)
        change.where_equal(version=was.version)
        outcome = self._write(f"delivery {was.id}", "update_item", Key=_delivery_key(was), **change.request())
        return outcome.written or outcome.item.get("write_token") == token

    def of_job(self, job: str) -> tuple[Delivery, ...]:
        first = job_key(job, DELIVERY_PREFIX)
        with translate_transient_errors(f"the deliveries of job {job}"):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                KeyConditionExpression="pk = :job AND begins_with(sk, :deliveries)",
                ExpressionAttributeValues={":job": first["pk"], ":deliveries": first["sk"]},
                ConsistentRead=True,
            )
            deliveries = [_delivery(item) for page in pages for item in page["Items"]]
        return tuple(sorted(deliveries, key=lambda delivery: (-delivery.created_at, delivery.id)))

    def due(self, *, before: float, limit: int) -> tuple[Delivery, ...]:
        query = index_query("sweep", PENDING, "sweep_at < :until", before)
        with translate_transient_errors("the due deliveries"):
            response = self._client.query(TableName=self._table, Limit=limit, **query)
        return tuple(_delivery(item) for item in response["Items"])

    def disable(self, scope: str, url: str) -> None:
        self._write(f"a callback of {scope}", "put_item", Item=_callback_key(scope, url))

    def enable(self, scope: str, url: str) -> None:
        self._write(f"a callback of {scope}", "delete_item", Key=_callback_key(scope, url))

    def is_disabled(self, scope: str, url: str) -> bool:
        with translate_transient_errors(f"a callback of {scope}"):
            response = self._client.get_item(TableName=self._table, Key=_callback_key(scope, url), ConsistentRead=True)
        return "Item" in response


def _delivery_key(delivery: Delivery) -> Item:
    return job_key(delivery.job, f"{DELIVERY_PREFIX}{delivery.id}")


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
