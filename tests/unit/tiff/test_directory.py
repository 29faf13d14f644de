import io
import itertools
import struct
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
import simplejpeg
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from chalicelib.core.errors import AwsUnavailableError, LimitError, NotTiffError, SlidehookError, TruncatedError
from chalicelib.core.imaging.jpeg import complete_tile, tile_prefix
from chalicelib.core.plan.pyramid import Pyramid, plan_pyramid, segments_of
from chalicelib.core.tiff.directory import Ifd, read_ifds
from chalicelib.core.tiff.range_file import BlockStream
from tests.scan import real_scan
from tests.slides import Slide, bigtiff, directory, write


def ifds_of(data: bytes) -> tuple[Ifd, ...]:
    return read_ifds(io.BytesIO(data), size_bytes=len(data))


def ifds_in(stream: BlockStream, size_bytes: int) -> tuple[Ifd, ...]:
    return read_ifds(cast("BinaryIO", stream), size_bytes=size_bytes)


def planned(data: bytes) -> Pyramid:
    return plan_pyramid(ifds_of(data), size_bytes=len(data), tile_size=None, base_only=False)


def test_directory_is_read_into_fields() -> None:
    (ifd,) = ifds_of(write(Slide(width_px=700, height_px=500, tables=True)))
    assert (ifd.width_px, ifd.height_px, ifd.tile_width_px, ifd.tile_height_px) == (700, 500, 64, 64)
    assert (ifd.is_tiled, ifd.compression, ifd.photometric, ifd.samples, ifd.bits, ifd.planar) == (True, 7, 6, 3, 8, 1)
    assert (ifd.subsampling, len(ifd.offsets), len(ifd.byte_counts)) == ((2, 2), 88, 88)
    assert ifd.jpeg_tables.startswith(b"\xff\xd8")
    assert ifd.compression_name == "JPEG"


@pytest.mark.parametrize("variant", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}])
def test_all_formats_and_byte_orders_read_equally(variant: dict[str, Any]) -> None:
    data = write(Slide(width_px=200, height_px=100, **variant))
    (ifd,) = ifds_of(data)
    assert [data[offset : offset + 2] for offset in ifd.offsets] == [b"\xff\xd8"] * 8


def test_sub_ifds_follow_their_parent() -> None:
    sizes = [(ifd.width_px, ifd.height_px) for ifd in ifds_of(write(Slide(levels=(0, 1, 2), subifds=True)))]
    assert sizes == [(700, 500), (350, 250), (175, 125)]


@pytest.mark.parametrize("data", [b"", b"II", b"\x89PNG\r\n", b"II*", b"<html>", b"\xff\xd8\xff\xe0"])
def test_file_with_other_header_is_not_tiff(data: bytes) -> None:
    with pytest.raises(NotTiffError):
        ifds_of(data)


@pytest.mark.parametrize(
    "data", [b"II*\0", b"II*\0\x08\0\0\0", b"MM\0*" + b"\0" * 8, b"II*\0" + struct.pack("<I", 10**9) + b"\0" * 9]
)
def test_header_without_directories_is_truncated(data: bytes) -> None:
    with pytest.raises(TruncatedError):
        ifds_of(data)


def test_stream_error_passes_through_read_ifds() -> None:
    data = write(Slide())
    stream = BlockStream(lambda start, stop: data[start:stop], len(data), block_bytes=64, budget_bytes=256)
    with pytest.raises(LimitError, match="the header asks for more"):
        ifds_in(stream, len(data))


def tag_positions(data: bytes) -> dict[int, int]:
    """Return the offsets of the entries in the first directory of a little-endian classic TIFF, by tag."""
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    return {struct.unpack_from("<H", data, start + 2 + 12 * i)[0]: start + 2 + 12 * i for i in range(count)}


