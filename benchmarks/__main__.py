"""Measure everything side by side: `make bench [SLIDE=path]`. Ends with 0 when everything was measured."""

import argparse
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks import figures, job_list, machines, page, peers, plot, slides
from benchmarks.system import ROOT, System, running
from chalicelib.core.imaging import lossless_crop as crop
from infra.local.children import LocalError
from infra.local.launcher import only_launcher

STATE = ROOT / ".local" / "bench"
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
# The quality of pyvips dzsave: that of the medium slide, and that of re-encoded tiles.
QUALITIES = {256: 85, 512: 90}
COLD_RUNS = 9
PLOTTED = (
    "slidehook medium",
    "bare insert medium, 1 thread", "bare insert medium, 2 threads", "bare insert medium, 4 threads",
    "opentile into mongod", "pyvips dzsave 256 px", "large_image getTile (a part, scaled)",
    "slidehook re-encoding to 512 px", "pyvips dzsave 512 px",
)  # fmt: skip
# What a worker of the chunks queue does before its first copy chunk: the application, the step, and the client of each
# service that it talks to, without connections. The process ends at once: MongoDB's client looks for its server.
COLD_IMPORT = """
import time
begun = time.perf_counter()
import app
import chalicelib.steps.tile
imported = time.perf_counter()
for port in ("slides", "work", "jobs", "queue", "archive"):
    getattr(app.services, port)
ready = time.perf_counter()
import os
print((ready - begun) * 1000, (imported - begun) * 1000, flush=True)
os._exit(0)
"""


@dataclass(slots=True)
class Bench:
    """All runs of one benchmark, by name, and why something was not measured."""

    times: int
    runs: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, run: dict[str, float]) -> None:
        self.runs.setdefault(name, []).append(run)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in run.items())
        print(f"{name}: {shown}", flush=True)

    def attempt(self, name: str, measure: Callable[[], dict[str, float]]) -> None:
        """Measure something that may be missing on this machine."""
        if name in self.notes:
            return
        try:
            self.add(name, measure())
        except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
            self.notes[name] = str(error)
            print(f"{name}: not measured: {error}", flush=True)


