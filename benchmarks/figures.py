"""Runs into figures: medians, ratios, the table. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Run = Mapping[str, float]
Runs = Mapping[str, Sequence[Run]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table: what it is, its bar, and whether more or less is better."""

    name: str
    what: str
    bar: float
    at_least: bool = False
    unit: str = ""

    def met(self, value: float) -> bool:
        return value >= self.bar if self.at_least else value <= self.bar


FIGURES = (
    Figure(name="wall_over_bare_insert", what="webhook to done / bare insert, 0.3 GB", bar=1.5),
    Figure(name="wall_over_bare_insert_3gb", what="webhook to done / bare insert, 3 GB", bar=1.15),
    Figure(name="cpu_over_dzsave", what="CPU of our workers / CPU of pyvips dzsave", bar=0.05),
    Figure(name="wall_over_opentile", what="webhook to done / opentile into the same mongod", bar=0.9),
    Figure(name="peak_rss_mib_small", what="peak memory of a worker, 0.3 GB", bar=150, unit=" MiB"),
    Figure(name="peak_rss_mib_large", what="peak memory of a worker, 3 GB", bar=150, unit=" MiB"),
    Figure(name="header_requests", what="requests to read the header", bar=8),
    Figure(name="cold_import_ms", what="cold import of the copy worker", bar=450, unit=" ms"),
    Figure(
        name="reencode_over_dzsave_per_core",
        what="tiles a CPU second, re-encoded with all levels / dzsave",
        bar=1.5,
        at_least=True,
    ),
    Figure(
        name="small_slide_overhead_s", what="small scan, webhook to done beyond its bare insert", bar=1.0, unit=" s"
    ),
    Figure(name="first_content_100k_over_100_jobs", what="first content of the page, 100 000 jobs / 100 jobs", bar=1.2),
    Figure(name="page_script_kb", what="scripts of the page of jobs", bar=150, unit=" kB"),
)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median and maximum."""
    return {"minimum": min(values), "median": median(values), "maximum": max(values)}


def middle(runs: Runs, name: str, field: str) -> float | None:
    """Return the median of a field of the runs of one name; None if there are none."""
    values = [run[field] for run in runs.get(name, ()) if field in run]
    return median(values) if values else None


def best_insert(runs: Runs, size: str) -> float | None:
    """Return the median wall seconds of the thread count that is fastest."""
    middles = [middle(runs, name, "wall_s") for name in runs if name.startswith(f"bare insert {size}, ")]
    return min((value for value in middles if value is not None), default=None)


def over(one: float | None, other: float | None) -> float | None:
    """Return a ratio; None if a part of it was not measured."""
    return None if one is None or not other else one / other


def figures_of(runs: Runs) -> dict[str, float | None]:
    """Return every figure of the table; None where a part of it was not measured."""
    wall = middle(runs, "slidehook medium", "wall_s")
    small, small_insert = middle(runs, "slidehook small", "wall_s"), best_insert(runs, "small")
    return {
        "wall_over_bare_insert": over(wall, best_insert(runs, "medium")),
        "wall_over_bare_insert_3gb": over(middle(runs, "slidehook large", "wall_s"), best_insert(runs, "large")),
        "cpu_over_dzsave": over(
            middle(runs, "slidehook medium", "cpu_s"), middle(runs, "pyvips dzsave 256 px", "cpu_s")
        ),
        "wall_over_opentile": over(wall, middle(runs, "opentile into mongod", "wall_s")),
        "peak_rss_mib_small": largest(runs, "slidehook medium", "peak_rss_mib"),
        "peak_rss_mib_large": largest(runs, "slidehook large", "peak_rss_mib"),
        "header_requests": middle(runs, "header", "requests"),
        "cold_import_ms": middle(runs, "cold import", "wall_ms"),
        "reencode_over_dzsave_per_core": over(
            middle(runs, "slidehook re-encoding to 512 px", "tiles_per_cpu_s"),
            middle(runs, "pyvips dzsave 512 px", "tiles_per_cpu_s"),
        ),
        "small_slide_overhead_s": None if small is None or small_insert is None else small - small_insert,
        "first_content_100k_over_100_jobs": over(
            middle(runs, "page of 100000 jobs", "painted_ms"), middle(runs, "page of 100 jobs", "painted_ms")
        ),
        "page_script_kb": over(middle(runs, "page of 100 jobs", "script_bytes"), 1000),
    }


def largest(runs: Runs, name: str, field: str) -> float | None:
    """Return the largest value of a field: a peak is a peak."""
    return max((run[field] for run in runs.get(name, ()) if field in run), default=None)


def results(runs: Runs, machine: Mapping[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    """Return the document of results.json."""
    found = figures_of(runs)
    bars = {each.name: each for each in FIGURES}
    return {
        "figures": found,
        "bars": {
            name: {
                "bar": bars[name].bar,
                "at_least": bars[name].at_least,
                "met": None if value is None else bars[name].met(value),
            }
            for name, value in found.items()
        },
        "runs": {name: [dict(run) for run in each] for name, each in runs.items()},
        "spread": {
            name: {field: spread([run[field] for run in each if field in run]) for field in sorted(_fields(each))}
            for name, each in runs.items()
            if each
        },
        "not_measured": dict(notes),
        "machine": dict(machine),
    }


def _fields(runs: Sequence[Run]) -> set[str]:
    return {field for run in runs for field in run}


NEEDS_PEERS = frozenset({"cpu_over_dzsave", "wall_over_opentile", "reencode_over_dzsave_per_core"})
OF_LARGE = frozenset({"wall_over_bare_insert_3gb", "peak_rss_mib_large"})
OF_SMALL = frozenset({"small_slide_overhead_s"})
OF_PAGES = frozenset({"first_content_100k_over_100_jobs", "page_script_kb"})


def lacking(document: Mapping[str, Any], left_out: frozenset[str]) -> list[str]:
    """Return the figures that should have been measured and were not. A missing peer is no failure."""
    missing = {name for name, value in document["figures"].items() if value is None}
    return sorted(missing - NEEDS_PEERS - left_out)


def table(document: Mapping[str, Any]) -> list[str]:
    """Return the figures as lines of a Markdown table."""
    lines = ["| figure | measured | bar | |", "|---|---:|---:|---|"]
    for each in FIGURES:
        value = document["figures"][each.name]
        sign = ">=" if each.at_least else "<="
        shown = "not measured" if value is None else f"{_short(value)}{each.unit}"
        verdict = "" if value is None else "met" if each.met(value) else "missed"
        lines.append(f"| {each.what} | {shown} | {sign} {_short(each.bar)}{each.unit} | {verdict} |")
    return lines


def run_table(document: Mapping[str, Any]) -> list[str]:
    """Return every kind of run as lines of a Markdown table: median, and minimum to maximum in brackets."""
    columns = ("wall_s", "cpu_s", "peak_rss_mib", "tiles_per_s")
    heads = ("wall, s", "CPU, s", "peak, MiB", "tiles/s")
    lines = [f"| run | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, fields in document["spread"].items():
        if "wall_s" not in fields:
            continue
        cells = [_cell(fields[column]) if column in fields else "" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, reason in document["not_measured"].items():
        lines.append(f"| {name} | not measured: {reason} | | | |")
    return lines


def share_table(document: Mapping[str, Any]) -> list[str]:
    """Return who used how much CPU in each kind of run, as lines of a Markdown table: medians."""
    columns = ("wall_s", "cpu_s", "mongod_cpu_s", "emulator_cpu_s", "api_cpu_s")
    lines = ["| run | wall, s | its own CPU, s | mongod | emulator | API |", f"|---|{'---:|' * len(columns)}"]
    for name, fields in document["spread"].items():
        if "mongod_cpu_s" in fields:
            cells = [_short(fields[column]["median"]) if column in fields else "" for column in columns]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def page_table(document: Mapping[str, Any]) -> list[str]:
    """Return what loading the page of jobs takes, as lines of a Markdown table."""
    columns = ("painted_ms", "first_job_ms", "query_ms", "requests", "bytes", "script_bytes")
    heads = ("first content, ms", "first job, ms", "the emulator's query, ms", "requests", "bytes", "of scripts")
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, fields in document["spread"].items():
        if "painted_ms" in fields:
            cells = [_cell(fields[column]) for column in columns[:3]]
            cells += [f"{fields[column]['median']:.0f}" for column in columns[3:]]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(values: Mapping[str, float]) -> str:
    return f"{_short(values['median'])} ({_short(values['minimum'])} to {_short(values['maximum'])})"


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"
