"""The schema version of the jobs table, and its migrations.

    pk = schema  sk = schema        the recorded version

A migration scans the table page by page. It changes an item by one conditional update of the attributes that differ.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.adapters.aws import translate_transient_errors
from chalicelib.adapters.dynamodb.items import (
    EARLIER_NAMES,
    Attribute,
    Item,
    attribute,
    attributes,
    dataclass_of,
)
from chalicelib.adapters.dynamodb.table import Change, Table, new_token
from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.jobs.events import Event
from chalicelib.core.jobs.model import Job
from chalicelib.core.jobs.sync import Entry, Sync
from chalicelib.ports.schema import MigratedPage, SchemaState

PAGE_ITEMS = 100
# The condition fails only if the item changed between read and write.
TRIES = 10
KEY: Item = {"pk": attribute("schema"), "sk": attribute("schema")}

# The attributes that change, with their new values; None removes one.
Changes = Mapping[str, Attribute | None]


@dataclass(frozen=True, slots=True)
class ItemMigration:
    """A migration to the next version. `changes_of` returns the changes of an item."""

    title: str
    changes_of: Callable[[Item], Changes]


def rename_attributes(item: Item) -> Changes:
    """Return the changes from schema version 1 to 2: new names of attributes, values and error codes."""
    kind = item["sk"]["S"].partition("#")[0]
    if kind == "page":
        entries = tuple(dataclass_of(Entry, each["M"]) for each in item.get("entries", {"L": []})["L"])
        return _differing(item, {"entries": attribute(entries)} if entries else {})
    dataclass: Any = {"job": Job, "event": Event, "sync": Sync}.get(kind)
    if dataclass is None:
        return {}
    removed: dict[str, Attribute | None] = {name: None for name in EARLIER_NAMES.values() if name in item}
    return removed | _differing(item, attributes(dataclass_of(dataclass, item)))


def _differing(item: Item, found: Item) -> dict[str, Attribute | None]:
    return {name: value for name, value in found.items() if item.get(name) != value}


MIGRATIONS = (ItemMigration("rename attributes, values and error codes", rename_attributes),)


class TableSchema(Table):
    """ports.Schema of the jobs table."""

    name = "the jobs table"

    def __init__(self, client: Any, table: str, *, migrations: tuple[ItemMigration, ...] = MIGRATIONS) -> None:
        super().__init__(client, table)
        self._migrations = migrations

    @property
    def latest(self) -> int:
        return 1 + len(self._migrations)

    def title(self, version: int) -> str:
        return self._migrations[version - 2].title

    def state(self) -> SchemaState:
        with translate_transient_errors("the schema version"):
            response: Any = self._client.get_item(TableName=self._table, Key=KEY, ConsistentRead=True)
        return dataclass_of(SchemaState, response.get("Item", {"version": attribute(1)}))

    def save(self, was: SchemaState, now: SchemaState) -> bool:
        change, token = Change(), new_token()
        change.set("version", attribute(now.version))
        change.set("cursor", None if now.cursor is None else attribute(now.cursor))
        change.set("write_token", token)
        if was == SchemaState(version=1):
            change.where("(attribute_not_exists(pk) OR #version = :one)", {":one": attribute(1)})
            change.where_equal(cursor=None)
        else:
            change.where_equal(version=was.version, cursor=was.cursor)
        outcome = self._write("the schema version", "update_item", Key=KEY, **change.request())
        return outcome.written or outcome.item.get("write_token") == token

    def migrate(self, version: int, cursor: str | None, *, write: bool) -> MigratedPage:
        changes_of = self._migrations[version - 2].changes_of
        start: dict[str, Any] = {} if cursor is None else {"ExclusiveStartKey": json.loads(cursor)}
        with translate_transient_errors("the items of the jobs table"):
            response: Any = self._client.scan(TableName=self._table, Limit=PAGE_ITEMS, ConsistentRead=True, **start)
        changed = sum(self._migrate_item(item, changes_of, write=write) for item in response["Items"])
        last = response.get("LastEvaluatedKey")
        return MigratedPage(
            read=len(response["Items"]),
            changed=changed,
            cursor=None if last is None else json.dumps(last, separators=(",", ":")),
        )

    def _migrate_item(self, item: Item, changes_of: Callable[[Item], Changes], *, write: bool) -> bool:
        """Change an item if it needs changes. Return whether it did. Raises AwsUnavailableError after TRIES tries."""
        key = {name: item[name] for name in ("pk", "sk")}
        for _ in range(TRIES):
            changes = changes_of(item)
            if not changes or not write:
                return bool(changes)
            outcome = self._write(f"item {key}", "update_item", Key=key, **_update(item, changes))
            if outcome.written:
                return True
            if not outcome.item:
                return False  # it was deleted in between
            item = outcome.item
        raise AwsUnavailableError(f"the item {key} of the jobs table changes too often to migrate it")


def _update(item: Item, changes: Changes) -> dict[str, Any]:
    """Return the request for changes. Its condition is that the changed attributes have the values of `item`."""
    change = Change()
    change.where("attribute_exists(pk)", {})
    for name, value in changes.items():
        change.replace(name, item.get(name), value)
    return change.request()
