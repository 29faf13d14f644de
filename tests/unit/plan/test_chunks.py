import io
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.plan import chunks
from chalicelib.core.plan.chunks import Plan, TileRecord, build_plan
from chalicelib.core.plan.plan_format import dump_plan, load_plan, plan_digest, unpack_records
from chalicelib.core.plan.pyramid import Pyramid, plan_pyramid
from chalicelib.core.plan.read_windows import GAP_BYTES, WINDOW_BYTES, windows
from chalicelib.core.tiff.directory import read_ifds
from tests.slides import Colour, Slide, write


def pyramid_of(slide: Slide, *, base_only: bool = False) -> Pyramid:
    data = write(slide)
    ifds = read_ifds(io.BytesIO(data), size_bytes=len(data))
    return plan_pyramid(ifds, size_bytes=len(data), tile_size=None, base_only=base_only)


def made_tiles(plan: Plan) -> Counter[tuple[int, int, int]]:
    """Return the tiles that the blocks of the make chunks cover."""
    found: Counter[tuple[int, int, int]] = Counter()
    for chunk in plan.chunks:
        for step in range(1, chunk.downsampled_levels + 1):
            side = 1 << (chunk.block_levels - step)
            grid = plan.grid(chunk.level + step)
            for row in range(chunk.row * side, min((chunk.row + 1) * side, grid.rows)):
                for column in range(chunk.column * side, min((chunk.column + 1) * side, grid.columns)):
                    found[chunk.level + step, column, row] += 1
    return found


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 900), st.integers(1, 700), st.sets(st.integers(1, 3)), st.integers(1, 3), st.integers(1, 2),
    st.integers(1, 20_000),
)  # fmt: skip
def test_every_tile_is_in_exactly_one_chunk(
    width: int, height: int, stored: set[int], block: int, later: int, chunk_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "BLOCK_LEVELS", block)
        patch.setattr(chunks, "LATER_BLOCK_LEVELS", later)
        pyramid = pyramid_of(Slide(width_px=width, height_px=height, levels=(0, *sorted(stored))))
        plan, packed = build_plan(pyramid, chunk_bytes=chunk_bytes)
    records = list(unpack_records(packed))
    copied = Counter(
        (record.level, record.column, record.row)
        for chunk in plan.chunks
        if chunk.kind == "copy"
        for record in records[chunk.first : chunk.last]
    )
    every = Counter(
        (level.level, column, row)
        for level in pyramid.levels
        for row in range(level.rows)
        for column in range(level.columns)
    )
    assert copied + made_tiles(plan) == every
    assert plan.tiles == sum(chunk.tiles for chunk in plan.chunks) == sum(every.values())
    assert [chunk.number for chunk in plan.chunks] == list(range(len(plan.chunks)))
    assert plan.source_bytes == sum(record.size_bytes for record in records)
    for chunk in plan.chunks:
        run = records[chunk.first : chunk.last]
        if chunk.kind == "make":
            side = chunk.block_levels
            assert {(record.level, record.column >> side, record.row >> side) for record in run} == (
                set() if chunk.from_pixels else {(chunk.level, chunk.column, chunk.row)}
            )
        assert chunk.source_bytes == sum(record.size_bytes for record in run)
        assert [record.offset for record in run] == sorted(record.offset for record in run)
        assert chunk.kind == "make" or len(run) == 1 or chunk.source_bytes <= chunk_bytes


def test_chunk_tiles_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_CHUNK_TILES", 30)
    plan, _ = build_plan(pyramid_of(Slide(), base_only=True), chunk_bytes=1 << 30)
    assert [chunk.tiles for chunk in plan.chunks] == [30, 30, 28]


def test_sparse_tiles_are_in_no_chunk() -> None:
    plan, packed = build_plan(pyramid_of(Slide(sparse=frozenset({(0, 1, 1)})), base_only=True), chunk_bytes=1 << 30)
    assert plan.tiles == 87
    assert (1, 1) not in {(record.column, record.row) for record in unpack_records(packed)}


def test_stage_is_ready_when_previous_stage_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "BLOCK_LEVELS", 2)
    monkeypatch.setattr(chunks, "LATER_BLOCK_LEVELS", 1)
    plan, _ = build_plan(pyramid_of(Slide()), chunk_bytes=1 << 30)
    assert [(chunk.stage, chunk.kind) for chunk in plan.chunks] == [
        (0, "copy"), *[(0, "make")] * 6, (1, "make"), (1, "make"), (2, "make"),
    ]  # fmt: skip
    assert [chunk.hands_on for chunk in plan.chunks] == [False, *[True] * 6, True, True, False]
    assert [chunk.from_pixels for chunk in plan.chunks] == [*[False] * 7, True, True, True]
    assert [chunk.number for chunk in plan.ready(frozenset())] == [0, 1, 2, 3, 4, 5, 6]
    assert [chunk.number for chunk in plan.ready({0, 1, 2, 4, 5, 6})] == [3]
    assert [chunk.number for chunk in plan.ready(set(range(7)))] == [7, 8]
    assert [chunk.number for chunk in plan.ready(set(range(9)))] == [9]
    assert plan.ready(set(range(10))) == ()


