"""Segments into pixels, held to what tifffile makes of the same file, and bounded whatever they claim."""

import io
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.decode import decoded, decoded_jpeg, jpeg_2000_size, webp_size
from chalicelib.core.errors import CorruptTileError
from chalicelib.core.raster import Pixels
from chalicelib.core.storage import Storage, dump_storage, load_storage, storage_of
from chalicelib.core.tiff import Ifd, read_ifds
from tests.slides import jpeg_tile, picture

RGB = picture(150, 100)
SIXTEEN = (RGB.astype(np.uint16) * 257 + 40).clip(0, 65535).astype(np.uint16)


def written(pixels: Any, **options: Any) -> tuple[Ifd, bytes]:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=options.pop("byteorder", "<")) as writer:
        writer.write(pixels, metadata=None, **options)
    data = file.getvalue()
    return read_ifds(io.BytesIO(data), size_bytes=len(data))[0], data


def joined(ifd: Ifd, data: bytes) -> Pixels:
    storage = storage_of(ifd)
    canvas = np.zeros((ifd.segment_rows * ifd.tile_height_px, ifd.segment_columns * ifd.tile_width_px, 3), np.uint8)
    segments = ifd.segment_columns * ifd.segment_rows
    for row in range(ifd.segment_rows):
        for column in range(ifd.segment_columns):
            index = row * ifd.segment_columns + column
            places = [index + plane * segments for plane in range(ifd.planes)]
            planes = [data[ifd.offsets[at] : ifd.offsets[at] + ifd.byte_counts[at]] for at in places]
            pixels = decoded(storage, planes, row)
            top, left = row * ifd.tile_height_px, column * ifd.tile_width_px
            canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return canvas[: ifd.height_px, : ifd.width_px]


TILED = {"tile": (64, 64)}


