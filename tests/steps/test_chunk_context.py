"""Tile names that are joined from cached parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.geometry import tile_name
from chalicelib.steps.tile.chunk_context import name_of


@given(st.data())
def test_name_of_equals_tile_name(data: st.DataObject) -> None:
    levels = data.draw(st.integers(1, 14))
    level = data.draw(st.integers(0, levels - 1))
    places = st.integers(0, (1 << (levels - 1 - level)) - 1)
    column, row = data.draw(places), data.draw(places)
    assert name_of(level, column, row, levels) == tile_name(level, column, row, levels=levels)


@pytest.mark.parametrize(
    ("level", "column", "row"), [(0, 512, 0), (0, 0, 512), (0, -1, 0), (3, 64, 0), (9, 1, 0), (10, 0, 0), (-1, 0, 0)]
)
def test_tile_outside_quadtree_has_no_name(level: int, column: int, row: int) -> None:
    with pytest.raises(ValueError, match="no tile"):
        name_of(level, column, row, 10)