def test_plan_is_deterministic_and_survives_round_trip() -> None:
    pyramid = pyramid_of(Slide(levels=(0, 2), colour="rgb", tables=True))
    plan, records = build_plan(pyramid, chunk_bytes=5000)
    head = dump_plan(plan)
    assert (dump_plan(build_plan(pyramid, chunk_bytes=5000)[0]), build_plan(pyramid, chunk_bytes=5000)[1]) == (
        head,
        records,
    )
    assert load_plan(head) == plan
    assert [level.method for level in plan.levels] == [
        "passthrough",
        "downsampled",
        "passthrough",
        "downsampled",
        "downsampled",
    ]
    assert [level.storage is None for level in plan.levels] == [False, True, False, True, True]
    digests = {plan_digest(head, records), plan_digest(head, records + b"x"), plan_digest(head + b" ", records)}
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("colour", "subsampling"), [("ycbcr", "420"), ("ycbcr444", "444"), ("rgb", "444"), ("grey", "444")]
)
def test_made_tiles_keep_the_chroma_of_their_source(colour: Colour, subsampling: str) -> None:
    plan, _ = build_plan(pyramid_of(Slide(colour=colour)), chunk_bytes=1 << 30)
    assert plan.levels[0].storage is not None
    assert plan.levels[0].storage.chroma == subsampling


def test_planned_level_records_stored_size_and_level_size() -> None:
    plan, _ = build_plan(pyramid_of(Slide(width_px=701, height_px=501, levels=(0, 1), floor=True)), chunk_bytes=1 << 30)
    stored = plan.levels[1]
    assert (stored.width_px, stored.height_px, stored.content_px) == (351, 251, (350, 250))


def test_padding_of_stored_level_is_not_content() -> None:
    plan, _ = build_plan(
        pyramid_of(Slide(width_px=640, height_px=512, levels=(0, 2), padded=True)), chunk_bytes=1 << 30
    )
    stored = plan.levels[2]
    assert (stored.width_px, stored.height_px, stored.content_px) == (160, 128, (160, 128))


RECORD = TileRecord(0, 1, 0, 0, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 3 * GAP_BYTES), st.integers(1, 200_000)), max_size=60))
def test_windows_cover_every_tile_once_within_bounds(runs: list[tuple[int, int]]) -> None:
    records, offset = [], 0
    for gap, size in runs:
        records.append(RECORD._replace(offset=offset + gap, size_bytes=size))
        offset += gap + size
    found = list(windows(records))
    assert [record for window in found for record in window.records] == records
    for window in found:
        assert window.start == window.records[0].offset
        assert window.stop == max(record.offset + record.size_bytes for record in window.records)
        assert window.stop - window.start <= WINDOW_BYTES or len(window.records) == 1


def test_window_bridges_small_gaps_within_its_bound() -> None:
    def at(offset: int, size: int = 1000) -> TileRecord:
        return RECORD._replace(offset=offset, size_bytes=size)

    near, far = [at(0), at(1000 + GAP_BYTES)], [at(0), at(1001 + GAP_BYTES)]
    assert [len(window.records) for window in windows(near)] == [2]
    assert [len(window.records) for window in windows(far)] == [1, 1]
    assert [len(window.records) for window in windows([at(0, WINDOW_BYTES), at(WINDOW_BYTES)])] == [1, 1]
    # Two tiles that share their bytes need one read.
    assert [(window.start, window.stop) for window in windows([at(0, 5000), at(0, 1000)])] == [(0, 5000)]
    assert list(windows([])) == []


@pytest.mark.parametrize(("chunk_bytes", "block_levels"), [(1 << 30, 5), (200_000, 3), (10, 1)])
def test_blocks_of_large_tiles_have_fewer_levels(chunk_bytes: int, block_levels: int) -> None:
    plan, _ = build_plan(pyramid_of(Slide(colour="ycbcr444")), chunk_bytes=chunk_bytes)
    assert {chunk.block_levels for chunk in plan.chunks if chunk.kind == "make" and chunk.stage == 0} == {block_levels}