@pytest.mark.parametrize("place", [TILED, {"tile": (32, 80)}, {"rowsperstrip": 7}, {"rowsperstrip": 1000}])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(
    "how",
    [
        {}, {"byteorder": ">"}, {"compression": "lzw"}, {"compression": "lzw", "predictor": True},
        {"compression": "deflate", "predictor": True}, {"compression": "packbits"}, {"compression": "zstd"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("pixels", [RGB, SIXTEEN], ids=["8 bits", "16 bits"])
def test_plain_segments_give_the_pixels_of_the_image(pixels: Any, how: dict, planar: str, place: dict) -> None:
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    ifd, data = written(stored, photometric="rgb", planarconfig=planar, **how, **place)
    assert np.array_equal(joined(ifd, data), RGB)


def test_grey_inverted_grey_and_palettes_become_colours() -> None:
    grey = RGB[..., 0]
    three = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(joined(*written(grey, photometric="minisblack", **TILED)), three)
    assert np.array_equal(joined(*written(255 - grey, photometric="miniswhite", **TILED)), three)
    table = np.random.default_rng(0).integers(0, 256, (3, 256), dtype=np.uint16)
    wide = joined(*written(grey, photometric="palette", colormap=table * 257, **TILED))
    assert np.array_equal(wide, table.T[grey])
    # Some writers put 8-bit values into the table of 16-bit ones.
    assert np.array_equal(joined(*written(grey, photometric="palette", colormap=table, **TILED)), table.T[grey])


def test_alpha_is_laid_over_white() -> None:
    alpha = np.full((*RGB.shape[:2], 1), 51, np.uint8)
    rgba = np.concatenate((RGB, alpha), 2)
    over = joined(*written(rgba, photometric="rgb", extrasamples=["unassalpha"], **TILED)).astype(int)
    assert np.abs(over - (RGB * 0.2 + 255 * 0.8)).max() <= 0.51
    dimmed = np.concatenate(((RGB * 0.2).astype(np.uint8), alpha), 2)
    over = joined(*written(dimmed, photometric="rgb", extrasamples=["assocalpha"], **TILED)).astype(int)
    assert np.abs(over - (RGB * 0.2 + 255 * 0.8)).max() <= 1.01
    assert np.array_equal(joined(*written(rgba, photometric="rgb", extrasamples=["unspecified"], **TILED)), RGB)


@pytest.mark.parametrize("kind", [33003, 33005, 34712])
def test_jpeg_2000_is_converted_where_aperio_stores_ycbcr(kind: int) -> None:
    ycbcr = imagecodecs.jpeg8_decode(
        imagecodecs.jpeg8_encode(np.ascontiguousarray(RGB[:64, :64]), level=100, subsampling="444"),
        colorspace="YCBCR", outcolorspace="YCBCR",
    )  # fmt: skip
    pixels = ycbcr if kind == 33003 else RGB[:64, :64]
    tile = imagecodecs.jpeg2k_encode(np.ascontiguousarray(pixels), reversible=True, codecformat="j2k", mct=False)
    ifd, data = written(iter([tile]), shape=(64, 64, 3), dtype="uint8", photometric="rgb", compression=kind, **TILED)
    # The test's own YCbCr went through a JPEG of the highest quality.
    assert np.abs(joined(ifd, data).astype(int) - RGB[:64, :64]).max() <= 5
    named = replace(ifd, description="Aperio Image Library|J2K/KDU Q=70")
    assert np.abs(joined(named, data).astype(int) - pixels).max() <= 3


def test_webp_is_decoded() -> None:
    ifd, data = written(RGB, photometric="rgb", compression="webp", compressionargs={"lossless": True}, **TILED)
    assert np.array_equal(joined(ifd, data), RGB)


@pytest.mark.parametrize("colour", ["ycbcr444", "rgb", "grey"])
def test_jpeg_is_decoded_in_the_colours_that_its_directory_tells(colour: str) -> None:
    tile = jpeg_tile(RGB[:64, :64], colour)
    photometric = {"grey": "minisblack", "rgb": "rgb"}.get(colour, "ycbcr")
    shape = (64, 64) if colour == "grey" else (64, 64, 3)
    options: dict[str, Any] = {"compressionargs": {"outcolorspace": "rgb"}} if colour == "rgb" else {}
    ifd, data = written(
        iter([tile]), shape=shape, dtype="uint8", photometric=photometric, compression="jpeg", **options, **TILED
    )
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        expected = tiff.asarray()
    assert np.array_equal(joined(ifd, data), expected if colour != "grey" else expected[..., None].repeat(3, 2))


def test_jpeg_in_separate_planes_is_decoded() -> None:
    planes = np.moveaxis(RGB, 2, 0)
    ifd, data = written(
        planes, photometric="rgb", planarconfig="separate", compression="jpeg", compressionargs={"level": 95}, **TILED
    )
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        expected = np.moveaxis(tiff.asarray(), 0, 2)
    assert np.array_equal(joined(ifd, data), expected)


PLAIN: Storage = storage_of(written(RGB[:64, :64], photometric="rgb", **TILED)[0])
HUGE = b"\0" * 50_000_000


@pytest.mark.parametrize(
    ("compression", "data"),
    [
        (1, b"short"), (8, zlib.compress(HUGE)), (8, b"no deflate"), (5, imagecodecs.lzw_encode(HUGE[:100])),
        (50000, imagecodecs.zstd_encode(HUGE)), (32773, imagecodecs.packbits_encode(HUGE[:1_000_000])),
        (33005, imagecodecs.jpeg2k_encode(np.zeros((2000, 2000, 3), np.uint8), codecformat="j2k")),
        (33005, b"no codestream"), (50001, imagecodecs.webp_encode(np.zeros((3000, 3000, 3), np.uint8))),
        (50001, b"RIFF1234WEBPVP8 short"), (50001, b"no image"), (7, b"no JPEG"),
        (7, simplejpeg.encode_jpeg(np.zeros((3000, 3000, 3), np.uint8))),
    ],
)  # fmt: skip
def test_what_holds_more_or_less_than_it_should_is_damaged_and_takes_no_memory(compression: int, data: bytes) -> None:
    storage = replace(PLAIN, compression=compression, prefix=b"\xff\xd8" if compression == 7 else b"")
    tracemalloc.start()
    try:
        with pytest.raises(CorruptTileError):
            decoded(storage, [data], 0)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_grey_webp_and_jpeg_2000_of_too_few_samples_are_damaged() -> None:
    grey = imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint8), codecformat="j2k")
    with pytest.raises(CorruptTileError, match="where"):
        decoded(replace(PLAIN, compression=33005), [grey], 0)


def test_low_bits_first_are_turned_around() -> None:
    raw = RGB[:64, :64].tobytes()
    turned = bytes(int(f"{value:08b}"[::-1], 2) for value in raw)
    assert np.array_equal(decoded(replace(PLAIN, fill_order=2), [turned], 0), RGB[:64, :64])


def test_an_associated_plane_that_is_cut_off_is_damaged() -> None:
    jpeg = jpeg_tile(RGB[:64, :64], "grey")
    storage = replace(PLAIN, compression=7, planar=2, prefix=b"\xff\xd8")
    with pytest.raises(CorruptTileError):
        decoded(storage, [jpeg, jpeg, jpeg[:200]], 0)


def test_a_whole_tile_is_halved_by_the_decoder() -> None:
    jpeg = simplejpeg.encode_jpeg(picture(256, 256), 95, "RGB", "420")
    small = decoded_jpeg(jpeg, (256, 256), halved=True)
    reference = picture(256, 256).reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert small.shape == (128, 128, 3)
    assert 10 * np.log10(255**2 / np.mean((small - reference) ** 2)) > 38


def test_a_jpeg_of_another_size_or_with_damage_inside_is_damaged_and_filling_is_not() -> None:
    jpeg = jpeg_tile(picture(64, 64), "ycbcr")
    with pytest.raises(CorruptTileError, match="holds 64 x 64 px where 128 x 64 px are expected"):
        decoded_jpeg(jpeg, (64, 128))
    with pytest.raises(CorruptTileError, match=r"cannot be decoded: .*premature end"):
        decoded_jpeg(jpeg[: len(jpeg) // 2] + b"\xff\xd9", (64, 64))
    filled = jpeg[:-2] + b"\0\0\0" + jpeg[-2:]
    assert np.array_equal(decoded_jpeg(filled, (64, 64)), decoded_jpeg(jpeg, (64, 64)))


def test_sizes_are_read_from_headers() -> None:
    flat = np.zeros((40, 60, 3), np.uint8)
    assert jpeg_2000_size(imagecodecs.jpeg2k_encode(flat, codecformat="jp2")) == (60, 40)
    assert webp_size(imagecodecs.webp_encode(flat, lossless=False)) == (60, 40)
    assert webp_size(imagecodecs.webp_encode(flat, lossless=True)) == (60, 40)
    extended = b"RIFF0000WEBPVP8X\x0a\0\0\0\0\0\0\0" + (59).to_bytes(3, "little") + (39).to_bytes(3, "little")
    assert webp_size(extended) == (60, 40)
    four = imagecodecs.jpeg2k_encode(flat, codecformat="j2k")
    with pytest.raises(CorruptTileError, match="more than four components"):
        jpeg_2000_size(four[:40] + b"\0\x09" + four[42:])


@given(st.binary(max_size=400), st.sampled_from([1, 5, 7, 8, 32773, 33005, 50000, 50001]))
def test_no_bytes_raise_anything_else(data: bytes, compression: int) -> None:
    storage = replace(PLAIN, compression=compression, prefix=b"\xff\xd8" if compression == 7 else b"")
    try:
        assert decoded(storage, [data], 0).shape == (64, 64, 3)
    except CorruptTileError as error:
        assert str(error)


def test_a_storage_survives_the_journey_through_the_plan() -> None:
    table = np.zeros((3, 256), np.uint16)
    for ifd in (
        written(RGB[..., 0], photometric="palette", colormap=table, **TILED)[0],
        written(np.concatenate((RGB, RGB[..., :1]), 2), photometric="rgb", extrasamples=["unassalpha"])[0],
    ):
        assert load_storage(dump_storage(storage_of(ifd))) == storage_of(ifd)
