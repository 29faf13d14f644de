"""The real counterparts: AWS by moto in this process, MongoDB by a real server."""

import functools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from infra.deploy import template
from infra.local import mongod
from infra.local.children import LOOPBACK, Child, LocalError, free_port
from tests.timeouts import TIMEOUT_SECONDS

TABLE_KEYS = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


@pytest.fixture
def aws(boto3_session: Any) -> Iterator[Callable[[str], Any]]:
    """Makes clients of an AWS of this test's own."""
    quick = Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=32)
    with mock_aws():
        yield lambda service: _strict(boto3_session.client(service, config=quick))


@pytest.fixture
def dynamodb(aws: Callable[[str], Any]) -> Any:
    """A client, with the table `jobs` as infra/deploy/resources.yaml defines it."""
    client = aws("dynamodb")
    create_jobs_table(client, "jobs")
    _one_request_at_a_time(client)
    return client


# What a query bounds its items by, beside the value that they share.
BOUNDS = re.compile(r" AND \S+ (<|<=|>|>=|BETWEEN) (:\w+)(?: AND (:\w+))?$")


def _strict(client: Any) -> Any:
    """Refuse what moto takes and DynamoDB does not: a query that begins outside of its own bounds."""
    client.meta.events.register("provide-client-params.dynamodb.Query", _refuse_a_start_out_of_bounds)
    return client


def _refuse_a_start_out_of_bounds(params: dict[str, Any], **_: Any) -> None:
    bounds, start = BOUNDS.search(params["KeyConditionExpression"]), params.get("ExclusiveStartKey")
    if bounds is None or start is None:
        return
    name = bounds[0].split()[1]
    at = _plain(start[params.get("ExpressionAttributeNames", {}).get(name, name)])
    first, *last = [_plain(params["ExpressionAttributeValues"][each]) for each in bounds.groups()[1:] if each]
    comparison = {"<": at < first, "<=": at <= first, ">": at > first, ">=": at >= first}
    if not (first <= at <= last[0] if last else comparison[bounds[1]]):
        message = "The provided starting key does not match the range key predicate"
        raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "Query")


def _plain(value: dict[str, str]) -> Any:
    return float(value["N"]) if "N" in value else value["S"]


def create_jobs_table(client: Any, name: str) -> None:
    properties = template.load().resources["JobsTable"]["Properties"]
    client.create_table(TableName=name, **{key: properties[key] for key in TABLE_KEYS})


def _one_request_at_a_time(client: Any) -> None:
    """Make each request indivisible, as a table does for each item. moto answers on the caller's thread, without a
    lock of its own. What an adapter does in two requests can still be interrupted in between."""
    lock = Lock()
    client.meta.events.register("request-created.dynamodb", lambda **_: lock.acquire())
    client.meta.events.register("response-received.dynamodb", lambda **_: lock.release())


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The user's MongoDB if MONGO_URI is set, else a server of this test session's own on loopback."""
    given = os.environ.get("MONGO_URI")
    if given:
        yield given
        return
    try:
        binary = mongod.find_mongod()
    except LocalError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    files = tmp_path_factory.mktemp("mongod")
    server, uri = _started(binary, files)
    try:
        yield uri
    finally:
        server.stop()
        shutil.rmtree(files)  # 300 MB, which pytest would keep


def _started(binary: Path, files: Path) -> tuple[Child, str]:
    """Start a server on a port that is free. Another process may take the port first: then on another one."""
    while True:
        port = free_port()
        server, uri = _server(binary, files, port), f"mongodb://{LOOPBACK}:{port}/"
        server.start()
        try:
            server.wait_until(functools.partial(mongod.answers, uri, 200), within_seconds=TIMEOUT_SECONDS)
        except LocalError:
            server.stop()
            if "Address already in use" not in server.tail(50):
                raise
        else:
            return server, uri


def _server(binary: Path, files: Path, port: int) -> Child:
    command = [
        str(binary),
        *("--dbpath", str(files)),
        *("--port", str(port)),
        *("--bind_ip", LOOPBACK),
        "--nounixsocket",
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--networkMessageCompressors", "disabled"),
        *("--setParameter", "enableTestCommands=1"),  # lets a test break a command off
    ]
    return Child(name="mongod", command=command, log_path=files / "log" / "mongod.log", environment={}, directory=files)


@pytest.fixture
def at_once() -> Callable[..., list[Any]]:
    """Runs functions on a thread each, and returns what they return."""

    def run(functions: list[Callable[[], Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(functions)) as pool:
            return [future.result() for future in [pool.submit(function) for function in functions]]

    return run
