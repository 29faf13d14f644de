"""Levels that are computed band by band equal the halved whole picture."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.geometry import Grid, level_count
from chalicelib.core.imaging.downsample import Bands, Part
from chalicelib.core.imaging.raster import Pixels, white
from tests.slides import picture

T = 16


def in_turn(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [function(item) for item in items]


def box(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    quads = padded.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).astype(float)
    means = quads.mean((1, 3))
    halves_up = np.resize((0.25, 0.5), means.shape[1])[:, None]
    halved_pixels: Pixels = np.floor(means + halves_up).astype(np.uint8)
    return halved_pixels


def whole_levels(pixels: Pixels, count: int) -> list[Pixels]:
    """Return the reference levels: the whole picture halved, with the last column and row repeated if odd."""
    levels = [pixels]
    for _ in range(count):
        levels.append(box(levels[-1]))
    return levels


Place = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A slide, its stored levels with the number of pixels that each lacks, and the number of levels that a block of each
    stage computes."""

    tile_size_px: int
    width_px: int
    height_px: int
    stored: dict[int, int]
    reaches: tuple[int, ...]
    full_width: bool
    backwards: bool

    @property
    def depth(self) -> int:
        return level_count(self.width_px, self.height_px, self.tile_size_px)

    def grid(self, level: int, held: tuple[int, int] | None = None, above: int = 0) -> Grid:
        width, height = held or (self.width_px, self.height_px)
        shift = above if held else level
        return Grid(width_px=-(-width >> shift), height_px=-(-height >> shift), tile_size_px=self.tile_size_px)

    def held(self, level: int) -> tuple[int, int]:
        """Return the stored (width, height) of a level: less than its grid, but never by a whole tile."""
        at, size = self.grid(level), self.tile_size_px
        less = self.stored[level]
        return (
            max((at.columns - 1) * size + 1, at.width_px - less),
            max((at.rows - 1) * size + 1, at.height_px - less),
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.sampled_from([8, 12, 16, 36]))
    width, height = draw(st.integers(1, 9 * size)), draw(st.integers(1, 9 * size))
    depth = level_count(width, height, size)
    coarser = draw(st.sets(st.integers(1, max(1, depth - 1)))) if depth > 1 else set()
    return Case(
        tile_size_px=size,
        width_px=width,
        height_px=height,
        stored={level: draw(st.integers(0, 2)) for level in sorted({0, *coarser})},
        reaches=tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))),
        full_width=draw(st.booleans()),
        backwards=draw(st.booleans()),
    )


def publish_case(case: Case) -> tuple[dict[Place, Pixels], dict[int, Pixels]]:
    """Return all published tiles of a case, and the reference pictures by level."""
    found: dict[Place, Pixels] = {}
    expected: dict[int, Pixels] = {}
    sources = [*case.stored, case.depth]
    for source, following in pairwise(sources):
        held = case.held(source)
        pictures = whole_levels(picture(*held, seed=source), following - 1 - source)
        expected |= {source + above: pixels for above, pixels in enumerate(pictures)}
        _run_stages(case, source, following, held, pictures[0], found)
    return found, expected


