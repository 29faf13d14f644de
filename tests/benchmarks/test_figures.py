"""What the benchmark makes of its runs."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from benchmarks import bare_insert, figures, page, plot, slides
from chalicelib.core.plan.pyramid import plan_pyramid
from chalicelib.core.tiff.directory import read_ifds

RUNS = {
    "slidehook medium": [
        {"wall_s": 1.0, "cpu_s": 1.0, "peak_rss_mib": 120.0}, {"wall_s": 2.0, "cpu_s": 1.2, "peak_rss_mib": 140.0},
        {"wall_s": 9.0, "cpu_s": 1.1, "peak_rss_mib": 130.0},
    ],
    "bare insert medium, 1 thread": [{"wall_s": 4.0}, {"wall_s": 5.0}, {"wall_s": 6.0}],
    "bare insert medium, 2 threads": [{"wall_s": 3.0}, {"wall_s": 1.0}, {"wall_s": 2.0}],
    "pyvips dzsave 256 px": [{"wall_s": 20.0, "cpu_s": 44.0}],
    "cold import": [{"wall_ms": 150.0}],
}  # fmt: skip


def test_ratios_compare_medians_with_the_best_of_the_thread_counts() -> None:
    found = figures.figures_of(RUNS)
    assert found["wall_over_bare_insert"] == 2.0 / 2.0
    assert found["cpu_over_dzsave"] == 1.1 / 44.0
    assert found["peak_rss_mib_small"] == 140.0


def test_what_was_not_measured_is_no_figure_and_no_failure() -> None:
    document = figures.results(RUNS, {"cores": 2}, {"opentile into mongod": "not installed"})
    assert document["figures"]["wall_over_opentile"] is None
    assert document["bars"]["wall_over_opentile"]["met"] is None
    assert "| opentile into mongod | not measured: not installed | | | |" in figures.run_table(document)
    assert any("| not measured |" in line for line in figures.table(document))


def test_the_document_names_every_figure_and_says_whether_its_bar_is_met() -> None:
    document = figures.results(RUNS, {}, {})
    assert set(document["figures"]) == {
        "wall_over_bare_insert", "wall_over_bare_insert_3gb", "cpu_over_dzsave", "wall_over_opentile",
        "peak_rss_mib_small", "peak_rss_mib_large", "header_requests", "cold_import_ms",
        "reencode_over_dzsave_per_core", "small_slide_overhead_s",
        "first_content_100k_over_100_jobs", "page_script_kb",
    }  # fmt: skip
    assert document["bars"]["cpu_over_dzsave"] == {"bar": 0.05, "at_least": False, "met": True}
    assert document["spread"]["slidehook medium"]["wall_s"] == {"minimum": 1.0, "median": 2.0, "maximum": 9.0}
    assert len(document["runs"]["slidehook medium"]) == 3


def test_a_bar_that_asks_for_more_is_met_from_above() -> None:
    more = next(each for each in figures.FIGURES if each.name == "reencode_over_dzsave_per_core")
    assert (more.met(1.6), more.met(1.4)) == (True, False)


def test_the_plot_shows_a_bar_for_each_run_that_there_is() -> None:
    drawn = plot.plot(figures.results(RUNS, {}, {}), ["slidehook medium", "pyvips dzsave 256 px", "absent <&>"])
    assert drawn.count("<rect") == 2
    assert 'class="ours"' in drawn
    assert "absent" not in drawn


def test_a_missing_peer_is_no_failure_and_a_missing_run_of_ours_is() -> None:
    document = figures.results({name: runs for name, runs in RUNS.items() if "pyvips" not in name}, {}, {})
    left_out = figures.OF_LARGE | figures.OF_SMALL | figures.OF_PAGES
    assert figures.lacking(document, left_out) == ["header_requests"]
    assert "wall_over_bare_insert_3gb" in figures.lacking(document, figures.OF_SMALL)
    assert figures.lacking(document, left_out - figures.OF_PAGES) == [
        "first_content_100k_over_100_jobs", "header_requests", "page_script_kb",
    ]  # fmt: skip


def test_the_page_is_judged_by_its_first_content_and_its_jobs_are_told_beside_it() -> None:
    few = {
        "painted_ms": 100.0,
        "first_job_ms": 200.0,
        "query_ms": 5.0,
        "requests": 13.0,
        "bytes": 7e4,
        "script_bytes": 5e4,
    }
    many = few | {"painted_ms": 110.0, "first_job_ms": 5000.0, "query_ms": 4800.0}
    document = figures.results({"page of 100 jobs": [few], "page of 100000 jobs": [many]}, {}, {})
    assert document["figures"]["first_content_100k_over_100_jobs"] == pytest.approx(1.1)
    assert document["figures"]["page_script_kb"] == 50.0
    assert (
        "| page of 100000 jobs | 110 (110 to 110) | 5000 (5000 to 5000) | 4800 (4800 to 4800) | 13 | 70000 | 50000 |"
        in (figures.page_table(document))
    )


MACHINE = {
    "cores": 2, "processor": "a processor", "memory_gib": 8.0, "load_before": 0.5, "versions": {"mongod": "6.0.5"},
    "run": {"slide": "some.tif", "times": 3},
}  # fmt: skip


def test_the_page_shows_the_last_run_and_nothing_of_the_one_before() -> None:
    marks = ("run", "figures", "runs", "shares", "pages")
    text = (
        "# Title\n" + "".join(f"<!-- {mark} -->\nlast year\n<!-- end of {mark} -->\n" for mark in marks) + "The end.\n"
    )
    document = figures.results(RUNS, MACHINE, {"opentile into mongod": "not installed"})
    once = page.written(text, document)
    assert "last year" not in once
    assert all(line in once.splitlines() for line in [*figures.table(document), *figures.run_table(document)])
    assert "`some.tif`, measured 3 times" in once
    assert once.startswith("# Title\n")
    assert once.endswith("The end.\n")
    assert page.written(once, document) == once


def test_the_page_that_is_kept_has_every_place_that_is_written() -> None:
    kept = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
    assert "webhook to done / bare insert, 0.3 GB | 1 |" in page.written(
        kept.read_text(encoding="utf-8"), figures.results(RUNS, MACHINE, {})
    )


def test_documents_are_inserted_once_each_in_batches_of_bounded_bytes() -> None:
    documents = [{"_id": number, "file": bytes(1 << 20)} for number in range(11)]
    found = list(bare_insert.batches(documents))
    assert [len(batch) for batch in found] == [4, 4, 3]
    assert [document["_id"] for batch in found for document in batch] == list(range(11))
    assert [len(piece) for piece in bare_insert.pieces(found, 2 * bare_insert.BATCH_BYTES)] == [2, 1]
    assert [len(piece) for piece in bare_insert.pieces(found, 1)] == [1, 1, 1]


def test_who_used_the_processors_is_told_for_each_run_that_knows() -> None:
    runs = {"slidehook medium": [{"wall_s": 2.0, "cpu_s": 1.0, "mongod_cpu_s": 1.5, "emulator_cpu_s": 0.5}], **{
        name: each for name, each in RUNS.items() if name.startswith("pyvips")
    }}  # fmt: skip
    assert figures.share_table(figures.results(runs, {}, {}))[2:] == ["| slidehook medium | 2 | 1 | 1.5 | 0.5 |  |"]


def test_a_slide_for_which_the_disk_has_no_room_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="GB of disk, and"):
        slides.require_room(tmp_path, 1 << 60)


def test_the_aperio_twin_has_the_very_tiles_of_the_slide(tmp_path: Path) -> None:
    path = tmp_path / "synthetic.tif"
    slides.synthetic(path, 2100, 1100)
    twin = slides.aperio(tmp_path, path)
    with tifffile.TiffFile(path) as ours, tifffile.TiffFile(twin) as theirs:
        assert theirs.is_svs
        levels = [theirs.pages[0], *theirs.pages[2:]]  # the second is the thumbnail
        assert [list(slides._stored_tiles(one)) for one in ours.pages] == [
            list(slides._stored_tiles(one)) for one in levels
        ]


def test_the_slides_that_it_writes_are_passed_through_at_every_level(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "synthetic.tif"
    slides.synthetic(path, 2100, 1100)
    monkeypatch.setattr(slides, "REGION_TILES", (4, 4))
    monkeypatch.setattr(slides, "REPEATS", (2, 3))
    monkeypatch.setattr(slides, "LEVELS", 3)
    large = slides.large(tmp_path, path)
    for written, size in ((path, (2100, 1100)), (large, (2048, 3072))):
        data = written.read_bytes()
        ifds = read_ifds(io.BytesIO(data), size_bytes=len(data))
        pyramid = plan_pyramid(ifds, size_bytes=len(data), tile_size=None, base_only=False)
        assert {level.method for level in pyramid.levels} == {"passthrough"}
        assert (pyramid.width_px, pyramid.height_px) == size
    base = tifffile.imread(large, key=0)
    assert np.array_equal(base[:256, :256], base[1024:1280, 1024:1280])
