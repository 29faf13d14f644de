from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.geometry import Grid, level_count, level_grid, tile_address, tile_name

VECTORS = {
    (0, 0, 0): "t", (0, 0, 1): "tq", (1, 0, 1): "tr", (0, 1, 1): "tt", (1, 1, 1): "ts", (5, 3, 3): "trts",
    (8, 15, 5): "tqsttt", (31, 0, 5): "trrrrr", (0, 31, 5): "tttttt", (123, 45, 7): "trsrstrs",
}  # fmt: skip


@pytest.mark.parametrize(("place", "name"), VECTORS.items())
def test_tile_names_equal_those_of_the_viewer(place: tuple[int, int, int], name: str) -> None:
    column, row, depth = place
    assert tile_name(0, column, row, levels=depth + 1) == f"{name}.jpg"
    assert tile_address(f"{name}.jpg", levels=depth + 1) == (0, column, row)


@given(st.data(), st.integers(1, 20))
def test_tile_name_survives_round_trip(data: st.DataObject, levels: int) -> None:
    level = data.draw(st.integers(0, levels - 1))
    side = 1 << (levels - 1 - level)
    column, row = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    name = tile_name(level, column, row, levels=levels)
    assert tile_address(name, levels=levels) == (level, column, row)
    assert len(name) == levels - level + len(".jpg")


@pytest.mark.parametrize(("level", "column", "row"), [(0, 4, 0), (0, 0, -1), (3, 0, 0), (-1, 0, 0), (2, 1, 0)])
def test_address_outside_quadtree_has_no_name(level: int, column: int, row: int) -> None:
    with pytest.raises(ValueError, match="no tile"):
        tile_name(level, column, row, levels=3)


@pytest.mark.parametrize("name", ["t", "x.jpg", "tx.jpg", "tqqqq.jpg", "tq.png", ".jpg"])
def test_other_text_is_not_a_tile_name(name: str) -> None:
    with pytest.raises(ValueError, match="no tile name"):
        tile_address(name, levels=4)


@pytest.mark.parametrize(
    ("width", "height", "tile", "levels"),
    [
        (2220, 2967, 240, 5),
        (240, 240, 240, 1),
        (241, 1, 240, 2),
        (1, 1, 256, 1),
        (40000, 30000, 256, 9),
        (512, 512, 256, 2),
    ],
)
def test_pyramid_halves_until_it_fits_one_tile(width: int, height: int, tile: int, levels: int) -> None:
    assert level_count(width, height, tile) == levels
    top = level_grid(width, height, tile, levels - 1)
    assert (top.columns, top.rows) == (1, 1)


@given(
    st.integers(1, 2_000_000), st.integers(1, 2_000_000), st.integers(4, 256).map(lambda sixteenths: sixteenths * 16)
)
def test_level_count_equals_viewer_formula(width: int, height: int, tile: int) -> None:
    levels = level_count(width, height, tile)
    # ceil(log2(side / tile)) + 1, at least 1, without the rounding of floating point
    side = max(width, height)
    assert side <= tile << (levels - 1)
    assert levels == 1 or side > tile << (levels - 2)
    grids = [level_grid(width, height, tile, level) for level in range(levels)]
    for finer, coarser in pairwise(grids):
        assert (coarser.columns, coarser.rows) == (-(-finer.columns // 2), -(-finer.rows // 2))
        assert (coarser.width_px, coarser.height_px) == (-(-finer.width_px // 2), -(-finer.height_px // 2))
    assert grids[-1].tiles == 1


def test_level_sizes_round_up_and_edge_tiles_are_partial() -> None:
    grids = [level_grid(2220, 2967, 240, level) for level in range(5)]
    assert [(grid.columns, grid.rows, grid.tiles) for grid in grids] == [
        (10, 13, 130), (5, 7, 35), (3, 4, 12), (2, 2, 4), (1, 1, 1),
    ]  # fmt: skip
    assert (grids[3].width_px, grids[3].height_px) == (278, 371)
    assert grids[0].inside_px(0, 0) == (240, 240)
    assert grids[0].inside_px(9, 12) == (60, 87)
    assert Grid(width_px=480, height_px=10, tile_size_px=240).inside_px(1, 0) == (240, 10)
