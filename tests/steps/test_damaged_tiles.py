"""Damaged tiles: white, omitted, or a reason to fail."""

import io

import pytest
import simplejpeg

from chalicelib.core.geometry import tile_name
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import State
from chalicelib.core.tiff.directory import Ifd, read_ifds
from tests.steps.small_slides import published, small
from tests.world import World

pytestmark = pytest.mark.usefixtures("small_blocks")


def ifds_of(data: bytes) -> tuple[Ifd, ...]:
    return read_ifds(io.BytesIO(data), size_bytes=len(data))


def damaged(level: int, *, scan_only: bool = False) -> tuple[bytes, int]:
    """Return the small slide with tile (1, 0) of a stored level overwritten, and the offset of that tile."""
    data = bytearray(small())
    ifd = ifds_of(bytes(data))[0 if level == 0 else 1]
    start, stop = ifd.offsets[1], ifd.offsets[1] + ifd.byte_counts[1]
    if scan_only:
        start = bytes(data).index(b"\xff\xda", start) + 14
    data[start : stop - 2] = b"\xff\xd0" * ((stop - 2 - start) // 2) + b"\0" * ((stop - 2 - start) % 2)
    return bytes(data), ifd.offsets[1]


@pytest.mark.parametrize("level", [0, 2])
def test_damaged_tile_is_white_and_listed(level: int) -> None:
    data, offset = damaged(level)
    (whole, sound), world = published(), World()
    world.put(data)
    job = world.finish(world.submit())
    assert (job.state, job.tiles_bad) == (State.DONE, 1)
    (bad,) = job.bad_tiles
    assert (bad.level, bad.column, bad.row, bad.offset) == (level, 1, 0, offset)
    assert bad.reason == "its bytes are no JPEG stream"
    tiles = world.tiles(job)
    name = tile_name(level, 1, 0, levels=job.depth)
    assert (simplejpeg.decode_jpeg(tiles[name]) == 255).all()
    expected = whole.tiles(sound)
    ancestors = {f"{name[:length]}.jpg" for length in range(1, len(name) - 3)}
    assert {each for each in expected if tiles[each] != expected[each]} <= ancestors


@pytest.mark.parametrize("level", [0, 2])
def test_damaged_tile_is_omitted_with_skip(level: int) -> None:
    world = World()
    world.put(damaged(level)[0])
    job = world.finish(world.submit(on_bad_tile="skip"))
    assert (job.state, job.tiles_bad) == (State.DONE, 1)
    assert tile_name(level, 1, 0, levels=job.depth) not in world.tiles(job)
    assert len(world.tiles(job)) == job.tiles_total - 1


@pytest.mark.parametrize("level", [0, 2])
def test_damaged_tile_fails_job_with_fail(level: int) -> None:
    world = World()
    world.put(damaged(level)[0])
    job = world.finish(world.submit(on_bad_tile="fail"))
    assert job.error is not None
    assert (job.state, job.error.code) == (State.FAILED, "corrupt_tile")
    assert f"tile (1, 0) of level {level}, at byte" in job.error.message
    assert world.memory_archive.tiles == {}


def test_tile_damaged_in_scan_data_is_listed_and_copied() -> None:
    data, offset = damaged(0, scan_only=True)
    world = World()
    world.put(data)
    job = world.finish(world.submit())
    assert (job.state, job.tiles_bad, job.bad_tiles[0].offset) == (State.DONE, 1, offset)
    assert job.bad_tiles[0].reason.startswith("it cannot be decoded")


def test_more_than_ten_percent_bad_tiles_fail_the_job() -> None:
    data = bytearray(small())
    ifd = ifds_of(bytes(data))[0]
    for offset in ifd.offsets[: len(ifd.offsets) // 4]:
        data[offset : offset + 2] = b"\0\0"
    world = World()
    world.put(bytes(data))
    job = world.finish(world.submit())
    assert job.error is not None
    assert (job.state, job.error.code) == (State.FAILED, "too_many_bad_tiles")
    assert "more than 10%" in job.error.message
    assert len(job.bad_tiles) == len(ifd.offsets) // 4
    assert world.views() == ()
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert world.memory_archive.tiles == {}
