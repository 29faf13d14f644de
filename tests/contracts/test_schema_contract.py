"""What every implementation of ports.Schema promises, and the migrations of recorded data."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bson import json_util
from pymongo import MongoClient

from chalicelib.adapters.dynamodb.events import EventTable
from chalicelib.adapters.dynamodb.jobs import JobTable
from chalicelib.adapters.dynamodb.schema import ItemMigration, TableSchema
from chalicelib.adapters.dynamodb.syncs import SyncTable
from chalicelib.adapters.mongo.archive import MongoArchive
from chalicelib.adapters.mongo.schema import DocumentMigration, MongoSchema
from chalicelib.core.errors import MigrationConflictError, SchemaTooNewError
from chalicelib.core.jobs.model import State
from chalicelib.ports.schema import MigratedPage, Schema, SchemaState
from chalicelib.steps.migrate import Migrated, migrate
from tests.contracts.samples import STORE

RECORDED = Path(__file__).parent / "recorded" / "207d46f"
# Attribute names, values and error codes that schema version 2 does not have.
EARLIER = ("asked_by", "door", "trouble", "noteworthy", "made", "swept_attempt", "again", "swept", "no_progress",
           "work_lost", "key_names_no_session")  # fmt: skip


def ids_page(admin: Any, cursor: str | None, write: bool) -> MigratedPage:
    """A migration of one document a page: it adds a field."""
    found = admin["notes"].find_one({"_id": {"$gt": int(cursor or -1)}}, sort=[("_id", 1)])
    if found is None:
        return MigratedPage(read=0, changed=0, cursor=None)
    if write:
        admin["notes"].update_one({"_id": found["_id"]}, {"$set": {"is_new": True}})
    return MigratedPage(read=1, changed=int("is_new" not in found), cursor=str(found["_id"]))


def no_changes(_: Any) -> dict[str, Any]:
    return {}


@pytest.fixture
def mongo(mongo_uri: str, request: pytest.FixtureRequest) -> Iterator[MongoClient[dict[str, Any]]]:
    client = MongoClient[dict[str, Any]](mongo_uri)
    yield client
    for name in ("schema_admin", "tiles", "elsewhere"):
        client.drop_database(name)
    client.close()


Make = Callable[[int], Schema]


@pytest.fixture(params=["dynamodb", "mongodb"])
def schema_of(request: pytest.FixtureRequest) -> Make:
    """Return a function that returns the schema of an empty store with a number of migrations."""
    if request.param == "dynamodb":
        client = request.getfixturevalue("dynamodb")
        return lambda count: TableSchema(client, "jobs", migrations=(ItemMigration("nothing", no_changes),) * count)
    mongo = request.getfixturevalue("mongo")
    return lambda count: MongoSchema(mongo, "schema_admin", migrations=(DocumentMigration("ids", ids_page),) * count)


def test_store_without_a_record_has_version_one(schema_of: Make) -> None:
    assert schema_of(0).state() == SchemaState(version=1)
    assert (schema_of(0).latest, schema_of(2).latest) == (1, 3)


def test_state_is_saved_if_the_earlier_one_is_recorded(schema_of: Make) -> None:
    schema, first = schema_of(2), SchemaState(version=1)
    running, second = SchemaState(version=1, cursor="7"), SchemaState(version=2)
    assert schema.save(first, running)
    assert schema.state() == running
    assert not schema.save(first, SchemaState(version=1, cursor="8"))
    assert schema.save(running, second)
    assert not schema.save(running, SchemaState(version=1, cursor="9"))
    assert schema.state() == second


def test_save_that_is_repeated_reports_success(schema_of: Make) -> None:
    schema, now = schema_of(1), SchemaState(version=2)
    assert schema.save(SchemaState(version=1), now)
    assert schema_of(1).state() == now


def test_migrate_of_an_empty_store_records_the_latest_version(schema_of: Make) -> None:
    schema = schema_of(2)
    assert [result.version for result in migrate(schema, write=True)] == [2, 3]
    assert schema.state() == SchemaState(version=3)
    assert migrate(schema, write=True) == ()


def test_dry_run_records_nothing(schema_of: Make) -> None:
    schema = schema_of(2)
    assert [result.version for result in migrate(schema, write=False)] == [2, 3]
    assert schema.state() == SchemaState(version=1)


def test_migrate_refuses_data_of_a_later_release(schema_of: Make) -> None:
    migrate(schema_of(3), write=True)
    with pytest.raises(SchemaTooNewError, match="has schema version 4; this release knows versions up to 2"):
        migrate(schema_of(1), write=True)
    assert schema_of(1).state() == SchemaState(version=4)


def test_second_migration_at_the_same_time_is_refused(schema_of: Make) -> None:
    schema = schema_of(1)

    def interfere(_: int) -> None:
        assert schema_of(1).save(SchemaState(version=1), SchemaState(version=2))

    with pytest.raises(MigrationConflictError, match=r"another migration of .* is running"):
        migrate(schema, write=True, report=interfere)


def test_stopped_migration_continues_at_its_page(mongo: MongoClient[dict[str, Any]]) -> None:
    mongo["schema_admin"]["notes"].insert_many([{"_id": number} for number in range(4)])
    schema = MongoSchema(mongo, "schema_admin", migrations=(DocumentMigration("ids", ids_page),))
    pages: list[int] = []

    def stop(read: int) -> None:
        pages.append(read)
        if len(pages) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(schema, write=True, report=stop)
    assert schema.state() == SchemaState(version=1, cursor="1")
    (result,) = migrate(schema, write=True)
    assert (result.read, result.changed) == (2, 1)  # the third page had been written, and not recorded
    assert mongo["schema_admin"]["notes"].count_documents({"is_new": True}) == 4


# -- recorded items and documents --------------------------------------------------------------------------------------


@pytest.fixture
def recorded_table(dynamodb: Any) -> Any:
    """A client whose table `jobs` holds items that the code of 207d46f wrote."""
    for item in json.loads((RECORDED / "table.json").read_text(encoding="utf-8")):
        dynamodb.put_item(TableName="jobs", Item=item)
    return dynamodb


def stored_items(client: Any) -> dict[str, Any]:
    items = client.scan(TableName="jobs")["Items"]
    return {f"{item['pk']['S']} {item['sk']['S']}": item for item in items if item["pk"]["S"] != "schema"}


def read_all(client: Any) -> dict[str, Any]:
    """Return all jobs with their events and chunks, and all syncs, by their keys."""
    jobs, events, syncs = JobTable(client, "jobs"), EventTable(client, "jobs"), SyncTable(client, "jobs")
    found: dict[str, Any] = {}
    for job in jobs.list(state=None, session=None, cursor=None, limit=100).jobs:
        found[job.source.key] = (job, events.list(job.id, after=None, limit=100).events, jobs.chunk_records(job))
    for sync in syncs.latest(live=True, limit=10):
        found[sync.id] = (sync, syncs.page(sync, 0), syncs.page(sync, 1))
    return found


def test_recorded_items_are_read_with_the_standard_words(recorded_table: Any) -> None:
    found = read_all(recorded_table)
    job, events, _ = found["failed.svs"]
    assert (job.state, job.error.code) == (State.FAILED, "retries_exhausted")
    assert [each.error and each.error.code for each in job.history] == [None, "plan_expired", "retries_exhausted"]
    assert [level.method for level in job.levels] == ["passthrough", "downsampled"]
    assert (job.request_id, job.cleanup_at, job.discarded, job.cleaned_attempt) == (
        "c7f4cf36-1d1c-4a5c-9c0e-2d1e6f3a9b10", 1700003600.5, (0, 1), 1,
    )  # fmt: skip
    assert [event.event for event in events] == ["submitted", "requeued", "transient_error", "failed", "cleaned_up"]
    assert (events[1].entrypoint, events[1].request_id) == ("retry_job", job.request_id)
    live, _, records = found["live.svs"]
    assert (live.last_transient_error.code, len(records)) == ("mongodb_unavailable", 1)
    (sync,) = [value[0] for key, value in found.items() if not key.endswith(".svs")]
    assert [(entry.outcome, entry.code) for entry in sync.highlights] == [
        ("added", None), ("failed", "invalid_object_key"),
    ]  # fmt: skip


def test_migration_rewrites_recorded_items_and_reads_the_same(recorded_table: Any) -> None:
    before, items = read_all(recorded_table), stored_items(recorded_table)
    (counted,) = migrate(TableSchema(recorded_table, "jobs"), write=False)
    assert stored_items(recorded_table) == items
    (result,) = migrate(TableSchema(recorded_table, "jobs"), write=True)
    assert result == Migrated(
        store="the jobs table", version=2, title="rename attributes, values and error codes", read=14, changed=10
    )
    assert (counted.read, counted.changed) == (14, 10)
    assert read_all(recorded_table) == before
    after = stored_items(recorded_table)
    assert after.keys() == items.keys()
    text = json.dumps(list(after.values()))
    assert [word for word in EARLIER if f'"{word}"' in text] == []


def test_migrated_items_are_not_changed_again(recorded_table: Any) -> None:
    schema = TableSchema(recorded_table, "jobs")
    migrate(schema, write=True)
    items = stored_items(recorded_table)
    assert schema.save(SchemaState(version=2), SchemaState(version=1))
    (result,) = migrate(schema, write=True)
    assert (result.changed, stored_items(recorded_table)) == (0, items)


def test_write_of_a_recorded_job_removes_the_earlier_names(recorded_table: Any) -> None:
    jobs = JobTable(recorded_table, "jobs")
    job = read_all(recorded_table)["live.svs"][0]
    assert jobs.move(job, replace(job, updated_at=job.updated_at + 1))
    item = stored_items(recorded_table)[f"job#{job.id} job"]
    assert not {"asked_by", "trouble"} & item.keys()
    assert jobs.get(job.id) == replace(job, updated_at=job.updated_at + 1)


def test_item_that_changes_meanwhile_keeps_the_newer_value(recorded_table: Any) -> None:
    jobs, job = JobTable(recorded_table, "jobs"), read_all(recorded_table)["live.svs"][0]
    update, moved = recorded_table.update_item, []

    def change_first(**request: Any) -> Any:
        if not moved and request["Key"]["pk"]["S"] == f"job#{job.id}":
            moved.append(True)
            jobs.move(job, replace(job, request_id="newer", updated_at=job.updated_at + 1))
        return update(**request)

    recorded_table.update_item = change_first
    migrate(TableSchema(recorded_table, "jobs"), write=True)
    stored = jobs.get(job.id)
    assert moved
    assert stored == replace(job, request_id="newer", updated_at=job.updated_at + 1)


def test_recorded_documents_are_read_and_need_no_migration(mongo: MongoClient[dict[str, Any]]) -> None:
    recorded = json_util.loads((RECORDED / "mongo.json").read_text(encoding="utf-8"))
    for part, database in (("admin", "schema_admin"), ("store", "tiles")):
        for name, documents in recorded[part].items():
            if documents:
                mongo[database][name].insert_many(documents)
    assert migrate(MongoSchema(mongo, "schema_admin"), write=True) == ()
    archive = MongoArchive(mongo, "schema_admin")
    (view,) = recorded["admin"]["views"]
    image = str(view["ViewerRecords"][0]["Image"])
    assert archive.image_of(str(view["_id"])) == (STORE, image)
    published = archive.image(STORE, image)
    assert published is not None
    assert published.facts.levels == 2
    assert archive.tile(STORE, image, "tq.jpg") == b"tq.jpg"
