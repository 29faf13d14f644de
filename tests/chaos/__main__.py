"""make chaos KILLS=50 [SEED=0]: kill -9 of workers and of MongoDB while 20 slides are ingested.

A slide is submitted twice, one job is cancelled, one slide is overwritten, two slides are broken. In the end every job
has to be done with every tile exact, or to have ended with the reason that was meant for it; and once the sweeper has
been there, nothing may be stored that readers do not see. Prints its figures last, and ends with 1 if that does not hold.
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from tqdm import tqdm

from chalicelib.cli.progress import progress_bar
from chalicelib.config import Settings
from chalicelib.core.geometry import tile_address
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.entrypoints import consumers
from chalicelib.services import Services
from chalicelib.steps.cleanup import KEEP_SECONDS
from infra.local import mongod
from infra.local.children import Child
from tests.e2e.noise import noise_slide, scan, stored_tiles
from tests.e2e.system import ENDED, LocalSystem, started

SLIDES = 20
WORKERS = 3
# One kill in so many is MongoDB's.
MONGOD_IN = 4
LONGEST_SECONDS = 900.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--kills", type=int, default=50, help="how many processes are killed")
    parser.add_argument("--seed", type=int, default=0, help="which processes, and when")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slidehook-chaos-") as name, database(Path(name)) as server:
        folder = Path(name) / "project"
        folder.mkdir()
        uri = f"mongodb://127.0.0.1:{server.command[server.command.index('--port') + 1]}/"
        with started(folder, workers=WORKERS, variables={"MONGO_URI": uri}) as system:
            return Chaos(system, server, uri, random.Random(options.seed)).run(options.kills)


@contextmanager
def database(folder: Path) -> Iterator[Child]:
    """A MongoDB server that keeps its files and its port when it is started again."""
    servers: list[Child] = []
    mongod.start(folder, os.environ, servers)
    try:
        yield servers[0]
    finally:
        servers[0].stop()


class Chaos:
    def __init__(self, system: LocalSystem, server: Child, uri: str, jitter: random.Random) -> None:
        self.system, self.server, self.uri, self.jitter = system, server, uri, jitter
        self.slides = {f"slide-{number:02d}.tif": self._slide(number) for number in range(SLIDES)}
        self.jobs: dict[str, str] = {}
        self.cancelled = ""
        self.killed: Counter[str] = Counter()
        self.faults: list[str] = []

    @staticmethod
    def _slide(number: int) -> bytes:
        data = noise_slide(16 + number, 16, seed=number, levels=1 + number % 3)
        return data[: len(data) // 2] if number in BROKEN else data

    def run(self, kills: int) -> int:
        begun = time.monotonic()
        waiting = list(self.slides)
        print(f"{kills} kills while {len(waiting)} slides are ingested", flush=True)
        for number in progress_bar(range(kills), total=kills, unit="kill"):
            # A few slides each time, so that there is always something to do.
            while waiting and len(self.jobs) <= number * SLIDES // kills:
                name = waiting.pop(0)
                self.jobs[name] = self._submit(name)["id"]
            if number == kills // 2:
                self._throw_in()
            time.sleep(self.jitter.uniform(0.2, 0.9))
            self._kill()
        self._revive_database()
        for name in waiting:
            self.jobs[name] = self._submit(name)["id"]
        states = self._wait(set(self.jobs.values()))
        self._hold_to_account(states)
        orphans = self._orphans()
        figures = Counter(job["state"] for job in states.values())
        print("\n".join(self.faults))
        print(
            f"{sum(self.killed.values())} kills ({self.killed['worker']} of workers, {self.killed['mongod']} of mongod) "
            f"in {time.monotonic() - begun:.0f} s: "
            f"{', '.join(f'{count} {state}' for state, count in sorted(figures.items()))}; "
            f"{len(self.faults)} lost, {orphans} orphans"
        )
        return 1 if self.faults or orphans else 0

    # -- what happens ------------------------------------------------------------------------------------------------------

    def _submit(self, name: str, **options: Any) -> dict[str, Any]:
        source = self.system.put(name, self.slides[name])

        def call() -> dict[str, Any] | None:
            answer = self.system.call("POST", "/hooks/upload", self.system.request(source, **options))
            if answer.status == 503:
                return None
            if answer.status != 202:
                raise SystemExit(f"{name} was refused: {answer.status} {answer.data!r}")
            found: dict[str, Any] = answer.json()
            return found

        return self._patiently(call)

    def _patiently(self, call: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if (found := call()) is not None:
                return found
            if not self.server.alive:
                self.server.start()
            time.sleep(0.5)
        raise SystemExit("the service asked for patience for two minutes")

    def _throw_in(self) -> None:
        """Submit the last slide again, cancel another one, overwrite a third, and do a fourth again."""
        *_, fourth, third, second, last = self.jobs
        self._submit(last)
        answer = self.system.call("POST", f"/jobs/{self.jobs[second]}/cancel")
        if answer.status == 200:
            self.cancelled = self.jobs[second]
        tqdm.write(f"cancelling {second}: {answer.status} {answer.json().get('code', '')}")
        self.slides[third] = noise_slide(12, 11, seed=500)
        self.jobs[third] = self._submit(third)["id"]
        self._submit(fourth, force=True)

    def _kill(self) -> None:
        if self.jitter.randrange(MONGOD_IN) == 0 or not self.server.alive:
            if self.server.alive and self.server.process is not None:
                self.server.process.kill()
                self.server.process.wait()
                self.killed["mongod"] += 1
            time.sleep(self.jitter.uniform(0.0, 2.0))
            self._revive_database()
            return
        while True:  # who died a moment ago is started again a moment later
            try:
                os.kill(self.jitter.choice(self.system.stack["pids"]["workers"]), signal.SIGKILL)
            except ProcessLookupError:
                time.sleep(0.05)
            else:
                self.killed["worker"] += 1
                return

    def _revive_database(self) -> None:
        if not self.server.alive:
            self.server.start()
        self.server.wait_until(lambda: mongod.answers(self.uri, 500), within_seconds=60)

    # -- what must hold ----------------------------------------------------------------------------------------------------

    def _wait(self, ids: set[str]) -> dict[str, dict[str, Any]]:
        deadline = time.monotonic() + LONGEST_SECONDS
        print(f"waiting for {len(ids)} jobs to end", flush=True)
        states: dict[str, dict[str, Any]] = {}
        with progress_bar(label="waiting for the last", total=len(ids), unit="job") as bar:
            while len(states) < len(ids) and time.monotonic() < deadline:
                for job_id in sorted(ids - set(states)):
                    job = self.system.job(job_id)
                    if job["state"] in ENDED:
                        states[job_id] = job
                        bar.update()
                time.sleep(0.5)
        for job_id in sorted(ids - set(states)):
            self.faults.append(f"job {job_id} has not ended: {self.system.job(job_id)['state']}")
        return states

    def _hold_to_account(self, states: dict[str, dict[str, Any]]) -> None:
        for name, job_id in self.jobs.items():
            job = states.get(job_id)
            if job is None:
                continue
            code = (job["error"] or {}).get("code")
            if name in BROKEN_NAMES:
                if (job["state"], code) != ("failed", "truncated"):
                    self.faults.append(f"{name} is broken and ended {job['state']}: {code}")
            elif job["state"] == "cancelled":
                if job_id != self.cancelled:
                    self.faults.append(f"{name} was cancelled by nobody")
            elif job["state"] != "done":
                self.faults.append(f"{name} ended {job['state']}: {job['error']}")
            elif not self._is_exact(job, self.slides[name]):
                self.faults.append(f"{name} is done, and its tiles are not those of the file")

    def _is_exact(self, job: dict[str, Any], slide: bytes) -> bool:
        tiles = self.system.tiles(job)
        placed = {tile_address(name, levels=len(job["levels"])): scan(jpeg) for name, jpeg in tiles.items()}
        expected = stored_tiles(slide)
        planned = sum(level["tiles"] for level in job["levels"])
        return {place: placed.get(place) for place in expected} == expected and len(tiles) == planned

    def _orphans(self) -> int:
        """Let the sweeper come as it does over the next days, and count the collections that no view shows."""
        later = Later(self._settings())
        for seconds in (KEEP_SECONDS, LATE_SECONDS, LATE_SECONDS, LATE_SECONDS):
            later.ahead_seconds += seconds + 60.0
            for _ in range(3):
                consumers.on_minute(later)
        stack = self.system.stack
        client: MongoClient[dict[str, Any]]
        with MongoClient(self.uri) as client:
            admin = client[stack["admin_db"]]
            store = admin.databases.find_one({"_id": ObjectId(stack["image_store"])})
            if store is None:
                raise SystemExit("the image store is gone")
            listed = (admin.sessions.find_one({"_id": ObjectId(stack["session"])}) or {})["views"]
            views = admin.views.find({"_id": {"$in": listed}})
            shown = {str(record["Image"]) for view in views for record in view["ViewerRecords"]}
            kept = {name for name in client[store["dbname"]].list_collection_names() if ObjectId.is_valid(name)}
        for image in sorted(shown - kept):
            self.faults.append(f"readers are shown image {image}, and its tiles are gone")
        for image in sorted(kept - shown):
            tqdm.write(f"nobody sees collection {image}")
        return len(kept - shown)

    def _settings(self) -> Settings:
        stack = self.system.stack
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
        return Settings(
            source_buckets=frozenset({stack["bucket"]}), incoming_bucket=stack["bucket"], work_bucket="unused",
            jobs_table=stack["jobs_table"], jobs_queue=stack["jobs_queue"], chunks_queue="unused",
            mongo_uri=self.uri, admin_db=stack["admin_db"],
            token_hashes=frozenset({hashlib.sha256(b"").hexdigest()}), allow_anonymous_local_reads=True, chunk_bytes=1 << 20,
            threads=1, cores=1, region=stack["region"], aws_endpoint=stack["aws_endpoint"],
        )  # fmt: skip


class Later(Services):
    """The service as it will be: everything real but the time."""

    ahead_seconds = 0.0

    @property
    def clock(self) -> Any:
        real, ahead = super().clock, self.ahead_seconds

        class Ahead:
            def now(self) -> float:
                return real.now() + ahead

            def remaining_seconds(self) -> float:
                return real.remaining_seconds()

        return Ahead()


BROKEN = (3, 11)
BROKEN_NAMES = frozenset(f"slide-{number:02d}.tif" for number in BROKEN)


if __name__ == "__main__":
    sys.exit(main())