def main() -> int:
    options = _parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # the system is stopped on the way out
    STATE.mkdir(parents=True, exist_ok=True)
    with only_launcher(STATE / "lock") as alone:
        if not alone:
            print("error: another benchmark of this checkout is running", file=sys.stderr)
            return 1
        try:
            return _run(options)
        except (RuntimeError, OSError, LocalError, subprocess.SubprocessError, BotoCoreError, ClientError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1


def _run(options: argparse.Namespace) -> int:
    bench = Bench(options.runs)
    if options.only_pages:
        return _renew_pages(bench)
    peer = peers.python(STATE / "peers")
    medium = options.slide or slides.medium(STATE, peer)
    touched = {"memory_touched_gib": round(machines.touch_memory(), 1)}
    machine = machines.describe(peer) | touched | {"run": {"slide": medium.name, "times": options.runs}}
    with_large = not options.without_3gb and options.slide is None
    with running(STATE / "system", _first(STATE)) as system:
        source = system.put(medium)
        # What decodes comes last: a worker keeps the codecs that it has loaded, and copying is measured without them.
        _measure_medium(bench, system, source, medium, peer, own=options.slide is None)
        if with_large:
            _measure_large(bench, system, medium)
        _measure_small(bench, system)
        _measure_encoding(bench, system, source, medium, peer)
    _measure_start(bench, medium)
    if options.slide is None:
        _measure_pages(bench)
    document = figures.results(bench.runs, machine, bench.notes)
    _tell(document, standard=options.slide is None)
    left_out = frozenset() if with_large else figures.OF_LARGE
    left_out |= figures.OF_PAGES if options.slide is not None else frozenset()
    lacking = figures.lacking(document, left_out if _scan().is_file() else left_out | figures.OF_SMALL)
    if lacking:
        print(f"error: not measured: {', '.join(lacking)}", file=sys.stderr)
    return 1 if lacking else 0


def _renew_pages(bench: Bench) -> int:
    """Measure the pages alone, beside the other figures that were measured last."""
    before = json.loads(RESULTS.read_text(encoding="utf-8"))
    _measure_pages(bench)
    document = figures.results(before["runs"] | bench.runs, before["machine"], before["not_measured"] | bench.notes)
    _tell(document, standard=True)
    return 0 if bench.runs else 1


def _measure_pages(bench: Bench) -> None:
    try:
        for name, run in job_list.measure(STATE, _first(STATE)):
            bench.add(name, run)
    except RuntimeError as error:
        bench.notes["page of jobs"] = str(error)


def _tell(document: dict[str, Any], *, standard: bool) -> None:
    """Write the results and print the tables. The page and the plot are written together, by runs of the standard slide
    only: they are the project's, not those of somebody's file."""
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if standard:
        PAGE.write_text(page.written(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")
        PLOT.write_text(plot.plot(document, PLOTTED), encoding="utf-8")
    tables = (figures.run_table, figures.page_table, figures.table)
    print("\n".join(line for table in tables for line in ("", *table(document))))
    print(f"\n{RESULTS.relative_to(ROOT)}")


def _first(folder: Path) -> Path:
    """Return the slide that the system publishes at its start: tiny, and copied, so that no codec is loaded by it."""
    path = folder / "first.tif"
    slides.synthetic(path, 2048, 1536)
    return path


def _scan() -> Path:
    return slides.shared_folder() / "CMU-1-Small-Region.svs"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--slide", type=Path, default=None, help="measure this slide instead of the medium one")
    parser.add_argument("--runs", type=int, default=3, help="how often each thing is measured (default 3)")
    parser.add_argument("--without-3gb", action="store_true", help="leave the slide of 3 GB out")
    parser.add_argument("--only-pages", action="store_true", help="measure the page of jobs; keep the other figures")
    options = parser.parse_args()
    if options.slide is not None and not options.slide.is_file():
        parser.error(f"{options.slide} is no file")
    if options.runs < 1:
        parser.error("at least one run is needed")
    options.slide = options.slide and options.slide.resolve()
    return options


def _measure_medium(bench: Bench, system: System, source: str, slide: Path, peer: Path | None, *, own: bool) -> None:
    twin = slides.aperio(STATE, slide) if own else slide
    _, first = system.publish(source)  # connections are made, caches are warm: as with any slide but the first
    system.drop(first)

    def opentile(storage: str) -> dict[str, float]:
        return _peer(peer, "opentile_insert", str(twin), system.stack.mongo_uri, "opentile", storage)

    for _ in range(bench.times):
        run, job = system.publish(source)
        bench.add("slidehook medium", run)
        storage = json.dumps(system.storage(job))
        _insert(bench, system, job, "medium")
        bench.attempt("opentile into mongod", functools.partial(opentile, storage))
        bench.attempt("pyvips dzsave 256 px", lambda: _dzsave(peer, slide, 256))
        tiles = str(int(run["tiles"]))
        part = functools.partial(_peer, peer, "large_image_tiles", str(slide), tiles)
        bench.attempt("large_image getTile (a part, scaled)", part)


def _measure_encoding(bench: Bench, system: System, source: str, slide: Path, peer: Path | None) -> None:
    for _ in range(bench.times):
        run, job = system.publish(source, tile_size=512)
        bench.add("slidehook re-encoding to 512 px", run)
        system.drop(job)
        bench.attempt("pyvips dzsave 512 px", lambda: _dzsave(peer, slide, 512))


def _insert(bench: Bench, system: System, job: dict[str, Any], size: str, threads: tuple[int, ...] = (1, 2, 4)) -> None:
    """Insert the very documents of a job into a collection of their own, from a process of its own."""
    result, mongod = job["result"], str(system.document()["pids"]["mongod"])
    script = [sys.executable, "-m", "benchmarks.bare_insert", system.stack.mongo_uri]
    ended = subprocess.run(
        [*script, result["database"], result["image"], mongod, *map(str, threads)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    for line in ended.stdout.splitlines():
        found = json.loads(line)
        count = found.pop("threads")
        bench.add(f"bare insert {size}, {count} thread{'s' if count > 1 else ''}", found)


def _peer(peer: Path | None, script: str, *arguments: str) -> dict[str, float]:
    if peer is None:
        raise RuntimeError("the peers could not be installed")
    # The lossless peer needs a libturbojpeg; the one that cuts tiles here serves it as well.
    library = next(iter(crop.candidates()), "")
    return peers.run(peer, script, *arguments, environment={"TURBOJPEG": library})


def _dzsave(peer: Path | None, slide: Path, size: int) -> dict[str, float]:
    folder = STATE / "dzsave"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        return _peer(peer, "dzsave", str(slide), str(folder), str(size), str(QUALITIES[size]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure_small(bench: Bench, system: System) -> None:
    scan = _scan()
    if not scan.is_file():
        bench.notes["slidehook small"] = (
            f"{scan.name} is missing; SLIDEHOOK_SHARED names the folder of slides/{scan.name}"
        )
        return
    source = system.put(scan)
    _, first = system.publish(source)  # codecs are loaded
    system.drop(first)
    for _ in range(max(5, bench.times)):
        run, job = system.publish(source)
        bench.add("slidehook small", run)
        _insert(bench, system, job, "small", (1,))


def _measure_large(bench: Bench, system: System, medium: Path) -> None:
    try:
        slide = slides.large(STATE, medium)
    except RuntimeError as error:
        bench.notes["slidehook large"] = str(error)
        return
    source = system.put(slide)
    for _ in range(max(1, bench.times - 1)):
        run, job = system.publish(source)
        bench.add("slidehook large", run)
        _insert(bench, system, job, "large")


def _measure_start(bench: Bench, slide: Path) -> None:
    from chalicelib.core.tiff.directory import read_ifds
    from chalicelib.core.tiff.range_file import BlockStream

    size_bytes = slide.stat().st_size
    with slide.open("rb") as file:

        def fetch(start: int, stop: int) -> bytes:
            file.seek(start)
            return file.read(stop - start)

        stream = BlockStream(fetch, size_bytes)
        begun = time.perf_counter()
        read_ifds(cast(BinaryIO, stream), size_bytes=size_bytes)
        # One more pins the object when the job is submitted.
        bench.add("header", {"requests": stream.requests + 1.0, "parse_ms": (time.perf_counter() - begun) * 1000})
    names = ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE")
    settings = {f"SLIDEHOOK_{name}": "x" for name in names} | {"SLIDEHOOK_MONGO_URI": "mongodb://127.0.0.1:1/"}
    settings |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    for _ in range(COLD_RUNS):
        ended = subprocess.run(
            [sys.executable, "-c", COLD_IMPORT], check=True, capture_output=True, text=True, cwd=ROOT,
            env=os.environ | settings,
        )  # fmt: skip
        ready, imported = map(float, ended.stdout.split())
        bench.add("cold import", {"wall_ms": ready, "imports_only_ms": imported})


if __name__ == "__main__":
    sys.exit(main())
