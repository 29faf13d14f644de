"""The whole system as `make run` starts it, in a copy of the project with a state of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import psutil
import urllib3
from bson import ObjectId
from pymongo import MongoClient

from infra.local.barrier import matches
from infra.local.emulator import ensure_ministack
from tests.slides import Slide, write
from tests.timeouts import TIMEOUT_SECONDS, eventually

ROOT = Path(__file__).resolve().parents[2]
# Small chunks, so that a small slide already has several of them.
CHUNK_BYTES = 128 * 1024
ENDED = {"done", "failed", "cancelled", "superseded"}


@dataclass(frozen=True)
class Barrier:
    """A file that makes workers wait with the messages that it matches (infra.local.barrier)."""

    path: Path
    fields: dict[str, Any]

    @property
    def waiting(self) -> list[str]:
        """The messages that workers wait with. A worker that was killed does not wait."""
        files = [each for each in self.path.parent.glob("waiting/*") if psutil.pid_exists(int(each.name.split("-")[0]))]
        bodies: list[str] = []
        for file in files:
            with suppress(FileNotFoundError):
                bodies += file.read_text().splitlines()
        return [body for body in bodies if matches(self.fields, body)]

    def remove(self) -> None:
        """Let the workers go on, and return when none of them waits any more."""
        self.path.unlink(missing_ok=True)
        eventually(lambda: not self.waiting, what="the end of waiting")


@dataclass(frozen=True)
class LocalSystem:
    """A running system and what its users do with it. Slides go into `session`."""

    folder: Path
    launcher: subprocess.Popen[bytes]
    chosen_session: str | None = field(default=None)

    @property
    def session(self) -> str:
        return self.chosen_session or str(self.stack["session"])

    def with_session(self, label: str) -> "LocalSystem":
        """Return the same system with a new session of its first collection."""
        made = self.call("POST", f"/collections/{self.stack['collection']}/sessions", {"label": label})
        assert made.status == 201, made.data
        return replace(self, chosen_session=made.json()["id"])

    @contextmanager
    def barrier(self, **fields: Any) -> Iterator[Barrier]:
        """Hold the workers before messages with these fields, until the end of the block or until it is removed."""
        folder = self.folder / ".local" / "barriers"
        folder.mkdir(exist_ok=True)
        name = "-".join(f"{name}-{value}" for name, value in fields.items())
        unfinished, barrier = folder / f"{name}.unfinished", Barrier(folder / f"{name}.json", fields)
        unfinished.write_text(json.dumps(fields))
        unfinished.replace(barrier.path)
        try:
            yield barrier
        finally:
            barrier.remove()

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
        return urllib3.request(
            method, stack["api"] + path, body=data, headers=sent, timeout=TIMEOUT_SECONDS, redirect=False
        )

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
        make: Any = boto3.client  # its overloads require a literal name of the service
        return make(
            service,
            endpoint_url=stack["aws_endpoint"],
            region_name=stack["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def put(self, name: str, data: bytes) -> str:
        """Store a slide as the command line does; return its address."""
        stack = self.stack
        key = f"direct/{stack['collection']}/{self.session}/{name}"
        self.s3().put_object(Bucket=stack["bucket"], Key=key, Body=data)
        return f"s3://{stack['bucket']}/{key}"

    def request(self, source: str, **options: Any) -> dict[str, Any]:
        return {"source": source, "collection": self.stack["collection"], "session": self.session, **options}

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
            session = client[self.stack["admin_db"]].sessions.find_one({"_id": ObjectId(self.session)})
            assert session is not None
            return [str(view) for view in session["views"]]

    def collections(self) -> set[str]:
        """Return the names of all collections of the image store."""
        with self.mongo() as client:
            store = client[self.stack["admin_db"]].databases.find_one({"_id": ObjectId(self.stack["image_store"])})
            assert store is not None
            return set(client[store["dbname"]].list_collection_names())


@contextmanager
def started(
    folder: Path, *, workers: int = 2, variables: Mapping[str, str] | None = None, sample: bool = False
) -> Iterator[LocalSystem]:
    """Run the system from a copy of the project in `folder`, with `variables` beside the environment's own. It begins
    with a small slide, or with the `sample` that `make run` draws."""
    for name in ("app.py", "chalicelib", "infra", ".chalice"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    ensure_ministack(ROOT / ".local")
    (folder / ".local").mkdir()
    (folder / ".local" / "emulator-venv").symlink_to(ROOT / ".local" / "emulator-venv")
    (folder / "first.svs").write_bytes(write(Slide(width_px=300, height_px=200)))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLIDEHOOK", "AWS_", "COV"))
    }
    environment["SLIDEHOOK_CHUNK_BYTES"] = str(CHUNK_BYTES)
    environment |= variables or {}
    output = folder / "output.log"
    with output.open("wb") as log:
        launcher = subprocess.Popen(
            [
                *(sys.executable, "-m", "infra.local", "--workers", str(workers)),
                *(() if sample else ("--slide", "first.svs")),
            ],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def is_up() -> bool:
        text = output.read_text(errors="replace")
        assert launcher.poll() is None, f"the system ended at once:\n{text[-3000:]}"
        return "It stays up until Ctrl-C" in text

    ours = [launcher.pid]
    try:
        eventually(is_up, what="the start of the system")
        yield LocalSystem(folder, launcher)
        if launcher.poll() is None:
            ours += [child.pid for child in psutil.Process(launcher.pid).children(recursive=True)]
    finally:
        launcher.send_signal(signal.SIGTERM)
        try:
            launcher.wait(TIMEOUT_SECONDS)
        finally:
            left = [pid for pid in ours if psutil.pid_exists(pid)]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
    assert not left, f"processes were left behind: {left}"
    assert not (folder / ".local" / "stack.json").exists()
