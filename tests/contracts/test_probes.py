"""What /ready asks of AWS and MongoDB: the parts that are there answer, the others raise or say why they are unknown."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from chalicelib.adapters import probes
from chalicelib.core.web.readiness import Condition, Finding
from infra.local.children import LOOPBACK, free_port


def test_a_table_that_is_there_answers_and_another_does_not(dynamodb: Any) -> None:
    probes.table(dynamodb, "jobs")()
    with pytest.raises(ClientError):
        probes.table(dynamodb, "nothing")()


def test_a_queue_that_is_there_answers_and_another_does_not(aws: Callable[[str], Any]) -> None:
    client = aws("sqs")
    url = client.create_queue(QueueName="jobs")["QueueUrl"]
    probes.queue(client, url)()
    with pytest.raises(ClientError):
        probes.queue(client, f"{url}-nothing")()


def test_a_bucket_that_is_there_answers_and_another_does_not(aws: Callable[[str], Any]) -> None:
    client = aws("s3")
    client.create_bucket(Bucket="work")
    probes.bucket(client, "work")()
    with pytest.raises(ClientError):
        probes.bucket(client, "nothing")()


@pytest.fixture
def mongo(mongo_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_uri, serverSelectionTimeoutMS=5000) as client:
        yield client


class Server:
    """Answers serverStatus with this, or fails with it, where a client stands."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.admin, self._answer = self, answer

    def command(self, command: dict[str, Any]) -> dict[str, Any]:
        assert next(iter(command)) == "serverStatus"
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_open_files_within_the_limit_are_ok(mongo: MongoClient[dict[str, Any]]) -> None:
    assert probes.open_files(mongo, 1_000_000)() == Finding(condition=Condition.OK)


def test_open_files_near_the_limit_degrade_and_the_log_has_both(
    mongo: MongoClient[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = probes.open_files(mongo, 2)()
    assert found.condition is Condition.DEGRADED
    assert caplog.messages[0].startswith("MongoDB has ")
    assert caplog.messages[0].endswith(" files open; its limit is 2")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            OperationFailure("not authorized on admin to execute command", 13),
            "the user of SLIDEHOOK_MONGO_URI has no right to run serverStatus (role clusterMonitor)",
        ),
        (OperationFailure("no such command", 59), "serverStatus failed"),
        ({"ok": 1.0, "process": "mongos"}, "serverStatus does not report it on this kind of server"),
    ],
    ids=["unauthorized", "another error", "a router"],
)
def test_open_files_that_a_server_does_not_tell_are_unknown(answer: dict[str, Any] | Exception, reason: str) -> None:
    found = probes.open_files(Server(answer), 1024)()  # type: ignore[arg-type]
    assert found == Finding(
        condition=Condition.UNKNOWN, detail=f"The number of files that MongoDB has open is unknown: {reason}."
    )


def test_a_server_that_does_not_answer_is_unknown_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SERVER_STATUS_SECONDS", 0.05)
    with MongoClient[dict[str, Any]](LOOPBACK, free_port()) as client:
        found = probes.open_files(client, 1024)()
    assert (found.condition, "did not respond" in found.detail) == (Condition.UNKNOWN, True)
