"""A block of a slide in pixels, one row of tiles at a time: published, halved, and halved again.

A row of tiles is called a band. Two bands of a level make one of the next coarser level, so all levels grow at once
while the block is read from top to bottom, and a level needs the memory of one band for any block height.
Levels are chained in pixels, never through JPEG; the 2 x 2 boxes never reach over a tile's border, so how a slide is
cut into blocks changes no pixel.

Beyond the slide's edge pixels repeat the last column and row while they are averaged, so that nothing bleeds in, and
are white in what is stored.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.geometry import Grid
from chalicelib.core.imaging.raster import Pixels, extended, halved, white

Spread = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a level that a block covers, in tiles: from (`column`, `row`), `columns` wide. `grid` is that of the
    published level, `content` that of what has pixels: a file may lack a pixel or two that rounding promised."""

    level: int
    column: int
    row: int
    columns: int
    grid: Grid
    content: Grid


@dataclass(slots=True)
class _Band:
    """The band of one level that is being filled: `pixels` of shape (tile size, columns * tile size, 3)."""

    part: Part
    row: int
    pixels: Pixels | None = None
    halves: int = 0


@dataclass(slots=True)
class Bands:
    """The levels of a block, finest first.

    `publish(level, column, row, pixels, inside)` is called for each tile, on any thread that `spread` uses; `inside` is
    (width, height) in pixels of its part within the level. `hand_on(column, row, half)` gets the halved tiles of the
    coarsest level, if a next stage uses them. `spread(function, items)` calls the function for each item.
    """

    parts: Sequence[Part]
    publish: Callable[[int, int, int, Pixels, tuple[int, int]], None]
    spread: Spread
    hand_on: Callable[[int, int, Pixels], None] | None = None
    _bands: list[_Band] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bands = [_Band(part, part.row) for part in self.parts]

    def add(self, pixels: Pixels) -> None:
        """Take the next band of the finest level, of shape (tile size, columns * tile size, 3)."""
        self._bands[0].pixels = pixels
        self._complete(0)

    def add_halves(self, index: int, fill: Callable[[Pixels], None]) -> None:
        """Take half a band of level `index` (its upper half first): `fill` writes it into the pixels it is given, of
        shape (tile size / 2, columns * tile size, 3), white before."""
        band = self._bands[index]
        size = band.part.grid.tile_size_px
        if band.pixels is None:
            band.pixels = white(size, band.part.columns * size)
        top = band.halves * (size // 2)
        fill(band.pixels[top : top + size // 2])
        band.halves += 1
        if band.halves == 2:
            self._complete(index)

    def finish(self) -> None:
        """Complete the bands whose lower half lies beyond the block."""
        for index, band in enumerate(self._bands):
            if band.halves:
                self._complete(index)

    def _complete(self, index: int) -> None:
        band = self._bands[index]
        pixels, row = band.pixels, band.row
        assert pixels is not None
        band.pixels, band.halves, band.row = None, 0, row + 1
        part, size = band.part, band.part.grid.tile_size_px
        is_last = index + 1 == len(self._bands)

        def work(column: int, target: Pixels | None) -> None:
            at = column - part.column
            tile = pixels[:, at * size : (at + 1) * size]
            inside = _clipped(part.content, column, row)
            whole = extended(tile, inside)
            self.publish(part.level, column, row, whole, part.grid.inside_px(column, row))
            if target is not None:
                target[:, at * (size // 2) : (at + 1) * (size // 2)] = halved(whole)
            elif self.hand_on is not None:
                self.hand_on(column, row, halved(whole))

        columns = range(part.column, part.column + part.columns)
        if is_last:
            self.spread(lambda column: work(column, None), columns)
        else:
            self.add_halves(index + 1, lambda target: _ignore(self.spread(lambda each: work(each, target), columns)))


def _ignore(_results: list[Any]) -> None:
    """What the calls return is nothing."""


def _clipped(content: Grid, column: int, row: int) -> tuple[int, int]:
    """Return (width, height) in pixels of what a tile has of the content, 0 where it has nothing."""
    width, height = content.inside_px(column, row)
    return max(0, width), max(0, height)
