"""The whole system as `make run` starts it, in a copy of the project with a state of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import urllib3
from bson import ObjectId
from pymongo import MongoClient

from infra.emulator import ensure_ministack

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
JOB_SECONDS = 120
ENDED = {"done", "failed", "cancelled", "superseded"}


def eventually(look: Callable[[], Any], *, seconds: float = JOB_SECONDS, what: str = "it") -> Any:
    """Return the first true value that `look` gives. Fails when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    pytest.fail(f"{what} did not happen within {seconds:.0f} s")


@dataclass
class LocalSystem:
    """A running system and what its users do with it."""

    folder: Path
    launcher: subprocess.Popen[bytes]

    @property
    def stack(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / ".local" / "stack.json").read_text(encoding="utf-8"))
        return found

    @property
    def log(self) -> str:
        return "\n".join(
            path.read_text(errors="replace")[-3000:] for path in (self.folder / ".local/log").glob("*.log")
        )

    def call(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        stack = self.stack
        sent = {"Authorization": f"Bearer {stack['token']}", "Content-Type": "application/json"} | (headers or {})
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        return urllib3.request(method, stack["api"] + path, body=data, headers=sent, timeout=30, redirect=False)

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/jobs/{job_id}").json()
        return found

    def ended(self, job_id: str) -> dict[str, Any]:
        """Return the job's status when it has ended."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in ENDED else None

        found: dict[str, Any] = eventually(look, what=f"the end of job {job_id}")
        return found

    def s3(self) -> Any:
        return self._client("s3")

    def _client(self, service: str) -> Any:
        stack = self.stack
        return boto3.client(
            service,
            endpoint_url=stack["aws_endpoint"],
            region_name=stack["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def put(self, name: str, data: bytes) -> str:
        """Store a slide as the command line does; return its address."""
        stack = self.stack
        key = f"direct/{stack['collection']}/{stack['session']}/{name}"
        self.s3().put_object(Bucket=stack["bucket"], Key=key, Body=data)
        return f"s3://{stack['bucket']}/{key}"

    def request(self, source: str, **options: Any) -> dict[str, Any]:
        stack = self.stack
        return {"source": source, "collection": stack["collection"], "session": stack["session"], **options}

    def submit(self, source: str, **options: Any) -> dict[str, Any]:
        answer = self.call("POST", "/hooks/upload", self.request(source, **options))
        assert answer.status == 202, answer.data
        found: dict[str, Any] = answer.json()
        return found

    def mongo(self) -> "MongoClient[dict[str, Any]]":
        return MongoClient(self.stack["mongo_uri"])

    def tiles(self, job: dict[str, Any]) -> dict[str, bytes]:
        """Return every stored tile of a done job by its name."""
        with self.mongo() as client:
            found = client[job["result"]["database"]][job["result"]["image"]].find()
            return {tile["name"]: bytes(tile["file"]) for tile in found}

    def session_views(self) -> list[str]:
        with self.mongo() as client:
            session = client[self.stack["admin_db"]].sessions.find_one({"_id": ObjectId(self.stack["session"])})
            assert session is not None
            return [str(view) for view in session["views"]]

    def collections(self) -> set[str]:
        """Return the names of all collections of the image store."""
        with self.mongo() as client:
            store = client[self.stack["admin_db"]].databases.find_one({"_id": ObjectId(self.stack["image_store"])})
            assert store is not None
            return set(client[store["dbname"]].list_collection_names())


@contextmanager
def started(folder: Path, *, workers: int = 2, variables: Mapping[str, str] | None = None) -> Iterator[LocalSystem]:
    """Run the system from a copy of the project in `folder`, with `variables` beside the environment's own."""
    for name in ("app.py", "chalicelib", "infra", ".chalice"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    ensure_ministack(ROOT / ".local")
    (folder / ".local").mkdir()
    (folder / ".local" / "emulator-venv").symlink_to(ROOT / ".local" / "emulator-venv")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLIDEHOOK", "AWS_", "COV"))
    }
    # Small chunks, so that small slides already take many of them.
    environment["SLIDEHOOK_CHUNK_BYTES"] = str(512 * 1024)
    environment |= variables or {}
    output = (folder / "output.log").open("wb")
    launcher = subprocess.Popen(
        [sys.executable, "-m", "infra.local", "--workers", str(workers)],
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    running = LocalSystem(folder, launcher)
    ours = [launcher.pid]
    try:
        deadline = time.monotonic() + START_SECONDS
        # It publishes its sample first: what the tests find from then on is their own doing.
        while "It stays up until Ctrl-C" not in (text := (folder / "output.log").read_text(errors="replace")):
            assert launcher.poll() is None, f"the system ended at once:\n{text[-3000:]}"
            assert time.monotonic() < deadline, f"the system did not start:\n{text[-3000:]}"
            time.sleep(0.1)
        yield running
        if launcher.poll() is None:
            ours += [child.pid for child in psutil.Process(launcher.pid).children(recursive=True)]
    finally:
        launcher.send_signal(signal.SIGTERM)
        try:
            launcher.wait(30)
        finally:
            left = [pid for pid in ours if psutil.pid_exists(pid)]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            output.close()
    assert not left, f"processes were left behind: {left}"
    assert not (folder / ".local" / "stack.json").exists()
