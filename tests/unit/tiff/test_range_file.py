import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import LimitError
from chalicelib.core.tiff.range_file import BlockStream

DATA = bytes(range(256)) * 20


def stream(data: bytes = DATA, *, block_bytes: int = 64, **options: int) -> BlockStream:
    return BlockStream(lambda start, stop: data[start:stop], len(data), block_bytes=block_bytes, **options)


@given(st.lists(st.tuples(st.integers(0, 6000), st.integers(-1, 700)), max_size=20), st.integers(1, 300))
def test_block_stream_reads_like_a_file(moves: list[tuple[int, int]], block_bytes: int) -> None:
    file, blocks = io.BytesIO(DATA), stream(block_bytes=block_bytes)
    for position, size in moves:
        assert blocks.seek(position) == file.seek(position)
        assert blocks.read(size) == file.read(size)
        assert min(blocks.tell(), len(DATA)) == min(file.tell(), len(DATA))


def test_block_stream_seeks_and_reads_into_buffers() -> None:
    blocks = stream()
    assert blocks.seek(-6, io.SEEK_END) == len(DATA) - 6
    assert blocks.read(2) == DATA[-6:-4]
    assert blocks.seek(1, io.SEEK_CUR) == len(DATA) - 3
    buffer = bytearray(10)
    assert blocks.readinto(buffer) == 3
    assert bytes(buffer[:3]) == DATA[-3:]
    assert blocks.readable()
    assert blocks.seekable()
    with pytest.raises(OSError, match="before the start"):
        blocks.seek(-1)


def test_neighbouring_blocks_share_one_cached_request() -> None:
    blocks = stream(block_bytes=64)
    blocks.read(640)
    assert (blocks.requests, blocks.fetched_bytes) == (1, 640)
    blocks.seek(100)
    blocks.read(300)
    assert blocks.requests == 1
    blocks.seek(600)
    blocks.read(200)
    assert (blocks.requests, blocks.fetched_bytes) == (2, 640 + 192)


def test_blocks_between_cached_ones_are_fetched_alone() -> None:
    blocks = stream(block_bytes=64)
    for position in (0, 128):
        blocks.seek(position)
        blocks.read(1)
    blocks.seek(0)
    assert blocks.read(320) == DATA[:320]
    assert blocks.requests == 4


def test_no_bytes_beyond_the_end_are_requested() -> None:
    asked = []

    def fetch(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return DATA[start:stop]

    blocks = BlockStream(fetch, len(DATA), block_bytes=1000)
    blocks.seek(4000)
    blocks.read()
    blocks.seek(4500)
    blocks.read(10_000)
    blocks.seek(9000)
    assert blocks.read(1) == b""
    assert asked == [(4000, 5120)]


def test_read_past_the_end_is_remembered() -> None:
    blocks = stream()
    blocks.read(10)
    assert not blocks.ended_early
    blocks.seek(len(DATA) - 1)
    assert blocks.read(2) == DATA[-1:]
    assert blocks.ended_early


def test_header_over_budget_is_refused_before_fetch() -> None:
    blocks = stream(budget_bytes=128)
    with pytest.raises(LimitError, match="the header asks for more"):
        blocks.read(200)
    assert blocks.fetched_bytes == 0


def test_short_response_ends_the_read() -> None:
    blocks = BlockStream(lambda start, stop: DATA[start : min(stop, 100)], 200, block_bytes=64)
    assert blocks.read(200) == DATA[:100]
