"""From the call to the readers: levels, tiles and batches of a published slide."""

import io

import pytest
from PIL import Image

from chalicelib.core.geometry import tile_address
from chalicelib.core.jobs.model import Job, State
from chalicelib.core.plan import chunks
from chalicelib.ports.archive import Tile
from tests.slides import Slide, write
from tests.steps.jobs import world_with
from tests.steps.small_slides import published, small
from tests.world import World

pytestmark = pytest.mark.usefixtures("small_blocks")


def test_slide_is_published_from_call_to_readers() -> None:
    world, job = published()
    assert (job.state, job.attempt, job.error) == (State.DONE, 1, None)
    assert [(level.level, level.tiles, level.method) for level in job.levels] == [
        (0, 20, "passthrough"), (1, 6, "downsampled"), (2, 2, "passthrough"), (3, 1, "downsampled"),
    ]  # fmt: skip
    tiles = world.tiles(job)
    assert sorted(tile_address(name, levels=4) for name in tiles) == sorted(
        [(0, column, row) for column in range(5) for row in range(4)]
        + [(1, column, row) for column in range(3) for row in range(2)]
        + [(2, column, 0) for column in range(2)]
        + [(3, 0, 0)]
    )
    assert job.published is not None
    assert world.views() == (job.published.view,)
    assert world.memory_archive.shows(job)
    assert (job.tiles_done, job.bytes_done) == (29, job.bytes_total)
    assert world.memory_archive.tile(job.published.image_store, job.published.image, "t.jpg") == tiles["t.jpg"]


def test_levels_in_stages_equal_levels_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    base_only = write(Slide(width_px=1000, height_px=700))

    def tiles() -> tuple[dict[str, bytes], int]:
        world = World(chunk_bytes=1 << 30)
        world.put(base_only)
        job = world.finish(world.submit())
        return world.tiles(job), len([key for key in world.memory_work.objects if "/pixels/" in key])

    staged, handed_on = tiles()
    monkeypatch.setattr(chunks, "BLOCK_LEVELS", 5)
    at_once, none = tiles()
    assert handed_on > 10
    assert none == 0
    assert staged == at_once


def test_base_only_is_published_under_names_of_whole_pyramid() -> None:
    world, job = published(base_only=True)
    assert len(world.tiles(job)) == 20
    assert {len(name) for name in world.tiles(job)} == {len("tqqq.jpg")}


def test_sparse_slide_is_published_without_missing_tiles() -> None:
    world = World()
    world.put(write(Slide(width_px=300, height_px=200, sparse=frozenset({(0, 1, 1), (0, 4, 3)}))))
    job = world.finish(world.submit())
    assert (job.state, job.levels[0].tiles, job.levels[0].sparse) == (State.DONE, 18, 2)
    assert len(world.tiles(job)) == 18 + 6 + 2 + 1


def test_write_batches_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    world, job = published()
    monkeypatch.setattr("chalicelib.steps.tile.chunk_context.BATCH_BYTES", 5000)
    monkeypatch.setattr("chalicelib.steps.tile.make.BATCH_BYTES", 5000)
    sizes: list[int] = []
    bounded = World()
    write_tiles = bounded.memory_archive.write

    def watched(of: Job, generation: int, tiles: list[Tile]) -> None:
        sizes.append(sum(len(tile.jpeg) for tile in tiles))
        assert len(tiles) == 1 or sizes[-1] <= 5000
        write_tiles(of, generation, tiles)

    monkeypatch.setattr(bounded.memory_archive, "write", watched)
    bounded.put(small())
    assert bounded.tiles(bounded.finish(bounded.submit())) == world.tiles(job)
    assert len(sizes) > 10


def test_block_without_stored_tiles_is_white() -> None:
    corner = frozenset((0, column, row) for column in (2, 3) for row in (0, 1))
    world = World()
    world.put(write(Slide(width_px=300, height_px=200, sparse=corner)))
    job = world.finish(world.submit())
    assert job.state is State.DONE
    white = Image.open(io.BytesIO(world.tiles(job)["tqr.jpg"]))
    assert white.getextrema() == ((255, 255), (255, 255), (255, 255))


def test_messages_are_grouped_by_collection() -> None:
    world = world_with()
    groups = set()
    job = world.submit()
    while world.memory_queue.sent:
        message = world.memory_queue.sent.pop(0)
        groups.add((message.step, message.group))
        world.deliver(message)
    assert world.job(job).state is State.DONE
    assert groups == {(step, job.destination.collection) for step in ("plan", "tile", "finish")}
