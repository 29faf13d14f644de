"""The syncs in the jobs table.

pk = sync#<id>  sk = sync                   the sync
                sk = page#<run>#<number>    a page of the report of one run
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.dynamodb.items import Item, attribute, attributes, dataclass_of
from chalicelib.adapters.dynamodb.table import Change, Table, index_query, new_token
from chalicelib.core.jobs.sync import Entry, Sync

KEEP_PAGES_SECONDS = 30 * 24 * 3600.0


class SyncTable(Table):
    """ports.Syncs in a DynamoDB table."""

    def create(self, sync: Sync) -> Sync:
        token = new_token()
        outcome = self._write(
            f"sync {sync.id}",
            "put_item",
            Item={**_sync_key(sync.id), **_sync_item(sync), "write_token": token},
            ConditionExpression="attribute_not_exists(pk)",
        )
        return sync if outcome.written or outcome.item.get("write_token") == token else _sync(outcome.item)

    def get(self, sync_id: str) -> Sync | None:
        with translate_transient_errors(f"sync {sync_id}"):
            response = self._client.get_item(TableName=self._table, Key=_sync_key(sync_id), ConsistentRead=True)
        return _sync(response["Item"]) if "Item" in response else None

    def move(self, was: Sync, now: Sync) -> bool:
        item, token = _sync_item(now), new_token()
        change = Change()
        for name in sorted({field.name for field in fields(Sync)}.union(item)):
            change.set(name, item.get(name))
        change.set("write_token", token)
        change.where_equal(run=was.run, pages=was.pages, ended_at=was.ended_at)
        outcome = self._write(f"sync {was.id}", "update_item", Key=_sync_key(was.id), **change.request())
        return outcome.written or outcome.item.get("write_token") == token

    def put_page(self, sync: Sync, entries: Sequence[Entry]) -> None:
        self._write(
            f"page {sync.pages} of sync {sync.id}",
            "put_item",
            Item={
                **_sync_key(sync.id, _page_key(sync, sync.pages)),
                "entries": attribute(tuple(entries)),
                "expires_at": attribute(int(sync.updated_at + KEEP_PAGES_SECONDS)),
            },
        )

    def page(self, sync: Sync, number: int) -> tuple[Entry, ...]:
        with translate_transient_errors(f"page {number} of sync {sync.id}"):
            response = self._client.get_item(
                TableName=self._table, Key=_sync_key(sync.id, _page_key(sync, number)), ConsistentRead=True
            )
        entries: Any = response.get("Item", {}).get("entries", {"L": []})
        return tuple(dataclass_of(Entry, each["M"]) for each in entries["L"])

    def latest(self, *, live: bool, limit: int) -> tuple[Sync, ...]:
        query = index_query("by_state", _sync_state(live=live))
        with translate_transient_errors("the listing of syncs"):
            response = self._client.query(TableName=self._table, ScanIndexForward=False, Limit=limit, **query)
        return tuple(_sync(item) for item in response["Items"])


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
