"""Chunks that decode: batches of inserts, and pasting into bands."""

import numpy as np
import pytest

from chalicelib.core.jobs.model import Job, State
from chalicelib.ports.archive import Tile
from chalicelib.steps.tile import make
from chalicelib.steps.tile.make import _paste
from tests.slides import Slide, write
from tests.world import World


def made(monkeypatch: pytest.MonkeyPatch, batch_bytes: int) -> tuple[dict[str, bytes], list[int]]:
    """Return the tiles of a slide whose levels are all made, and the size of each bulk insert."""
    monkeypatch.setattr(make, "BATCH_BYTES", batch_bytes)
    world = World(chunk_bytes=1 << 20)
    world.put(write(Slide(width_px=700, height_px=500, compression="deflate")))
    batches: list[int] = []
    real = world.memory_archive.write

    def write_tiles(job: Job, generation: int, tiles: list[Tile]) -> None:
        batches.append(len(tiles))
        real(job, generation, tiles)

    monkeypatch.setattr(world.memory_archive, "write", write_tiles)
    job = world.finish(world.submit())
    assert job.state is State.DONE
    return world.tiles(job), batches


def test_insert_batches_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    together, few = made(monkeypatch, 1 << 30)
    apart, many = made(monkeypatch, 4000)
    assert together == apart
    assert sum(few) == sum(many) == len(together)
    assert max(many) < max(few)
    assert len(many) > len(few)


def test_paste_outside_band_changes_nothing() -> None:
    band = np.zeros((4, 6, 3), np.uint8)
    for left, top in ((6, 0), (0, 4), (-2, 0), (0, -2)):
        _paste(band, np.full((2, 2, 3), 255, np.uint8), left, top)
    assert not band.any()
    _paste(band, np.full((2, 2, 3), 255, np.uint8), -1, 3)
    assert band[3, 0].all()
    assert band.sum() == 3 * 255
