"""The map of a job: each level of its pyramid as a grid of cells that fill up.

A cell stands for a square of tiles, and a level has at most 64 x 64 cells for any slide size. Which tiles each
chunk publishes into which cell is counted once from the plan (`Coverage`); a map is made of that and of the set of done
chunks, in time and memory that do not grow with the number of tiles.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from chalicelib.core.geometry import Grid
from chalicelib.core.jobs.model import BadTile, LevelSummary
from chalicelib.core.jobs.verification import TileFault
from chalicelib.core.plan.chunks import LAYOUT, RECORD, Chunk, Plan, PlannedLevel

MAX_CELLS = 64  # a side
# How much of a cell is done, as one character: nothing is published there, nothing yet, some of it (1 to 8), all.
NO_TILES, NONE_DONE, ALL_DONE = ".", "0", "9"
SOME_DONE = 8
# So many records are looked at in one go: three megabytes of them.
PIECE = 1 << 17
Entries = Any  # a numpy array of ENTRY
# Of `tiles` tiles that chunk `chunk` publishes into cell `cell`; cells are counted through all levels, row by row.
ENTRY = [("chunk", "<u4"), ("cell", "<u4"), ("tiles", "<u4")]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelProgress:
    """A level of the map: `columns` x `rows` tiles, of which a cell holds a square of `side`. `tiles_done` counts
    those that are published by now. `cells` has one text a row of cells, one character a cell."""

    level: int
    columns: int
    rows: int
    side: int
    tiles_done: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds of workers, and US dollars at AWS; both are estimates."""

    worker_seconds: float
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressMap:
    """A job's map. `bad` are the first of its damaged tiles, and `faults` the first that a verification found wrong, as
    far as it has come; `cost` is what that took."""

    levels: tuple[LevelProgress, ...]
    cost: Cost
    bad: tuple[BadTile, ...] = ()
    faults: tuple[TileFault, ...] = ()


