"""Where tiles lie. Level 0 is full resolution and larger is coarser; columns and rows count from the top left.

SlideAtlas' quadtree counts the other way round (its root is the coarsest level); names are translated here only.
"""

from dataclasses import dataclass

# One letter a quadtree step: index = x bit + 2 * y bit, y down (slideatlas' viewer; checked by its test vectors).
QUADRANTS = "qrts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The tiles of one level: `columns` x `rows` squares of `tile_size_px` that cover `width_px` x `height_px`."""

    width_px: int
    height_px: int
    tile_size_px: int

    @property
    def columns(self) -> int:
        return -(-self.width_px // self.tile_size_px)

    @property
    def rows(self) -> int:
        return -(-self.height_px // self.tile_size_px)

    @property
    def tiles(self) -> int:
        return self.columns * self.rows

    def inside_px(self, column: int, row: int) -> tuple[int, int]:
        """Return (width, height) in pixels of the part of a tile that lies inside the level."""
        return (
            min(self.tile_size_px, self.width_px - column * self.tile_size_px),
            min(self.tile_size_px, self.height_px - row * self.tile_size_px),
        )


def level_count(width_px: int, height_px: int, tile_size_px: int) -> int:
    """Return how many levels a complete pyramid has: halvings until one tile holds the whole slide."""
    tiles = -(-max(width_px, height_px) // tile_size_px)
    return max(1, (tiles - 1).bit_length() + 1)


def level_grid(width_px: int, height_px: int, tile_size_px: int, level: int) -> Grid:
    """Return the grid of `level` of a slide of this base size. Sizes are rounded up at every halving."""
    return Grid(width_px=-(-width_px >> level), height_px=-(-height_px >> level), tile_size_px=tile_size_px)


def tile_name(level: int, column: int, row: int, *, levels: int) -> str:
    """Return SlideAtlas' name of a tile, `t` and one letter a quadtree step: `trts.jpg`.

    `levels` is the count of the complete pyramid. Raises ValueError for a tile outside the quadtree.
    """
    depth = levels - 1 - level
    if not (0 <= depth < levels and 0 <= column < 1 << depth and 0 <= row < 1 << depth):
        raise ValueError(f"no tile ({column}, {row}) at level {level} of {levels}")
    steps = (QUADRANTS[(column >> bit & 1) + 2 * (row >> bit & 1)] for bit in range(depth - 1, -1, -1))
    return f"t{''.join(steps)}.jpg"


def tile_address(name: str, *, levels: int) -> tuple[int, int, int]:
    """Return (level, column, row) of a tile name: the inverse of `tile_name`. Raises ValueError for other text."""
    stem = name.removesuffix(".jpg")
    if stem == name or not stem.startswith("t") or len(stem) > levels:
        raise ValueError(f"{name!r} is no tile name of a pyramid with {levels} levels")
    column = row = 0
    for letter in stem[1:]:
        index = QUADRANTS.find(letter)
        if index < 0:
            raise ValueError(f"{name!r} is no tile name: {letter!r} is no quadrant")
        column, row = column * 2 + (index & 1), row * 2 + (index >> 1)
    return levels - len(stem), column, row
