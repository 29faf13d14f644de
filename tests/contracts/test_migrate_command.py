"""`slidehook migrate` against a table and a MongoDB of this machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from pymongo import MongoClient

from chalicelib.cli import slidehook
from tests.contracts.conftest import create_jobs_table

RECORDED = Path(__file__).parent / "recorded" / "207d46f" / "table.json"
CHANGED = "the jobs table: changed 10 of 14 records to schema version 2: rename attributes, values and error codes\n"
DONE = "the jobs table: schema version 2, nothing to do\nMongoDB: schema version 1, nothing to do\n"


@pytest.fixture
def table(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of DynamoDB with recorded items, and the environment of the service."""
    names = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_QUEUE", "CHUNKS_QUEUE")
    environment = {f"SLIDEHOOK_{name}": name.lower() for name in names} | {
        "SLIDEHOOK_JOBS_TABLE": "jobs",
        "SLIDEHOOK_MONGO_URI": mongo_uri,
        "SLIDEHOOK_ADMIN_DB": "migrate_admin",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        create_jobs_table(client, "jobs")
        for item in json.loads(RECORDED.read_text(encoding="utf-8")):
            client.put_item(TableName="jobs", Item=item)
        yield client
    mongo = MongoClient[dict[str, Any]](mongo_uri)
    mongo.drop_database("migrate_admin")
    mongo.close()


def test_migrate_changes_items_once(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert slidehook.main(["migrate"]) == 0
    assert capsys.readouterr() == (CHANGED + "MongoDB: schema version 1, nothing to do\n", "")
    assert slidehook.main(["migrate"]) == 0
    assert capsys.readouterr() == (DONE, "")


def test_dry_run_says_what_would_change_and_changes_nothing(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = table.scan(TableName="jobs")["Items"]
    assert slidehook.main(["migrate", "--dry-run"]) == 0
    assert "would change 10 of 14 records" in capsys.readouterr().out
    assert table.scan(TableName="jobs")["Items"] == before


def test_migrate_refuses_data_of_a_later_release(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    key = {"pk": {"S": "schema"}, "sk": {"S": "schema"}}
    table.put_item(TableName="jobs", Item={**key, "version": {"N": "9"}})
    assert slidehook.main(["migrate"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        "slidehook migrate: the jobs table has schema version 9; this release knows versions up to 2."
    )
    assert err.endswith("(schema_too_new)\n")


def test_migrate_without_settings_names_the_missing_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLIDEHOOK_INCOMING_BUCKET", raising=False)
    assert slidehook.main(["migrate"]) == 1
    assert "SLIDEHOOK_INCOMING_BUCKET is not set" in capsys.readouterr().err
