"""A slide's way through the steps over ports in memory, with repetition, disorder and death on the way."""

import io
import random
from functools import cache

import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chalicelib.core.geometry import tile_address, tile_name
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.model import Job, State
from chalicelib.core.jobs.transitions import finishing
from chalicelib.core.plan import chunks
from chalicelib.core.plan.messages import Message
from chalicelib.core.tiff.directory import Ifd, read_ifds
from chalicelib.ports.archive import Tile
from tests.slides import Slide, write
from tests.world import DATABASE, Died, World

SMALL = Slide(width_px=300, height_px=200, levels=(0, 2))
NAMED = "0000000000000000000a0001"


@cache
def small(seed: int = 0) -> bytes:
    return write(Slide(width_px=300, height_px=200, levels=(0, 2), seed=seed))


def ifds_of(data: bytes) -> tuple[Ifd, ...]:
    return read_ifds(io.BytesIO(data), size_bytes=len(data))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two tiles a side, so that a small slide takes several chunks in several stages."""
    monkeypatch.setattr(chunks, "BLOCK_LEVELS", 1)
    monkeypatch.setattr(chunks, "LATER_BLOCK_LEVELS", 1)


def published(**options: object) -> tuple[World, Job]:
    world = World()
    world.put(small())
    job = world.submit(**options)
    return world, world.finish(job)


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


def test_repeated_submit_creates_one_job_and_one_message() -> None:
    world = World()
    world.put(small())
    assert len({world.submit().id for _ in range(20)}) == 1
    assert [message.step for message in world.memory_queue.sent] == ["plan"]


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_duplicate_and_reordered_messages_give_same_tiles(jitter: random.Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "BLOCK_LEVELS", 1)
        patch.setattr(chunks, "LATER_BLOCK_LEVELS", 1)
        expected, _ = published()
        reference = expected.tiles(next(iter(expected.memory_jobs._all())))
        world = World()
        world.put(small())
        job = world.submit()
        seen: list[Message] = []
        queue = world.memory_queue.sent
        for _ in range(2000):
            if not queue:
                break
            message = queue.pop(jitter.randrange(len(queue)))
            seen.append(message)
            assert world.deliver(message) == []
            if len(seen) < 60:
                queue.append(jitter.choice(seen))
        ended = world.finish(job)
    assert (ended.state, ended.tiles_done) == (State.DONE, 29)
    assert world.tiles(ended) == reference
    assert len(world.views()) == 1


@cache
def calls_of_a_job(named: bool) -> int:
    world = World()
    world.put(small())
    world.finish(world.submit(**({"mongo_collection": NAMED} if named else {})))
    return world.calls


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_job_survives_worker_death_at_any_call(named: bool, after: bool) -> None:
    options = {"mongo_collection": NAMED} if named else {}
    reference = World()
    reference.put(small())
    expected = reference.tiles(reference.finish(reference.submit(**options)))
    submitted = 5  # the calls of submit itself, whose death its caller sees
    for dies_at in range(submitted + 1, calls_of_a_job(named) + 1):
        world = World()
        world.put(small())
        job = world.submit(**options)
        assert world.calls == submitted
        world.dies_at, world.after = dies_at, after
        ended = world.finish(job)
        assert world.calls >= dies_at
        assert (ended.state, ended.attempt) == (State.DONE, 1), (dies_at, ended.error)
        assert world.tiles(ended) == expected, dies_at
        assert len(world.views()) == 1
        assert len(world.memory_archive.tiles) == 1


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
@pytest.mark.parametrize("after", [False, True])
def test_submit_can_be_repeated_after_worker_death(dies_at: int, after: bool) -> None:
    world = World(dies_at=dies_at, after=after)
    world.put(small())
    with pytest.raises(Died):
        world.submit()
    job = world.submit()
    assert world.finish(job).state is State.DONE
    assert len(world.views()) == 1


def test_new_bytes_replace_the_published_slide() -> None:
    world, old = published()
    world.put(small(seed=7))
    new = world.finish(world.submit())
    assert old.id != new.id
    assert new.published is not None
    assert old.published is not None
    assert new.published.view == old.published.view
    assert world.views() == (new.published.view,)
    assert not world.memory_archive.shows(old)
    assert len(world.tiles(old)) == 29  # readers who are at it go on for a while
    world.clock.advance(31 * 60)
    world.minute()
    assert world.tiles(old) == {}
    assert len(world.tiles(new)) == 29


def test_previous_bytes_can_be_published_again() -> None:
    world, first = published()
    world.put(small(seed=7))
    world.finish(world.submit())
    world.clock.advance(31 * 60)
    world.minute()
    world.put(small())
    again = world.finish(world.submit())
    assert (again.id, again.attempt, again.state, again.generation) == (first.id, 2, State.DONE, 1)
    assert world.memory_archive.shows(again)
    assert len(world.tiles(again)) == 29


def test_submit_of_published_slide_changes_nothing() -> None:
    world, job = published()
    again = world.submit()
    assert (again.id, again.attempt, again.state) == (job.id, 1, State.DONE)
    assert world.memory_queue.sent == []


def test_removed_slide_is_published_again_by_submit() -> None:
    world, job = published()
    world.memory_archive.take_out(job.destination.session, None)
    again = world.finish(world.submit())
    assert (again.attempt, again.state) == (2, State.DONE)
    assert len(world.views()) == 1


@pytest.mark.parametrize("happens", ["overwritten", "deleted"])
@pytest.mark.parametrize("after_messages", [0, 1, 2])
def test_source_change_ends_job_and_discards_tiles(happens: str, after_messages: int) -> None:
    world = World()
    world.put(small())
    job = world.submit()
    for _ in range(after_messages):
        world.deliver(world.memory_queue.sent.pop(0))
    if happens == "overwritten":
        world.put(small(seed=3))
    else:
        world.memory_slides.delete("incoming", "slide.svs")
    ended = world.finish(job)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == {
        "overwritten": (State.SUPERSEDED, "source_changed"),
        "deleted": (State.FAILED, "source_gone"),
    }[happens]
    assert (DATABASE, job.staging()) not in world.memory_archive.tiles
    # The newer bytes have run by themselves.
    assert len(world.views()) == (happens == "overwritten")


def test_older_version_never_wins_if_it_finishes_last() -> None:
    world = World()
    world.put(small())
    old = world.submit()
    world.run()
    queue = world.memory_queue.sent
    assert world.job(old).state is State.DONE
    # The same race with the finish of the older one held back, after it has found all its tiles.
    world = World()
    queue = world.memory_queue.sent
    world.put(small())
    old = world.submit()
    held: list[Message] = []
    while queue:
        message = queue.pop(0)
        if message.step == "finish":
            held.append(message)
        else:
            world.deliver(message)
    complete = world.job(old)
    assert world.memory_jobs.move(complete, finishing(complete, bad_tiles=(), now=world.clock.now()))
    world.put(small(seed=9))
    new = world.finish(world.submit())
    queue += held
    ended = world.finish(old)
    assert ended.error is not None
    assert (world.job(new).state, ended.state, ended.error.code) == (State.DONE, State.SUPERSEDED, "newer_generation")
    assert world.memory_archive.shows(world.job(new))
    world.clock.advance(LATE_SECONDS)
    world.minute()
    assert list(world.memory_archive.tiles) == [(DATABASE, world.job(new).image)]


def test_later_submitted_job_wins_named_image() -> None:
    world = World()
    queue = world.memory_queue.sent
    world.put(small(), "a.svs")
    world.put(small(seed=5), "b.svs")
    first = world.submit("a.svs", mongo_collection=NAMED)
    held = []
    while queue:
        message = queue.pop(0)
        if message.step == "finish":
            held.append(message)
        else:
            world.deliver(message)
    second = world.finish(world.submit("b.svs", mongo_collection=NAMED))
    queue += held
    assert world.finish(first).state is State.SUPERSEDED
    assert world.job(second).state is State.DONE
    assert world.memory_archive.shows(world.job(second))
    assert {database for database, _ in world.memory_archive.tiles} == {DATABASE}


def test_out_of_time_chunk_is_retried() -> None:
    world = World()
    world.put(small())
    job = world.submit()
    world.deliver(world.memory_queue.sent.pop(0))
    message = world.memory_queue.sent[0]
    assert world.deliver(message, seconds=4.0) == ["message-0"]
    noted = world.job(job)
    assert noted.last_transient_error is not None
    assert (noted.last_transient_error.code, noted.chunks_done) == ("out_of_time", frozenset())
    assert world.memory_queue.delayed == [("arn:aws:sqs:us-east-1:000000000000:slidehook-chunks", "receipt-0", 2)]
    assert world.finish(job).state is State.DONE


def test_sparse_slide_is_published_without_missing_tiles() -> None:
    world = World()
    world.put(write(Slide(width_px=300, height_px=200, sparse=frozenset({(0, 1, 1), (0, 4, 3)}))))
    job = world.finish(world.submit())
    assert (job.state, job.levels[0].tiles, job.levels[0].sparse) == (State.DONE, 18, 2)
    assert len(world.tiles(job)) == 18 + 6 + 2 + 1


def damaged(level: int, *, scan_only: bool = False) -> tuple[bytes, int]:
    """Return the small slide with tile (1, 0) of a stored level overwritten, and the byte it lies at."""
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


def test_concurrent_submits_restart_ended_job_once() -> None:
    world = World()
    world.put(small())
    job = world.submit()
    world.memory_slides.delete("incoming", "slide.svs")
    assert world.finish(job).state is State.FAILED
    world.put(small())
    overtaken: list[Job] = []

    def somebody_is_faster(write_: str) -> None:
        if write_ == "move" and not overtaken:
            overtaken.append(job)
            overtaken.append(world.submit())

    world.memory_jobs._before_write = somebody_is_faster
    again = world.submit()
    assert (again.attempt, overtaken[1].attempt) == (2, 2)
    assert [message.attempt for message in world.memory_queue.sent] == [2]
