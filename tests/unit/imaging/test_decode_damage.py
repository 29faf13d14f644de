"""Damaged segments raise CorruptTileError; harmless variants of scanners decode."""

import re
import zlib
from collections.abc import Callable
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.decode import codestream_of, decoded, webp_size
from chalicelib.core.imaging.jpeg import Splicer
from tests.slides import jpeg_tile
from tests.unit.imaging.stored_images import PLAIN, RGB, SMALL_JPEG, YCBCR


@pytest.mark.parametrize(
    ("compression", "data", "reason"),
    [
        (1, b"short", "it holds 5 bytes where 12288 are expected"),
        (8, b"no deflate", "it cannot be decoded: "),
        (5, imagecodecs.lzw_encode(bytes(100)), "it holds 100 bytes where 12288 are expected"),
        (32773, imagecodecs.packbits_encode(bytes(100)), "it holds 100 bytes where 12288 are expected"),
        (50000, imagecodecs.zstd_encode(bytes(100)), "it holds 100 bytes where 12288 are expected"),
        (50000, b"no zstd", "it cannot be decoded: "),
        (8, zlib.compress(bytes(100)), "it holds 100 bytes where 12288 are expected"),
        (33005, b"no codestream", "its bytes are no JPEG 2000 codestream"),
        (33005, b"\xff\x4f\xff\x51" + bytes(20), "its bytes are no JPEG 2000 codestream"),
        (
            33005,
            imagecodecs.jpeg2k_encode(np.zeros((32, 64, 3), np.uint8), codecformat="j2k"),
            "it claims 64 x 32 px where 64 x 64 px are expected",
        ),
        (
            33005,
            imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint8), codecformat="j2k"),
            "it holds (64, 64, 1) of uint8 where (64, 64, 3) are expected",
        ),
        (50001, b"no image", "its bytes are no WebP image"),
        (50001, b"RIFF1234WEBPVP8 short", "its bytes are no WebP image"),
        (
            50001,
            imagecodecs.webp_encode(np.zeros((64, 32, 3), np.uint8)),
            "it claims 32 x 64 px where 64 x 64 px are expected",
        ),
        (7, b"no JPEG", "its bytes are no JPEG stream"),
        (7, jpeg_tile(RGB[:64, :32], "ycbcr"), "it holds 32 x 64 px where 64 x 64 px are expected"),
    ],
)  # fmt: skip
def test_segment_that_differs_from_its_directory_is_damaged(compression: int, data: bytes, reason: str) -> None:
    storage = replace(PLAIN, compression=compression, prefix=b"\xff\xd8" if compression == 7 else b"")
    with pytest.raises(CorruptTileError, match=f"^{re.escape(reason)}"):
        decoded(storage, [data], 0)


def test_data_of_8_bits_in_16_bit_image_is_damaged() -> None:
    narrow = imagecodecs.jpeg2k_encode(np.zeros((64, 64, 3), np.uint8), codecformat="j2k")
    with pytest.raises(CorruptTileError, match=r"holds \(64, 64, 3\) of uint8"):
        decoded(replace(PLAIN, compression=33005, bits=16), [bytes(narrow)], 0)


def test_surplus_bytes_of_uncompressed_segment_are_ignored() -> None:
    raw = RGB[:64, :64].tobytes()
    assert np.array_equal(decoded(PLAIN, [raw + b"filling"], 0), RGB[:64, :64])


def test_truncated_plane_is_damaged() -> None:
    jpeg = jpeg_tile(RGB[:64, :64], "grey")
    storage = replace(PLAIN, compression=7, planar=2, prefix=b"\xff\xd8")
    with pytest.raises(CorruptTileError):
        decoded(storage, [jpeg, jpeg, jpeg[:200]], 0)


def test_splicer_gives_same_pixels_and_errors() -> None:
    splicer = Splicer(YCBCR.prefix, (64, 64))
    with_it, without = decoded(YCBCR, [SMALL_JPEG], 0, splicer), decoded(YCBCR, [SMALL_JPEG], 0)
    assert np.array_equal(with_it, without)
    for damaged in (SMALL_JPEG[:300], jpeg_tile(RGB[:32, :64], "ycbcr"), b"no JPEG"):
        with pytest.raises(CorruptTileError) as by_splicer:
            decoded(YCBCR, [damaged], 0, splicer)
        with pytest.raises(CorruptTileError) as alone:
            decoded(YCBCR, [damaged], 0)
        assert str(by_splicer.value) == str(alone.value)