def with_tag(tag: int, value: int, *, count: int | None = None, kind: int | None = None) -> bytes:
    data = bytearray(write(Slide(width_px=200, height_px=100)))
    position = tag_positions(bytes(data))[tag]
    if kind is not None:
        struct.pack_into("<H", data, position + 2, kind)
    if count is not None:
        struct.pack_into("<I", data, position + 4, count)
    struct.pack_into("<I", data, position + 8, value)
    return bytes(data)


@pytest.mark.parametrize("tag", [256, 257])
@pytest.mark.parametrize("value", [0, 3_000_000, 2**32 - 1])
def test_absurd_image_sizes_are_refused(tag: int, value: int) -> None:
    with pytest.raises((LimitError, TruncatedError)):
        planned(with_tag(tag, value, count=1, kind=4))


@pytest.mark.parametrize("value", [1, 20000, 2**31])
def test_absurd_tile_sizes_are_refused(value: int) -> None:
    with pytest.raises((LimitError, TruncatedError)):
        planned(with_tag(322, value, count=1, kind=4))


def test_slide_with_too_many_tiles_is_refused() -> None:
    data = bytearray(with_tag(256, 1_999_999, count=1, kind=4))
    struct.pack_into("<I", data, tag_positions(bytes(data))[257] + 8, 1_999_999)
    with pytest.raises((LimitError, TruncatedError)):
        planned(bytes(data))


@pytest.mark.parametrize("tag", [324, 325])
@pytest.mark.parametrize("count", [1, 7, 2**31])
def test_tile_tables_of_wrong_length_are_refused(tag: int, count: int) -> None:
    with pytest.raises((TruncatedError, LimitError)):
        planned(with_tag(tag, 8, count=count))


def test_circular_directory_chain_is_refused() -> None:
    data = bytearray(write(Slide(width_px=200, height_px=100)))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    with pytest.raises(LimitError, match=f"run in a circle, back to byte {start}"):
        ifds_of(bytes(data))


def test_more_than_512_directories_are_refused() -> None:
    size = len(directory())
    for count in (512, 513):
        chain = [directory(following=16 + size * (number + 1)) for number in range(count - 1)]
        data = bigtiff(*chain, directory())
        if count == 512:
            assert len(ifds_of(data)) == 512
            continue
        with pytest.raises(LimitError, match="more than 512 image file directories"):
            ifds_of(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_file_raises_known_permanent_errors_only(data: st.DataObject) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"bigtiff": True},
        {"levels": (0, 1), "subifds": True},
        {"associated": True, "colour": "rgb"},
    ]
    kind = data.draw(st.sampled_from(variants))
    whole = bytearray(write(Slide(width_px=200, height_px=140, **kind)))
    starts = [0, struct.unpack_from("<Q" if kind.get("bigtiff") else "<I", whole, 8 if kind.get("bigtiff") else 4)[0]]
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.sampled_from(starts)) + data.draw(st.integers(0, 260))
        whole[position % len(whole)] = data.draw(st.sampled_from([0, 1, 2, 4, 16, 127, 128, 255]))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(whole))))
    try:
        planned(bytes(whole[:cut]))
    except SlidehookError as error:
        assert error.permanent
        assert error.code in {"not_a_tiff", "truncated", "over_limit", "unsupported", "not_tiled"}


KINDS: list[dict[str, Any]] = [
    {"levels": (0, 1), "tables": True},
    {"levels": (0, 1), "subifds": True, "tables": True, "colour": "rgb"},
    {"bigtiff": True, "levels": (0, 1), "tables": True},
    {"associated": True, "colour": "rgb", "tables": True},
]


def failing_stream(data: bytes, failing_at: int) -> BlockStream:
    """Return a stream over data. Only the request with the number `failing_at` fails."""
    requests = itertools.count()

    def fetch(start: int, stop: int) -> bytes:
        if next(requests) == failing_at:
            raise AwsUnavailableError("S3 is busy")
        return data[start:stop]

    return BlockStream(fetch, len(data), block_bytes=64)


