"""The running local system, in a copy of the project with a state of its own, and what its workers use."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil
from boto3.s3.transfer import TransferConfig
from bson import ObjectId
from pymongo import MongoClient

from infra.emulator import ensure_ministack

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS, JOB_SECONDS = 120, 900
ENDED = {"done", "failed", "cancelled", "superseded"}
CLEAR_PEAK = "5"  # of /proc/<pid>/clear_refs: the peak of the resident set starts anew (proc(5))


@dataclass(frozen=True, slots=True)
class System:
    folder: Path

    @property
    def stack(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / ".local/stack.json").read_text(encoding="utf-8"))
        return found

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        stack = self.stack
        request = urllib.request.Request(
            stack["api"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {stack['token']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def put(self, slide: Path) -> str:
        """Bring a slide into the local S3; return its address."""
        stack = self.stack
        client = boto3.client(
            "s3",
            endpoint_url=stack["aws_endpoint"],
            region_name=stack["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        key = f"direct/{stack['collection']}/{stack['session']}/{slide.name}"
        client.upload_file(
            str(slide), stack["bucket"], key, Config=TransferConfig(multipart_chunksize=64 << 20, max_concurrency=2)
        )
        return f"s3://{stack['bucket']}/{key}"

    def publish(self, source: str, **options: Any) -> tuple[dict[str, float], dict[str, Any]]:
        """Publish a slide into an image of its own, so that it is a job of its own; return figures and status."""
        stack = self.stack
        workers = [psutil.Process(pid) for pid in stack["pids"]["workers"]]
        for worker in workers:
            Path(f"/proc/{worker.pid}/clear_refs").write_text(CLEAR_PEAK)
        before = sum(_cpu(worker) for worker in workers)
        request = {
            "source": source, "collection": stack["collection"], "session": stack["session"],
            "mongo_collection": str(ObjectId()), **options,
        }  # fmt: skip
        job = self.call("POST", "/hooks/upload", request)
        deadline = time.monotonic() + JOB_SECONDS
        while job["state"] not in ENDED:
            # Seldom: looking costs the service's cores.
            time.sleep(0.25)
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job['id']} is still {job['state']}")
            job = self.call("GET", f"/jobs/{job['id']}")
        if job["state"] != "done":
            raise RuntimeError(f"the job ended {job['state']}: {job['error']}")
        # The service's own instants: from the call it took to the state that readers see.
        wall = _seconds(job["ended_at"]) - _seconds(job["submitted_at"])
        cpu = sum(_cpu(worker) for worker in workers) - before
        tiles = job["tiles"]["total"]
        figures = {
            "wall_s": wall,
            "cpu_s": cpu,
            "peak_rss_mib": max(_peak_mib(worker.pid) for worker in workers),
            "tiles": float(tiles),
            "tiles_per_s": tiles / wall,
            "tiles_per_cpu_s": tiles / cpu,
        }
        return figures, job

    def drop(self, job: dict[str, Any]) -> None:
        """Drop the tiles of a published job."""
        with MongoClient[Any](self.stack["mongo_uri"]) as client:
            client[job["result"]["database"]].drop_collection(job["result"]["image"])


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _seconds(instant: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(instant).timestamp()


@contextmanager
def running(folder: Path) -> Iterator[System]:
    """Start the system in a copy of the project in `folder`; stop it at the end."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name in ("app.py", "chalicelib", "infra", ".chalice"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    ensure_ministack(ROOT / ".local")
    (folder / ".local").mkdir()
    (folder / ".local/emulator-venv").symlink_to(ROOT / ".local/emulator-venv")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLIDEHOOK", "AWS_"))}
    output = (folder / "output.log").open("wb")
    launcher = subprocess.Popen(
        [sys.executable, "-m", "infra.local"],
        cwd=folder,
        env={name: value for name, value in environment.items() if name != "MAKELEVEL"},
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "It stays up until Ctrl-C" not in (text := (folder / "output.log").read_text(errors="replace")):
            if launcher.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the system did not start:\n{text[-3000:]}")
            time.sleep(0.1)
        yield System(folder)
    finally:
        launcher.send_signal(signal.SIGTERM)
        launcher.wait(60)
        output.close()
