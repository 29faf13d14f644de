"""The MongoDB server of the local system: how many files it may open, and how soon it closes them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from infra.deploy.package import ROOT
from infra.local import mongod
from infra.local.children import LOOPBACK, LocalError, free_port

TIMEOUT_SECONDS = 60


def eventually(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(256, 1024, 1024), (1024, 1024, 1024), (700, 700, 700)],
)
def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one(soft: int, hard: int, expected: int) -> None:
    code = (
        "import json, resource\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from infra.local.children import raise_open_files_limit\n"
        "print(json.dumps([raise_open_files_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [expected, expected, hard]


@pytest.mark.parametrize(
    ("open_files", "idle_seconds", "stay_open", "checkpoint_seconds"),
    [(64, 1, 50, 1), (1024, 1, 51, 3), (4096, 4, 204, 13), (20_000, 20, 1000, 60), (64_000, 60, 2000, 60)],
)
def test_mongod_closes_files_the_sooner_the_fewer_it_may_open(
    open_files: int, idle_seconds: int, stay_open: int, checkpoint_seconds: int, tmp_path: Path
) -> None:
    command = list(mongod.server(Path("mongod"), 1, tmp_path, {}, open_files=open_files).command)
    parameters = {command[at + 1] for at, part in enumerate(command) if part == "--setParameter"}
    assert parameters == {
        f"wiredTigerFileHandleCloseIdleTime={idle_seconds}",
        "wiredTigerFileHandleCloseScanInterval=1",
        f"wiredTigerFileHandleCloseMinimum={stay_open}",
    }
    assert command[command.index("--syncdelay") + 1] == str(checkpoint_seconds)


def test_mongod_is_started_under_the_raised_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in place of mongod says what it is started with."""
    program = tmp_path / "mongod"
    program.write_text('#!/bin/sh\necho "limit $(ulimit -Sn) options $*"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    code = (
        "import os, resource\n"
        "from pathlib import Path\n"
        "from infra.local import children, mongod\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))\n"
        "try:\n"
        f"    mongod.start(Path({str(tmp_path)!r}), dict(os.environ), [])\n"
        "except children.LocalError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "limit 1024 options" in done.stdout
    assert "--setParameter wiredTigerFileHandleCloseMinimum=51 --syncdelay 3" in done.stdout


@pytest.fixture
def client(tmp_path: Path) -> Iterator[MongoClient[dict[str, Any]]]:
    """A server as `make run` starts it where few files may be open."""
    try:
        binary = mongod.find_mongod()
    except LocalError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    (tmp_path / "mongo").mkdir()
    port = free_port()
    child = mongod.server(binary, port, tmp_path, dict(os.environ), open_files=300)
    child.start()
    try:
        child.wait_until(lambda: mongod.answers(f"mongodb://{LOOPBACK}:{port}/", 200))
        with MongoClient[dict[str, Any]](LOOPBACK, port) as found:
            yield found
    finally:
        child.stop()


def test_mongod_closes_the_files_of_slides_that_nobody_reads(client: MongoClient[dict[str, Any]]) -> None:
    def open_files() -> int:
        status = client.admin.command("serverStatus")
        return int(status["wiredTiger"]["connection"]["files currently open"])

    for number in range(60):
        tiles = client["slides"][f"{number:024x}"]
        tiles.create_index("name", unique=True)
        tiles.insert_one({"name": "t.jpg"})
    # Three files a slide; WiredTiger leaves the last 50 open.
    eventually(lambda: open_files() < 60)
    assert {tiles["name"] for number in range(60) for tiles in client["slides"][f"{number:024x}"].find()} == {"t.jpg"}
