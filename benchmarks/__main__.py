"""Measure everything side by side: `make bench [SLIDE=path]`. Ends with 0 when everything was measured."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import psutil

from benchmarks import figures, peers, plot, slides
from benchmarks.system import ROOT, System, running
from chalicelib.core import crop

STATE = ROOT / ".local" / "bench"
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
# Of pyvips dzsave: what the medium slide is stored at, and what we encode anew with.
QUALITIES = {256: 85, 512: 90}
COLD_RUNS = 9
PLOTTED = (
    "slidehook medium",
    "bare insert medium, 1 thread", "bare insert medium, 2 threads", "bare insert medium, 4 threads",
    "opentile into mongod", "pyvips dzsave 256 px", "large_image getTile (a part, scaled)",
    "slidehook re-encoding to 512 px", "pyvips dzsave 512 px",
)  # fmt: skip
# What a worker of the chunks queue has in memory before its first copy chunk, without the clients' connections.
COLD_IMPORT = """
import time
begun = time.perf_counter()
import app
import chalicelib.adapters.dynamodb, chalicelib.adapters.mongo, chalicelib.adapters.s3, chalicelib.adapters.sqs
import chalicelib.steps.tile
print((time.perf_counter() - begun) * 1000)
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
    STATE.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.runs)
    peer = peers.python(STATE / "peers")
    medium = options.slide or slides.medium(STATE, peer)
    with running(STATE / "system") as system:
        _measure_medium(bench, system, medium, peer, own=options.slide is None)
        _measure_small(bench, system)
        if not options.without_3gb and options.slide is None:
            _measure_large(bench, system, slides.large(STATE, medium))
    _measure_start(bench, medium)
    shutil.rmtree(STATE / "system", ignore_errors=True)
    document = figures.results(bench.runs, _machine(), bench.notes)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if options.slide is None and not options.without_3gb:
        _write_page(document)
    print("\n".join(["", *figures.run_table(document), "", *figures.table(document)]))
    print(f"\n{RESULTS.relative_to(ROOT)}")
    missing = [name for name, value in document["figures"].items() if value is None]
    expected = {"wall_over_bare_insert_3gb"} if options.without_3gb or options.slide else set()
    expected |= {"peak_rss_mib_large"} if expected else set()
    needs_peers = {"cpu_over_dzsave", "wall_over_opentile", "reencode_over_dzsave_per_core"}
    lacking = set(missing) - expected - needs_peers - {"small_slide_overhead_s"}
    return 1 if lacking else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--slide", type=Path, default=None, help="measure this slide instead of the medium one")
    parser.add_argument("--runs", type=int, default=3, help="how often each thing is measured (default 3)")
    parser.add_argument("--without-3gb", action="store_true", help="leave the slide of 3 GB out")
    options = parser.parse_args()
    if options.slide is not None and not options.slide.is_file():
        parser.error(f"{options.slide} is no file")
    return options


def _measure_medium(bench: Bench, system: System, slide: Path, peer: Path | None, *, own: bool) -> None:
    source = system.put(slide)
    twin = slides.aperio(STATE, peer) if own else slide
    system.publish(source)  # connections are made, caches are warm: as with any slide but the first
    for _ in range(bench.times):
        run, job = system.publish(source)
        bench.add("slidehook medium", run)
        _insert(bench, system, job, "medium")
        system.drop(job)
        bench.attempt("opentile into mongod", lambda: _opentile(system, peer, twin))
        for size in (256, 512):
            bench.attempt(f"pyvips dzsave {size} px", lambda size=size: _dzsave(peer, slide, size))  # type: ignore[misc]
        bench.attempt(
            "large_image getTile (a part, scaled)",
            lambda tiles=run["tiles"]: _peer(peer, "large_image_tiles", str(slide), str(int(tiles))),  # type: ignore[misc]
        )
        again, job = system.publish(source, tile_size=512)
        bench.add("slidehook re-encoding to 512 px", again)
        system.drop(job)


def _insert(bench: Bench, system: System, job: dict[str, Any], size: str, threads: tuple[int, ...] = (1, 2, 4)) -> None:
    """Insert the very documents of a job into a collection of their own, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bare_insert", system.stack["mongo_uri"], job["result"]["database"]]
    ended = subprocess.run(
        [*command, job["result"]["image"], *map(str, threads)], check=True, capture_output=True, text=True, cwd=ROOT
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


def _opentile(system: System, peer: Path | None, slide: Path | None) -> dict[str, float]:
    if slide is None:
        raise RuntimeError("it reads vendors' files only, and the generator of the shared slides is absent")
    return _peer(peer, "opentile_insert", str(slide), system.stack["mongo_uri"], "opentile")


def _dzsave(peer: Path | None, slide: Path, size: int) -> dict[str, float]:
    folder = STATE / "dzsave"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        return _peer(peer, "dzsave", str(slide), str(folder), str(size), str(QUALITIES[size]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure_small(bench: Bench, system: System) -> None:
    scan = slides.shared_folder() / "CMU-1-Small-Region.svs"
    if not scan.is_file():
        bench.notes["slidehook small"] = (
            f"{scan.name} is missing; SLIDEHOOK_SHARED names the folder of slides/{scan.name}"
        )
        return
    source = system.put(scan)
    for _ in range(max(5, bench.times)):
        run, job = system.publish(source)
        bench.add("slidehook small", run)
        _insert(bench, system, job, "small", (1,))
        system.drop(job)


def _measure_large(bench: Bench, system: System, slide: Path) -> None:
    source = system.put(slide)
    for _ in range(max(1, bench.times - 1)):
        run, job = system.publish(source)
        bench.add("slidehook large", run)
        _insert(bench, system, job, "large")
        system.drop(job)


def _measure_start(bench: Bench, slide: Path) -> None:
    from chalicelib.core.blocks import BlockStream
    from chalicelib.core.tiff import read_ifds

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
    settings = {
        f"SLIDEHOOK_{name}": "x"
        for name in ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI")
    }
    for _ in range(COLD_RUNS):
        ended = subprocess.run(
            [sys.executable, "-c", COLD_IMPORT], check=True, capture_output=True, text=True, cwd=ROOT,
            env=os.environ | settings,
        )  # fmt: skip
        bench.add("cold import", {"wall_ms": float(ended.stdout)})


def _machine() -> dict[str, Any]:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load_before": round(statistics.fmean(os.getloadavg()), 2),
    }


def _write_page(document: dict[str, Any]) -> None:
    """Put the figures between the marks of the page, so that they cannot be older than the results."""
    text = PAGE.read_text(encoding="utf-8")
    for mark, lines in (("figures", figures.table(document)), ("runs", figures.run_table(document))):
        head, rest = text.split(f"<!-- {mark} -->\n", 1)
        tail = rest.split(f"<!-- end of {mark} -->", 1)[1]
        text = "\n".join([f"{head}<!-- {mark} -->", "", *lines, "", f"<!-- end of {mark} -->{tail}"])
    PAGE.write_text(text, encoding="utf-8")
    PLOT.write_text(plot.plot(document, PLOTTED), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