def cell_side(columns: int, rows: int) -> int:
    """Return how many tiles a cell has along each side."""
    return max(1, -(-max(columns, rows) // MAX_CELLS))


def coverage(plan: Plan, records: bytes) -> bytes:
    """Return which tiles each chunk of a plan publishes into which cell, packed. `records` are the plan's own."""
    import numpy as np

    cells = _Cells(plan)
    runs = [chunk for chunk in plan.chunks if chunk.kind != "make"]
    counted = [_of_block(chunk, cells) for chunk in plan.chunks if chunk.kind == "make"]
    counted += _of_runs(runs, cells, records)
    return b"".join(np.ascontiguousarray(each).tobytes() for each in counted)


def filled(plan: Plan, packed: bytes, done: Set[int]) -> tuple[LevelProgress, ...]:
    """Return the map of a plan whose `coverage` is known, once the chunks `done` are done."""
    import numpy as np

    entries = np.frombuffer(packed, ENTRY)
    cells = _Cells(plan)
    is_done = np.zeros(len(plan.chunks), bool)
    is_done[[number for number in done if number < len(plan.chunks)]] = True
    total = np.bincount(entries["cell"], entries["tiles"], cells.count)
    ready = np.bincount(entries["cell"], entries["tiles"] * is_done[entries["chunk"]], cells.count)
    share = ready / np.maximum(total, 1)
    tenths = np.clip(1 + np.floor(share * SOME_DONE), 1, SOME_DONE)
    tenths = np.where(ready == 0, int(NONE_DONE), np.where(ready == total, int(ALL_DONE), tenths))
    text = np.where(total == 0, NO_TILES, tenths.astype(np.uint8).astype("U1"))
    return tuple(
        LevelProgress(
            level=level.level,
            columns=grid.columns,
            rows=grid.rows,
            side=side,
            tiles_done=int(_own(ready, first, grid, side).sum()),
            cells=tuple("".join(row) for row in _own(text, first, grid, side)),
        )
        for level, grid, side, first in cells.levels
    )


def uniform_map(levels: Sequence[LevelSummary], *, is_done: bool) -> tuple[LevelProgress, ...]:
    """Return the map of a job whose plan is not there, or not any more: nothing of it is done, or all."""
    sides = [(level, cell_side(level.columns, level.rows)) for level in levels]
    mark = ALL_DONE if is_done else NONE_DONE
    return tuple(
        LevelProgress(
            level=level.level,
            columns=level.columns,
            rows=level.rows,
            side=side,
            tiles_done=level.tiles if is_done else 0,
            cells=(mark * -(-level.columns // side),) * -(-level.rows // side),
        )
        for level, side in sides
    )


def _own(cells: Any, first: int, grid: Grid, side: int) -> Any:
    """Return the cells of one level, row by row."""
    across, down = -(-grid.columns // side), -(-grid.rows // side)
    return cells[first : first + across * down].reshape(down, across)


class _Cells:
    """The cells of all levels of a plan, with a number each."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.levels: list[tuple[PlannedLevel, Grid, int, int]] = []
        self.count = 0
        for level in plan.levels:
            grid = plan.grid(level.level)
            side = cell_side(grid.columns, grid.rows)
            self.levels.append((level, grid, side, self.count))
            self.count += -(-grid.columns // side) * -(-grid.rows // side)

    def numbers(self, index: int, columns: Any, rows: Any) -> Any:
        """Return the cells of tiles of one level."""
        _, grid, side, first = self.levels[index]
        return first + rows // side * -(-grid.columns // side) + columns // side


def _of_block(chunk: Chunk, cells: _Cells) -> Entries:
    """Return what a chunk that decodes covers: its block, and the halved ones of the levels that it makes."""
    import numpy as np

    found = []
    for step in range(0 if chunk.encodes else 1, chunk.downsampled_levels + 1):
        index = chunk.level + step
        _, grid, side, first = cells.levels[index]
        length = 1 << max(0, chunk.block_levels - step)
        left, right = (0, grid.columns) if chunk.full_width else (chunk.column * length, (chunk.column + 1) * length)
        columns, rows = (
            np.bincount(np.arange(start, min(stop, end)) // side)
            for start, stop, end in (
                (left, right, grid.columns), (chunk.row * length, (chunk.row + 1) * length, grid.rows)
            )
        )  # fmt: skip
        tiles = np.outer(rows, columns)
        down, across = np.nonzero(tiles)
        entries = np.empty(len(down), ENTRY)
        entries["chunk"], entries["tiles"] = chunk.number, tiles[down, across]
        entries["cell"] = first + down * -(-grid.columns // side) + across
        found.append(entries)
    return np.concatenate(found) if found else np.empty(0, ENTRY)


def _of_runs(runs: Sequence[Chunk], cells: _Cells, packed: bytes) -> Iterator[Entries]:
    """Yield what chunks that copy or cut cover, a piece of the records at a time. Theirs come first; blocks need none,
    they know their place."""
    import numpy as np

    numbers = np.array([chunk.number for chunk in runs], np.int64)
    ends = np.array([chunk.last for chunk in runs], np.int64)
    total = int(ends.max(initial=0))
    for begin in range(0, total, PIECE):
        records = np.frombuffer(packed, LAYOUT, min(PIECE, total - begin), begin * RECORD.size)
        chunks = numbers[np.searchsorted(ends, begin + np.arange(len(records)), side="right")]
        for index in range(len(cells.levels)):
            own = records["level"] == cells.levels[index][0].level
            yield _counted(chunks[own], records[own], index, cells)


def _counted(chunks: Any, records: Any, index: int, cells: _Cells) -> Entries:
    """Return the tiles of one level that come of these records: of a larger stored tile come several."""
    import numpy as np

    level, grid, _, _ = cells.levels[index]
    size_px, storage = grid.tile_size_px, level.storage
    across = max(1, storage.tile_width_px // size_px) if storage else 1
    down = max(1, storage.tile_height_px // size_px) if storage else 1
    keys = []
    for right in range(across):
        for below in range(down):
            columns = records["column"].astype(np.int64) * across + right
            rows = records["row"].astype(np.int64) * down + below
            inside = (columns < grid.columns) & (rows < grid.rows)
            keys.append(chunks[inside] * cells.count + cells.numbers(index, columns[inside], rows[inside]))
    found, tiles = np.unique(np.concatenate(keys), return_counts=True)
    entries = np.empty(len(found), ENTRY)
    entries["chunk"], entries["cell"], entries["tiles"] = found // cells.count, found % cells.count, tiles
    return entries