def _run_stages(
    case: Case, source: int, following: int, held: tuple[int, int], pixels: Pixels, found: dict[Place, Pixels]
) -> None:
    def publish(level: int, column: int, row: int, tile: Pixels, inside: tuple[int, int]) -> None:
        assert (level, column, row) not in found, "published twice"
        assert inside == case.grid(level).inside_px(column, row)
        found[level, column, row] = tile.copy()

    level, stage, handed = source, 0, None
    while stage == 0 or level < following - 1:
        reach = case.reaches[min(stage, len(case.reaches) - 1)]
        made = min(reach, following - 1 - level)
        whole = case.full_width and stage == 0
        on: dict[tuple[int, int], Pixels] = {}
        hand_on = partial(_keep, on) if level + made < following - 1 else None
        base, side = case.grid(level), 1 << reach
        for block_row in range(-(-base.rows // side)):
            for block_column in range(1 if whole else -(-base.columns // side)):
                block = (block_column, block_row, reach, made, whole)
                parts = _parts(case, level, source, held, block)
                bands = Bands(parts if handed is None else parts[1:], publish, case_spread(case), hand_on)
                for row in range(block_row * side, min(base.rows, (block_row + 1) * side)):
                    if handed is None:
                        bands.add(_band(pixels, parts[0], row))
                    else:
                        bands.add_halves(0, partial(_fill, handed, parts[0], row))
                bands.finish()
        handed, level, stage = on, level + made, stage + 1


def _keep(on: dict[tuple[int, int], Pixels], column: int, row: int, half: Pixels) -> None:
    assert (column, row) not in on
    on[column, row] = half


def case_spread(case: Case) -> Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]:
    """Return a map function that processes items forwards or backwards: threads guarantee no order."""
    return (lambda function, items: in_turn(function, reversed(list(items)))) if case.backwards else in_turn


def _parts(
    case: Case, first: int, source: int, held: tuple[int, int], block: tuple[int, int, int, int, bool]
) -> list[Part]:
    block_column, block_row, reach, made, whole = block
    parts = []
    for step in range(made + 1):
        at, side = case.grid(first + step), 1 << (reach - step)
        column = 0 if whole else block_column * side
        parts.append(
            Part(
                level=first + step, column=column, row=block_row * side,
                columns=at.columns if whole else min(at.columns - column, side), grid=at,
                content=case.grid(first + step, held, first + step - source),
            )
        )  # fmt: skip
    return parts


def _band(pixels: Pixels, part: Part, row: int) -> Pixels:
    size = part.grid.tile_size_px
    band, left = white(size, part.columns * size), part.column * size
    inside = pixels[row * size : (row + 1) * size, left : left + band.shape[1]]
    band[: inside.shape[0], : inside.shape[1]] = inside
    return band


def _fill(handed: dict[tuple[int, int], Pixels], part: Part, row: int, target: Pixels) -> None:
    half = part.grid.tile_size_px // 2
    for at in range(part.columns):
        target[:, at * half : (at + 1) * half] = handed[part.column + at, row]


@settings(max_examples=200, deadline=None)
@given(cases())
def test_every_tile_is_published_once_with_reference_pixels(case: Case) -> None:
    found, reference = publish_case(case)
    assert set(found) == {
        (level, column, row)
        for level in range(case.depth)
        for row in range(case.grid(level).rows)
        for column in range(case.grid(level).columns)
    }
    size = case.tile_size_px
    for (level, column, row), tile in found.items():
        at, picture_of = case.grid(level), reference[level]
        # If the file lacks the last pixels of a level because of rounding, its edge is repeated.
        missing = (0, at.height_px - picture_of.shape[0]), (0, at.width_px - picture_of.shape[1]), (0, 0)
        expected = np.pad(picture_of, missing, "edge")[
            row * size : (row + 1) * size, column * size : (column + 1) * size
        ]
        width, height = at.inside_px(column, row)
        assert np.array_equal(tile[:height, :width], expected)


@settings(max_examples=30, deadline=None)
@given(cases(), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.booleans())
def test_block_shape_does_not_change_pixels(case: Case, reaches: tuple[int, int], full_width: bool) -> None:
    one, _ = publish_case(case)
    other, _ = publish_case(replace(case, reaches=reaches, full_width=full_width, backwards=not case.backwards))
    for place, tile in one.items():
        width, height = case.grid(place[0]).inside_px(*place[1:])
        assert np.array_equal(tile[:height, :width], other[place][:height, :width])


def _copy(half: Pixels, target: Pixels) -> None:
    target[:] = half


def grid(width: int, height: int, level: int) -> Grid:
    return Grid(width_px=-(-width >> level), height_px=-(-height >> level), tile_size_px=T)


def test_bands_continue_from_halves_of_another_block() -> None:
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
        bands.add_halves(0, partial(_copy, reference[1][row * T // 2 : (row + 1) * T // 2]))
    bands.finish()
    assert set(published) == {(1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1), (2, 0, 0)}
    assert np.array_equal(published[2, 0, 0][: 3 * T // 4], reference[2])
    assert np.array_equal(handed[0, 0][: reference[3].shape[0]], reference[3])


@pytest.mark.parametrize("width", [T, T + 1])
def test_block_beyond_content_is_white(width: int) -> None:
    published = []
    part = Part(
        level=0, column=1, row=0, columns=1, grid=grid(2 * T, T, 0), content=grid(width, T, 0),
    )  # fmt: skip
    bands = Bands([part], lambda *found: published.append(found[3].copy()), in_turn)
    bands.add(white(T, T))
    bands.finish()
    assert (published[0] == 255).all()
