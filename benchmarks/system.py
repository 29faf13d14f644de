"""The running local system, in a copy of the project with a state of its own, and what its workers use."""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psutil
from boto3.s3.transfer import TransferConfig
from pymongo import MongoClient

from infra.local.children import Child
from infra.local.client import ENDED, Stack
from infra.local.emulator import ensure_ministack

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS, JOB_SECONDS, QUIET_SECONDS = 120, 900, 60
# Servers of the user's own are left alone: collections are dropped here, and memory and CPU are those of our processes.
NOT_HANDED_ON = ("SLIDEHOOK_", "AWS_", "LOCALSTACK_", "MONGO_URI", "MAKELEVEL")
CLEAR_PEAK = "5"  # of /proc/<pid>/clear_refs: resets the peak of the resident set (proc(5))


@dataclass(frozen=True)
class System:
    folder: Path

    @cached_property
    def stack(self) -> Stack:
        return Stack.from_json(self.document())

    def document(self) -> dict[str, Any]:
        """Return stack.json as it is now: a worker that died has another process id after that."""
        found: dict[str, Any] = json.loads((self.folder / ".local/stack.json").read_text(encoding="utf-8"))
        return found

    def put(self, slide: Path) -> str:
        """Bring a slide into the local S3; return its address."""
        document = self.document()
        client = boto3.client(
            "s3",
            endpoint_url=document["aws_endpoint"],
            region_name=document["region"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        key = f"direct/{self.stack.collection}/{self.stack.session}/{slide.name}"
        parts = TransferConfig(multipart_chunksize=64 << 20, max_concurrency=2)
        client.upload_file(str(slide), self.stack.bucket, key, Config=parts)
        self.quiet()
        return f"s3://{self.stack.bucket}/{key}"

    def quiet(self) -> None:
        """Wait until the emulator has done with what it was sent: it goes on for seconds after its answer."""
        for _ in range(QUIET_SECONDS):
            before = self._services_cpu()["emulator"]
            time.sleep(1)
            if self._services_cpu()["emulator"] - before < 0.05:
                return

    def publish(self, source: str, **options: Any) -> tuple[dict[str, float], dict[str, Any]]:
        """Publish a slide, by force, so that all is done again; return figures and status. Raises RuntimeError."""
        workers = [psutil.Process(pid) for pid in self.document()["pids"]["workers"]]
        os.sync()  # what was written before is no part of this run
        for worker in workers:
            Path(f"/proc/{worker.pid}/clear_refs").write_text(CLEAR_PEAK)
        before, before_services = sum(_cpu(worker) for worker in workers), self._services_cpu()
        begun_at = time.time()
        job = self._ended(self._submitted(source, options))
        # One machine, one clock: from just before the call to the instant of `done`, free of how often one looks.
        wall = datetime.fromisoformat(job["ended_at"]).timestamp() - begun_at
        try:
            cpu = sum(_cpu(worker) for worker in workers) - before
            services = {f"{name}_cpu_s": used - before_services[name] for name, used in self._services_cpu().items()}
            peak = max(_peak_mib(worker.pid) for worker in workers)
        except (psutil.Error, OSError) as error:
            raise RuntimeError(f"a worker died while it was measured: {error}") from error
        tiles = job["tiles"]["total"]
        figures = {
            "wall_s": wall,
            "cpu_s": cpu,
            **services,
            "peak_rss_mib": peak,
            "tiles": float(tiles),
            "tiles_per_s": tiles / wall,
            "tiles_per_cpu_s": tiles / cpu,
        }
        return figures, job

    def _services_cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far of what shares the cores with the workers."""
        pids = self.document()["pids"]
        return {name: _cpu(psutil.Process(pids[name])) for name in ("mongod", "emulator", "api")}

    def _submitted(self, source: str, options: dict[str, Any]) -> dict[str, Any]:
        request = {"source": source, "collection": self.stack.collection, "session": self.stack.session}
        return self.stack.call("POST", "/hooks/upload", request | {"force": True} | options)

    def _ended(self, job: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + JOB_SECONDS
        while job["state"] not in ENDED:
            # Seldom: looking costs the service's cores.
            time.sleep(0.25)
            if time.monotonic() > deadline:
                raise RuntimeError(f"job {job['id']} is still {job['state']} after {JOB_SECONDS} s")
            job = self.stack.call("GET", f"/jobs/{job['id']}")
        if job["state"] != "done":
            raise RuntimeError(f"the job ended {job['state']}: {job['error']}")
        return job

    def storage(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return the options that the service created the collection of a job's tiles with."""
        with MongoClient[Any](self.stack.mongo_uri) as client:
            return dict(client[job["result"]["database"]][job["result"]["image"]].options())

    def drop(self, job: dict[str, Any]) -> None:
        """Drop the tiles of a published job."""
        with MongoClient[Any](self.stack.mongo_uri) as client:
            client[job["result"]["database"]].drop_collection(job["result"]["image"])


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


@contextmanager
def running(folder: Path, first: Path) -> Iterator[System]:
    """Start the system in a copy of the project in `folder`, with `first` as the slide that it publishes at its start;
    stop it and remove all that it kept at the end. Raises LocalError."""
    _copy_project(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_HANDED_ON)}
    launcher = Child(
        name="the system",
        command=[sys.executable, "-m", "infra.local", "--slide", str(first)],
        log_path=folder / "output.log",
        environment=environment,
        directory=folder,
        on_launcher_death=signal.SIGTERM,
    )
    try:
        launcher.start()
        launcher.wait_until(lambda: "It stays up until Ctrl-C" in launcher.tail(20), within_seconds=START_SECONDS)
        yield System(folder)
    finally:
        launcher.stop(within_seconds=60)
        shutil.rmtree(folder, ignore_errors=True)


def _copy_project(folder: Path) -> None:
    """A state of its own, so that nothing that `make run` keeps or runs takes part."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name in ("chalicelib", "infra", ".chalice"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", folder / "app.py")
    ensure_ministack(ROOT / ".local")
    (folder / ".local").mkdir()
    (folder / ".local/emulator-venv").symlink_to(ROOT / ".local/emulator-venv")
