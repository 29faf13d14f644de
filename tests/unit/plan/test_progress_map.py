"""The progress map: cells of several tiles, and the finished share of each."""

import io
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.jobs.model import LevelSummary
from chalicelib.core.plan import chunks
from chalicelib.core.plan import progress_map as fills
from chalicelib.core.plan.chunks import LAYOUT, Chunk, Plan, PlannedLevel, build_plan
from chalicelib.core.plan.plan_format import unpack_records
from chalicelib.core.plan.progress_map import ENTRY, cell_side, coverage, filled, uniform_map
from chalicelib.core.plan.pyramid import plan_pyramid
from chalicelib.core.tiff.directory import read_ifds
from tests.slides import Slide, write
from tests.unit.plan.test_chunks import made_tiles


def planned(slide: Slide, *, chunk_bytes: int = 4000, **options: Any) -> tuple[Plan, bytes]:
    data = write(slide)
    ifds = read_ifds(io.BytesIO(data), size_bytes=len(data))
    asked = {"tile_size": None, "base_only": False} | options
    return build_plan(plan_pyramid(ifds, size_bytes=len(data), **asked), chunk_bytes=chunk_bytes)


def tiles_by_chunk(packed: bytes) -> Counter[int]:
    found: Counter[int] = Counter()
    for entry in np.frombuffer(packed, ENTRY):
        found[int(entry["chunk"])] += int(entry["tiles"])
    return found


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 900), st.integers(1, 700), st.sets(st.integers(1, 3)), st.integers(1, 3), st.integers(1, 20_000),
    st.integers(1, 16), st.integers(1, 50), st.randoms(),
)  # fmt: skip
def test_cell_shows_share_of_published_tiles(
    width: int, height: int, stored: set[int], block: int, chunk_bytes: int, cells: int, piece: int, jitter: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "BLOCK_LEVELS", block)
        patch.setattr(fills, "MAX_CELLS", cells)
        patch.setattr(fills, "PIECE", piece)
        plan, records = planned(
            Slide(width_px=width, height_px=height, levels=(0, *sorted(stored))), chunk_bytes=chunk_bytes
        )
        done = {chunk.number for chunk in plan.chunks if jitter.random() < 0.5}
        found = filled(plan, coverage(plan, records), done)
    ready: Counter[tuple[int, int, int]] = Counter()
    for chunk in plan.chunks:
        if chunk.number in done:
            ready += made_tiles(replace(plan, chunks=(chunk,)))
            if chunk.kind == "copy":
                run = list(unpack_records(records))[chunk.first : chunk.last]
                ready += Counter((each.level, each.column, each.row) for each in run)
    for level in found:
        assert level.tiles_done == sum(number == level.level for number, _, _ in ready)
        assert max(len(level.cells), *map(len, level.cells)) <= cells
        for row, text in enumerate(level.cells):
            for column, mark in enumerate(text):
                wide = range(column * level.side, min((column + 1) * level.side, level.columns))
                high = range(row * level.side, min((row + 1) * level.side, level.rows))
                own = [ready[level.level, across, down] for across in wide for down in high]
                assert (mark == "9") == all(own)
                assert (mark == "0") == (not any(own))


@pytest.mark.parametrize(
    ("slide", "options", "kind"),
    [
        (Slide(width_px=900, height_px=700, tile_size_px=256, colour="grey"), {"tile_size": 128}, "crop"),
        (Slide(compression="deflate", levels=(0, 2)), {}, "make"),
        (Slide(compression="deflate"), {"tile_size": 128}, "make"),
        (Slide(sparse=frozenset({(0, 1, 1), (0, 2, 3)}), levels=(0, 1)), {}, "copy"),
    ],
)
def test_coverage_of_chunk_equals_its_published_tiles(slide: Slide, options: dict[str, Any], kind: str) -> None:
    plan, records = planned(slide, **options)
    assert kind in {chunk.kind for chunk in plan.chunks}
    expected = {chunk.number: chunk.tiles for chunk in plan.chunks if chunk.tiles}
    assert tiles_by_chunk(coverage(plan, records)) == expected


def test_full_width_chunk_covers_whole_rows() -> None:
    chunk = Chunk(
        number=0, stage=0, kind="make", first=0, last=0, source_bytes=0, tiles=0,
        level=0, column=0, row=0, block_levels=1, downsampled_levels=1, full_width=True, encodes=True,
    )  # fmt: skip
    plan = plan_of(columns=5, rows=4, chunks=(chunk,))
    found = filled(plan, coverage(plan, b""), {0})
    assert [level.cells for level in found] == [("99999", "99999", ".....", "....."), ("999", "...")]


def test_cell_without_tiles_is_not_pending() -> None:
    plan, records = planned(Slide(width_px=128, height_px=64, sparse=frozenset({(0, 1, 0)}), levels=(0, 1)))
    assert filled(plan, coverage(plan, records), set())[0].cells == ("0.",)


def test_chunk_of_another_plan_is_ignored() -> None:
    plan, records = planned(Slide(width_px=128, height_px=64, levels=(0, 1)))
    assert filled(plan, coverage(plan, records), {99})[0].cells == ("00",)


def test_plan_without_chunks_has_empty_map() -> None:
    plan = plan_of(columns=2, rows=1, chunks=())
    assert filled(plan, coverage(plan, b""), set())[0].cells == ("..",)


@pytest.mark.parametrize(
    ("columns", "rows", "side"), [(1, 1, 1), (64, 3, 1), (65, 3, 2), (3, 129, 3), (1000, 1000, 16)]
)
def test_level_has_at_most_64_cells_per_side(columns: int, rows: int, side: int) -> None:
    assert cell_side(columns, rows) == side


def test_uniform_map_without_plan_is_done_or_pending() -> None:
    level = LevelSummary(
        level=0, width_px=4, height_px=4, columns=130, rows=2, tiles=260, sparse=0, method="passthrough"
    )
    (done,), (waiting,) = uniform_map([level], is_done=True), uniform_map([level], is_done=False)
    assert (done.tiles_done, waiting.tiles_done) == (260, 0)
    assert (done.cells, waiting.cells, done.side) == (("9" * 44,), ("0" * 44,), 3)


def test_map_of_million_tiles_has_bounded_size() -> None:
    side, run = 1024, 8192
    records = np.zeros(side * side, LAYOUT)
    records["column"], records["row"] = np.tile(np.arange(side), side), np.repeat(np.arange(side), side)
    runs = tuple(
        Chunk(
            number=number, stage=0, kind="copy", first=number * run, last=(number + 1) * run, source_bytes=0, tiles=run
        )
        for number in range(side * side // run)
    )
    plan = replace(plan_of(columns=side, rows=side, chunks=runs), levels=plan_of(side, side, ()).levels[:1])
    packed = coverage(plan, records.tobytes())
    (level,) = filled(plan, packed, {0, 1})
    assert (level.side, len(level.cells), len(level.cells[0])) == (16, 64, 64)
    assert level.cells[0] == "9" * 64
    assert level.cells[1] == "0" * 64
    assert len(packed) < 1_000_000


def plan_of(columns: int, rows: int, chunks: tuple[Chunk, ...]) -> Plan:
    """Return a plan of two levels with tiles of 64 px."""
    levels = tuple(
        PlannedLevel(
            level=level, width_px=columns * 64 >> level, height_px=rows * 64 >> level, tiles=0, sparse=0,
            method="passthrough", storage=None,
        )
        for level in range(2)
    )  # fmt: skip
    return Plan(width_px=columns * 64, height_px=rows * 64, tile_size_px=64, depth=12, levels=levels, chunks=chunks)
