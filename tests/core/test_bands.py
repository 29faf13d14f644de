"""Levels made band by band equal the picture halved as a whole."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.bands import Bands, Part
from chalicelib.core.geometry import Grid
from chalicelib.core.raster import Pixels, white
from tests.slides import picture

T = 16


def in_turn(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [function(item) for item in items]


def box(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    quads = padded.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).astype(float)
    return np.floor(quads.mean((1, 3)) + 0.5).astype(np.uint8)


def whole_levels(pixels: Pixels, count: int) -> list[Pixels]:
    """The reference: every level by halving the whole picture, its last column and row repeated where it is odd."""
    levels = [pixels]
    for _ in range(count):
        levels.append(box(levels[-1]))
    return levels


def grid(width: int, height: int, level: int) -> Grid:
    return Grid(width_px=-(-width >> level), height_px=-(-height >> level), tile_size_px=T)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2))
def test_every_tile_is_published_once_with_the_pixels_of_the_whole_picture(
    width: int, height: int, block_levels: int, made: int, lacking: int
) -> None:
    made = min(made, block_levels)
    # What the file holds may lack a pixel or two of what the level promises.
    held_width, held_height = max(1, width - lacking), max(1, height - lacking)
    pixels = picture(held_width, held_height)
    reference = whole_levels(pixels, made)
    found: dict[tuple[int, int, int], Pixels] = {}

    def publish(level: int, column: int, row: int, tile: Pixels, inside: tuple[int, int]) -> None:
        assert (level, column, row) not in found
        assert inside == grid(width, height, level).inside_px(column, row)
        found[level, column, row] = tile.copy()

    base, side = grid(width, height, 0), 1 << block_levels
    for block_row in range(-(-base.rows // side)):
        for block_column in range(-(-base.columns // side)):
            parts = []
            for level in range(made + 1):
                at = grid(width, height, level)
                column = block_column * side >> level
                columns = min(at.columns - column, side >> level)
                parts.append(
                    Part(
                        level=level, column=column, row=block_row * side >> level, columns=columns, grid=at,
                        content=grid(held_width, held_height, level),
                    )
                )  # fmt: skip
            bands = Bands(parts, publish, in_turn)
            for row in range(block_row * side, min(base.rows, (block_row + 1) * side)):
                band = white(T, parts[0].columns * T)
                left = parts[0].column * T
                part = pixels[row * T : (row + 1) * T, left : left + band.shape[1]]
                band[: part.shape[0], : part.shape[1]] = part
                bands.add(band)
            bands.finish()
    assert len(found) == sum(grid(width, height, level).tiles for level in range(made + 1))
    for (level, column, row), tile in found.items():
        expected = reference[level][row * T : (row + 1) * T, column * T : (column + 1) * T]
        assert np.array_equal(tile[: expected.shape[0], : expected.shape[1]], expected)


def test_halves_that_are_handed_in_go_on_where_another_block_stopped_and_are_handed_on() -> None:
    pixels = picture(4 * T, 3 * T)
    reference = whole_levels(pixels, 3)
    handed: dict[tuple[int, int], Pixels] = {}
    published: dict[tuple[int, int, int], Pixels] = {}
    parts = [
        Part(
            level=level, column=0, row=0, columns=grid(4 * T, 3 * T, level).columns, grid=grid(4 * T, 3 * T, level),
            content=grid(4 * T, 3 * T, level),
        )
        for level in (1, 2)
    ]  # fmt: skip
    bands = Bands(
        parts,
        lambda level, column, row, tile, _: published.__setitem__((level, column, row), tile.copy()),
        in_turn,
        lambda column, row, half: handed.__setitem__((column, row), half),
    )
    for row in range(3):
        half = reference[1][row * T // 2 : (row + 1) * T // 2]
        bands.add_halves(0, lambda target, half=half: target.__setitem__(slice(None), half))  # type: ignore[misc]
    bands.finish()
    assert set(published) == {(1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1), (2, 0, 0)}
    assert np.array_equal(published[2, 0, 0][: 3 * T // 4], reference[2])
    assert np.array_equal(handed[0, 0][: reference[3].shape[0]], reference[3])


@pytest.mark.parametrize("width", [T, T + 1])
def test_a_block_beyond_all_content_is_white(width: int) -> None:
    published = []
    part = Part(
        level=0, column=1, row=0, columns=1, grid=grid(2 * T, T, 0), content=grid(width, T, 0),
    )  # fmt: skip
    bands = Bands([part], lambda *found: published.append(found[3].copy()), in_turn)
    bands.add(white(T, T))
    bands.finish()
    assert (published[0] == 255).all()