@pytest.mark.parametrize("kind", KINDS)
def test_storage_error_during_read_is_not_damage_or_end_of_file(kind: dict[str, Any]) -> None:
    data = write(Slide(**kind))
    whole = BlockStream(lambda start, stop: data[start:stop], len(data), block_bytes=64)
    ifds_in(whole, len(data))
    assert whole.requests >= 5
    for failing_at in range(whole.requests):
        with pytest.raises(AwsUnavailableError):
            ifds_in(failing_stream(data, failing_at), len(data))
    assert ifds_in(failing_stream(data, whole.requests), len(data)) == ifds_of(data)


def test_storage_error_in_private_tag_is_raised() -> None:
    private = 33628  # tifffile reads it with a special reader, and continues if that fails
    data = bigtiff(directory({private: (4, 4, 1000)})).ljust(2000, b"\0")
    assert len(ifds_of(data)) == 1
    requests = BlockStream(lambda start, stop: data[start:stop], len(data), block_bytes=64)
    ifds_in(requests, len(data))
    for failing_at in range(requests.requests):
        with pytest.raises(AwsUnavailableError):
            ifds_in(failing_stream(data, failing_at), len(data))


@pytest.mark.no_cover  # it repeats the same lines
@pytest.mark.parametrize("kind", KINDS)
def test_truncated_file_is_refused_or_lists_its_lost_tiles(kind: dict[str, Any]) -> None:
    data = write(Slide(width_px=200, height_px=140, **kind))
    whole = planned(data)
    # Every length within the header and the directories; a sample of lengths within the tiles.
    lengths = {*range(16), *range(0, len(data), 97), *range(len(data) - 3000, len(data))}
    for length in sorted(lengths):
        try:
            found = planned(data[:length])
        except (TruncatedError, NotTiffError):
            continue
        # The last strip of the macro is short, which is not published; or some tiles are lost, and are listed.
        lost = [level.level for level in found.levels if level != whole.levels[level.level]]
        assert all(found.levels[level].method == "downsampled" or found.levels[level].beyond for level in lost)
        assert lost or kind.get("associated")


def test_unreadable_shared_tables_are_damage() -> None:
    data = bytearray(write(Slide(width_px=200, height_px=100, tables=True)))
    struct.pack_into("<I", data, tag_positions(bytes(data))[347] + 8, len(data) - 4)
    with pytest.raises(TruncatedError, match="image 0 of the TIFF lists JPEGTables, which cannot be read"):
        ifds_of(bytes(data))


def test_next_directory_beyond_end_is_truncation() -> None:
    data = bigtiff(directory(following=1 << 20))
    with pytest.raises(TruncatedError, match=f"is cut off at byte {len(data)}: .* lies at byte 1048576"):
        ifds_of(data)


@pytest.mark.parametrize("offset", [17, 1 << 40, (1 << 63) + 1, (1 << 64) - 1])
@pytest.mark.parametrize("place", ["first", "next", "sub"])
def test_directory_at_impossible_offset_is_refused(offset: int, place: str) -> None:
    first = bigtiff(directory())
    data = {
        "first": first[:8] + struct.pack("<Q", offset) + first[16:],
        "next": bigtiff(directory(following=offset)),
        "sub": bigtiff(directory({330: (16, 1, offset)})),
    }[place]
    with pytest.raises(SlidehookError):
        ifds_of(data)


