"""500 mangled TIFFs: each is refused or fails with a code, or is a whole slide; never a traceback, a hang, half a slide."""

import resource
import time
from collections import Counter

import pytest
import simplejpeg

from chalicelib.core.errors import SlidehookError
from chalicelib.core.geometry import tile_address
from chalicelib.core.imaging.jpeg import frame_of
from chalicelib.core.jobs.model import Job, State
from tests.effort import first_of
from tests.pixels.mangled import BOMBS, mangled
from tests.world import World

SEEDS = 500
BATCHES = 10
# What a worker may take: reading, decoding and publishing slides of a few hundred kilobytes, whatever they claim.
MEMORY_KIB = 400 * 1024
CPU_SECONDS = 20.0


def outcome(data: bytes) -> str:
    """Publish a file; return "done", or the code it was refused or failed with."""
    world = World(chunk_bytes=100_000)
    world.put(data)
    try:
        job = world.finish(world.submit())
    except SlidehookError as refused:
        assert refused.permanent
        return refused.code
    if job.state is not State.DONE:
        assert job.error is not None
        assert job.error.message
        assert job.error.hint
        assert world.memory_archive.tiles == {}, "something was left behind"
        return job.error.code
    whole(world, job)
    return "done"


def whole(world: World, job: Job) -> None:
    """Every tile that the status promises is there and can be shown, but for those it lists as damaged."""
    tiles = world.tiles(job)
    assert len(tiles) == job.tiles_total == sum(level.tiles for level in job.levels)
    assert all(level.tiles + level.sparse == level.columns * level.rows for level in job.levels)
    assert "t.jpg" in tiles
    size = job.tile_size_px
    for name, jpeg in tiles.items():
        assert frame_of(jpeg).width_px == frame_of(jpeg).height_px == size
        level, _, _ = tile_address(name, levels=job.depth)
        # The scan of a copied tile is not looked at: a viewer shows as much of it as any viewer of the file.
        if job.levels[level].method not in ("passthrough", "lossless-crop"):
            assert simplejpeg.decode_jpeg(jpeg).shape[:2] == (size, size)


@pytest.mark.parametrize("batch", first_of(range(BATCHES), 2))
def test_a_mangled_file_is_a_slide_or_has_a_reason(batch: int, capsys: pytest.CaptureFixture[str]) -> None:
    found: Counter[str] = Counter()
    for seed in range(batch * SEEDS // BATCHES, (batch + 1) * SEEDS // BATCHES):
        name, data = mangled(seed)
        begun = time.process_time()
        code = outcome(data)
        assert code != "internal", name
        assert time.process_time() - begun < CPU_SECONDS, name
        found[code] += 1
    with capsys.disabled():
        print(f"\nmangled {batch}: {dict(found.most_common())}")
    assert sum(found.values()) == SEEDS // BATCHES


@pytest.mark.parametrize("name", BOMBS)
def test_what_claims_to_be_huge_is_refused_without_taking_it(name: str) -> None:
    data = BOMBS[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = {"unsupported", "over_limit", "truncated", "too_many_bad_tiles"}
    # LZW ends where the segment is full, as in every reader of TIFF.
    assert outcome(data) in (refused if name != "LZW" else {"done"})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_KIB
