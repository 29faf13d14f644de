"""make exhaust SLIDES=2000 [LIMIT=1024] [WORKERS=2]: ingest many slides while each process may open few files.

Starts the system as `make run` does, with LIMIT as soft and as hard limit of open files, and submits distinct slides of
one tile by webhook. Every job has to end as done, and no process may die. The open files of each process are sampled.
Prints its figures last, and ends with 1 if something does not hold.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from chalicelib.cli.progress import progress_bar
from tests.e2e.noise import noise_slide
from tests.e2e.system import ENDED, LocalSystem, started

SAMPLE_SECONDS = 0.1
PAUSE_SECONDS = 0.2
SENDERS = 4
# A slide takes a tenth of a second; what takes ten times as long does not end.
SECONDS_A_SLIDE = 1.0
START_SECONDS = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make exhaust")
    parser.add_argument("--slides", type=int, default=2000, help="how many slides are ingested")
    parser.add_argument("--limit", type=int, default=1024, help="files that each process may open, soft and hard")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    options = parser.parse_args()
    # Every process of the system is a child of this one.
    resource.setrlimit(resource.RLIMIT_NOFILE, (options.limit, options.limit))
    with (
        tempfile.TemporaryDirectory(prefix="slidehook-exhaust-") as folder,
        started(Path(folder), workers=options.workers) as system,
    ):
        return Exhaust(system, options.limit).run(options.slides)


class Exhaust:
    def __init__(self, system: LocalSystem, limit: int) -> None:
        # One client: each keeps connections of its own open.
        self.system, self.limit, self.s3 = system, limit, system.s3()
        self.first_pids = dict(self._processes())
        self.peaks: Counter[str] = Counter()
        self.readiness: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.faults: list[str] = []

    def run(self, slides: int) -> int:
        begun = time.monotonic()
        with self._sampling():
            try:
                self._ingest(slides, deadline=begun + START_SECONDS + SECONDS_A_SLIDE * slides)
                self._look_at_session()
            except (HTTPError, BotoCoreError, OSError) as error:
                self.faults.append(f"the system does not answer: {error}")
            seconds = time.monotonic() - begun
            self._look_at_processes()
        self._report(slides, seconds)
        return 1 if self.faults else 0

    def _ingest(self, slides: int, *, deadline: float) -> None:
        with (
            ThreadPoolExecutor(SENDERS) as senders,
            progress_bar(total=slides, unit="slide", label="submitting") as bar,
        ):
            jobs = []
            for job in senders.map(self._submit, range(slides)):
                jobs.append(job)
                bar.update()
        self._wait(jobs, deadline)
        if self.states != {"done": slides}:
            self.faults.append("not every job is done")

    def _look_at_session(self) -> None:
        stored = len(self.system.session_views()) - 1  # the launcher's own sample
        if stored != self.states["done"]:
            self.faults.append(f"the session lists {stored} slides, and {self.states['done']} jobs are done")

    def _report(self, slides: int, seconds: float) -> None:
        if self.faults:
            print("\n".join(self.faults))
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        peaks = ", ".join(f"{name} {peak}" for name, peak in sorted(self.peaks.items()))
        answers = ", ".join(f"{status} {count}" for status, count in sorted(self.readiness.items()))
        print(
            f"{slides} slides of one tile in {seconds:.0f} s: {states}\n"
            f"peak of open files, of {self.limit}: {peaks}\n"
            f"/ready: {answers}\n"
            f"exhaust: {'failed' if self.faults else 'ok'}"
        )

    # -- what is sampled ---------------------------------------------------------------------------------------------------

    def _processes(self) -> Iterator[tuple[str, int]]:
        pids = self.system.stack["pids"]
        for name in ("launcher", "mongod", "emulator", "api"):
            yield name, pids[name]
        for number, pid in enumerate(pids["workers"], 1):
            yield f"worker {number}", pid

    @contextmanager
    def _sampling(self) -> Iterator[None]:
        over = Event()

        def sample() -> None:
            processes = {name: psutil.Process(pid) for name, pid in self.first_pids.items()}
            while not over.wait(SAMPLE_SECONDS):
                for name, process in list(processes.items()):
                    try:
                        self.peaks[name] = max(self.peaks[name], process.num_fds())
                    except psutil.Error:
                        del processes[name]

        thread = Thread(target=sample)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _look_at_processes(self) -> None:
        """Count every process that is not the one that was started first as a fault."""
        try:
            now = dict(self._processes())
        except FileNotFoundError:
            # The launcher removes stack.json before it stops the rest.
            self.system.launcher.wait(30)
            output = (self.system.folder / "output.log").read_text(errors="replace")
            self.faults.append(f"the system has ended:\n{output[-1500:]}")
            return
        for name, pid in self.first_pids.items():
            if now.get(name) != pid or not psutil.pid_exists(pid):
                self.faults.append(f"{name} died (pid {pid})")

    # -- what is asked for -------------------------------------------------------------------------------------------------

    def _submit(self, number: int) -> str:
        stack = self.system.stack
        key = f"direct/{stack['collection']}/{stack['session']}/slide-{number:05d}.tif"
        self.s3.put_object(Bucket=stack["bucket"], Key=key, Body=noise_slide(1, 1, seed=number))
        return str(self.system.submit(f"s3://{stack['bucket']}/{key}")["id"])

    def _wait(self, jobs: list[str], deadline: float) -> None:
        """Ask for each job until it has ended, the oldest first: they end about in this order."""
        waiting = deque(jobs)
        with progress_bar(total=len(jobs), unit="job", label="ended") as bar:
            while waiting and time.monotonic() < deadline and self.system.launcher.poll() is None:
                job = self.system.job(waiting[0])
                if job["state"] not in ENDED:
                    self._ask_readiness()
                    time.sleep(PAUSE_SECONDS)
                    continue
                waiting.popleft()
                self._count(job)
                bar.update()
        self.states.update({"unfinished": len(waiting)} if waiting else {})

    def _count(self, job: dict[str, Any]) -> None:
        self.states[job["state"]] += 1
        if job["state"] != "done":
            self.faults.append(f"job {job['id']} ended {job['state']}: {job['error']}")

    def _ask_readiness(self) -> None:
        answer = self.system.call("GET", "/ready").json()
        self.readiness[answer["status"]] += 1


if __name__ == "__main__":
    sys.exit(main())