@pytest.mark.parametrize("tag", [256, 257, 322, 323, 324, 325])
@pytest.mark.parametrize("value", [0, 1 << 31, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("kind", [1, 2, 5, 12, 16, 17, 99])
def test_unusual_tag_values_raise_permanent_errors_only(tag: int, value: int, kind: int) -> None:
    for count in (0, 1, 2, 1 << 31, 1 << 60):
        try:
            planned(bigtiff(directory({tag: (kind, count, value)})))
        except SlidehookError as error:
            assert error.permanent


@pytest.mark.parametrize("tag", [256, 259, 322, 323, 324, 325])
def test_directory_without_required_tag_is_refused(tag: int) -> None:
    data = bytearray(bigtiff(directory()))
    position = data.index(struct.pack("<H", tag), 24)
    struct.pack_into("<H", data, position, 40000)
    with pytest.raises(SlidehookError):
        planned(bytes(data))


def test_sub_directory_pointing_to_parent_is_refused() -> None:
    with pytest.raises(LimitError, match="run in a circle, back to byte 16"):
        ifds_of(bigtiff(directory({330: (16, 1, 16)})))


def test_long_circle_of_directories_is_refused() -> None:
    size = len(directory())
    chain = [directory(following=16 + size * ((number + 1) % 150)) for number in range(150)]
    with pytest.raises(LimitError, match="run in a circle, back to byte 16"):
        ifds_of(bigtiff(*chain))


@pytest.mark.parametrize("distinct", [False, True])
def test_million_sub_directories_are_refused_after_512(distinct: bool) -> None:
    count, parent, each = 1_000_000, len(directory({330: (16, 1, 1)})), len(directory())
    sub = 16 + parent
    body = directory() * (600 if distinct else 1)
    offsets = np.tile(np.arange(sub, sub + len(body), each, dtype="<u8"), count // (len(body) // each) + 1)[:count]
    data = bigtiff(directory({330: (16, count, sub + len(body))}), body) + offsets.tobytes()
    with pytest.raises(LimitError, match="more than 512" if distinct else "run in a circle"):
        ifds_of(data)


def test_small_file_sharing_a_large_table_is_refused() -> None:
    side, count, size = 1000, 40, len(directory())
    table = 16 + count * size
    chain = [
        directory(
            {
                256: (4, 1, side * 64), 257: (4, 1, side * 64),
                324: (16, side * side, table), 325: (16, side * side, table),
            },
            following=16 + size * (number + 1) if number + 1 < count else 0,
        )
        for number in range(count)
    ]  # fmt: skip
    with pytest.raises(LimitError, match="header holds more than 80 MiB"):
        ifds_of(bigtiff(*chain) + bytes(8 * side * side))


def test_real_scan_has_five_levels_and_no_label() -> None:
    data = real_scan().read_bytes()
    stream = BlockStream(lambda start, stop: data[start:stop], len(data))
    ifds = ifds_in(stream, len(data))
    assert stream.requests <= 8
    pyramid = plan_pyramid(ifds, size_bytes=len(data), tile_size=None, base_only=False)
    assert [(level.columns, level.rows, level.method) for level in pyramid.levels] == [
        (10, 13, "passthrough"), (5, 7, "downsampled"), (3, 4, "downsampled"), (2, 2, "downsampled"), (1, 1, "downsampled"),
    ]  # fmt: skip
    assert len(ifds) == 4
    assert pyramid.levels[0].ifd is ifds[0]


def test_real_scan_tiles_decode_like_tifffile() -> None:
    data = real_scan().read_bytes()
    pyramid = planned(data)
    base = pyramid.levels[0]
    ifd = base.ifd
    assert ifd is not None
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        expected = tiff.pages[0].asarray()
    prefix = tile_prefix(ifd.jpeg_tables, ifd.photometric)
    for column, row, _, index in segments_of(ifd, base.grid):
        offset, size = ifd.offsets[index], ifd.byte_counts[index]
        jpeg = complete_tile(prefix, data[offset : offset + size])
        region = expected[row * 240 : row * 240 + 240, column * 240 : column * 240 + 240]
        for decoded in (np.asarray(Image.open(io.BytesIO(jpeg))), simplejpeg.decode_jpeg(jpeg, "RGB")):
            assert np.array_equal(decoded[: region.shape[0], : region.shape[1]], region)