def test_last_jpeg_strip_may_be_lower_than_the_splicer_size() -> None:
    strips = replace(YCBCR, is_tiled=False, height_px=100)
    low = jpeg_tile(RGB[64:100, :64], "ycbcr")
    assert decoded(strips, [low], 1, Splicer(strips.prefix, (64, 64))).shape == (36, 64, 3)


def test_jpeg_truncated_inside_its_scan_is_damaged() -> None:
    with pytest.raises(CorruptTileError, match=r"cannot be decoded: .*premature end"):
        decoded(YCBCR, [SMALL_JPEG[: len(SMALL_JPEG) // 2] + b"\xff\xd9"], 0)


def odd_scan_parameters(jpeg: bytes) -> bytes:
    """Return a baseline JPEG whose scan ends at coefficient 0, as some scanners write it."""
    at = jpeg.index(b"\xff\xda")
    last = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") - 2
    return jpeg[:last] + b"\0" + jpeg[last + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda jpeg: jpeg[:-2] + bytes(3) + jpeg[-2:], lambda jpeg: jpeg[:-2] + bytes(9) + jpeg[-2:],
        odd_scan_parameters, lambda jpeg: jpeg + b"\0", lambda jpeg: jpeg + bytes(60),
    ],
)  # fmt: skip
def test_harmless_scanner_variants_decode_equally(change: Callable[[bytes], bytes]) -> None:
    expected = decoded(YCBCR, [SMALL_JPEG], 0)
    assert np.array_equal(decoded(YCBCR, [change(SMALL_JPEG)], 0), expected)


def test_excess_bytes_before_end_marker_are_damage() -> None:
    with pytest.raises(CorruptTileError, match=r"\d\d extraneous bytes"):
        decoded(YCBCR, [SMALL_JPEG[:-2] + bytes(40) + SMALL_JPEG[-2:]], 0)


def test_sizes_are_read_from_headers() -> None:
    flat = np.zeros((40, 60, 3), np.uint8)
    boxed = codestream_of(bytes(imagecodecs.jpeg2k_encode(flat, codecformat="jp2")))
    assert (boxed.width_px, boxed.height_px) == (60, 40)
    assert webp_size(bytes(imagecodecs.webp_encode(flat, lossless=False))) == (60, 40)
    assert webp_size(bytes(imagecodecs.webp_encode(flat, lossless=True))) == (60, 40)
    extended = b"RIFF0000WEBPVP8X\x0a\0\0\0\0\0\0\0" + (59).to_bytes(3, "little") + (39).to_bytes(3, "little")
    assert webp_size(extended) == (60, 40)
    stream = bytes(imagecodecs.jpeg2k_encode(flat, codecformat="j2k"))
    with pytest.raises(CorruptTileError, match="more than four components"):
        codestream_of(stream[:40] + b"\0\x09" + stream[42:])


@pytest.mark.parametrize(
    "box",
    [b"\0\0\0\x04free", b"\0\0\0\x01free" + bytes(8), b"\0\0\0\0free", b"\0\0\0\x0cfree1234"],
    ids=["shorter than its head", "long, and shorter than its head", "to the end", "and nothing after it"],
)
def test_jp2_boxes_without_codestream_are_damaged(box: bytes) -> None:
    with pytest.raises(CorruptTileError):
        codestream_of(b"\0\0\0\x0cjP  \r\n\x87\n" + box)


@given(st.binary(max_size=400), st.sampled_from([1, 5, 7, 8, 32773, 33005, 50000, 50001]))
def test_random_bytes_raise_corrupt_tile_error_only(data: bytes, compression: int) -> None:
    storage = replace(PLAIN, compression=compression, prefix=b"\xff\xd8" if compression == 7 else b"")
    try:
        assert decoded(storage, [data], 0).shape == (64, 64, 3)
    except CorruptTileError as error:
        assert str(error)
