"""Decoded pixels equal those that tifffile reads from the same file."""

import io
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile

from chalicelib.core.imaging.decode import decoded, whole_jpeg
from chalicelib.core.imaging.encoding import storage_of, unsupported_reason
from chalicelib.core.imaging.raster import Pixels
from chalicelib.core.tiff.directory import Ifd
from tests.slides import Colour, jpeg_tile, picture
from tests.unit.imaging.stored_images import PLAIN, RGB, SIXTEEN, TILED, join_segments, write_image


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
def test_plain_segments_decode_to_image_pixels(
    pixels: Any, how: dict[str, Any], planar: str, place: dict[str, Any]
) -> None:
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    ifd, data = write_image(stored, photometric="rgb", planarconfig=planar, **how, **place)
    assert np.array_equal(join_segments(ifd, data), RGB)


def test_grey_inverted_grey_and_palette_decode_to_rgb() -> None:
    grey = RGB[..., 0]
    three = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(join_segments(*write_image(grey, photometric="minisblack", **TILED)), three)
    assert np.array_equal(join_segments(*write_image(255 - grey, photometric="miniswhite", **TILED)), three)
    table = np.random.default_rng(0).integers(0, 256, (3, 256), dtype=np.uint16)
    wide = join_segments(*write_image(grey, photometric="palette", colormap=table * 257, **TILED))
    assert np.array_equal(wide, table.T[grey])
    # Some writers store 8-bit values in the 16-bit table.
    assert np.array_equal(
        join_segments(*write_image(grey, photometric="palette", colormap=table, **TILED)), table.T[grey]
    )


def test_alpha_is_composited_over_white() -> None:
    alpha = np.full((*RGB.shape[:2], 1), 51, np.uint8)
    rgba = np.concatenate((RGB, alpha), 2)
    over = join_segments(*write_image(rgba, photometric="rgb", extrasamples=["unassalpha"], **TILED)).astype(int)
    assert np.abs(over - (RGB * 0.2 + 255 * 0.8)).max() <= 0.51
    dimmed = np.concatenate(((RGB * 0.2).astype(np.uint8), alpha), 2)
    over = join_segments(*write_image(dimmed, photometric="rgb", extrasamples=["assocalpha"], **TILED)).astype(int)
    assert np.abs(over - (RGB * 0.2 + 255 * 0.8)).max() <= 1.01
    assert np.array_equal(
        join_segments(*write_image(rgba, photometric="rgb", extrasamples=["unspecified"], **TILED)), RGB
    )


@pytest.mark.parametrize("kind", [33003, 33005, 34712])
def test_jpeg_2000_is_converted_where_aperio_stores_ycbcr(kind: int) -> None:
    ycbcr = imagecodecs.jpeg8_decode(
        imagecodecs.jpeg8_encode(np.ascontiguousarray(RGB[:64, :64]), level=100, subsampling="444"),
        colorspace="YCBCR", outcolorspace="YCBCR",
    )  # fmt: skip
    pixels = ycbcr if kind == 33003 else RGB[:64, :64]
    tile = imagecodecs.jpeg2k_encode(np.ascontiguousarray(pixels), reversible=True, codecformat="j2k", mct=False)
    ifd, data = write_image(
        iter([tile]), shape=(64, 64, 3), dtype="uint8", photometric="rgb", compression=kind, **TILED
    )
    # The YCbCr of this test comes from a JPEG of the highest quality.
    assert np.abs(join_segments(ifd, data).astype(int) - RGB[:64, :64]).max() <= 5
    named = replace(ifd, description="Aperio Image Library|J2K/KDU Q=70")
    assert np.abs(join_segments(named, data).astype(int) - pixels).max() <= 3


def test_jpeg_2000_of_16_bits_decodes_to_8_bits() -> None:
    stream = imagecodecs.jpeg2k_encode(SIXTEEN[:64, :64], reversible=True, codecformat="j2k")
    assert np.array_equal(decoded(replace(PLAIN, compression=33005, bits=16), [bytes(stream)], 0), RGB[:64, :64])


def test_lossless_webp_decodes_exactly() -> None:
    ifd, data = write_image(RGB, photometric="rgb", compression="webp", compressionargs={"lossless": True}, **TILED)
    assert np.array_equal(join_segments(ifd, data), RGB)


@pytest.mark.parametrize("alpha", [51, 255])
def test_webp_with_alpha_is_composited_over_white(alpha: int) -> None:
    # Encoders omit the alpha of an opaque tile: the decoder then returns three samples.
    rgba = np.concatenate((RGB, np.full_like(RGB[..., :1], alpha)), 2)
    ifd, data = write_image(
        rgba, photometric="rgb", extrasamples=["unassalpha"], compression="webp", compressionargs={"lossless": True},
        **TILED,
    )  # fmt: skip
    expected = RGB * (alpha / 255) + (255 - alpha)
    assert np.abs(join_segments(ifd, data) - expected).max() <= 0.51


def test_samples_of_16_bits_round_to_nearest_8_bit_value() -> None:
    samples = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    storage = replace(PLAIN, photometric=1, samples=1, bits=16, tile_width_px=256, tile_height_px=256)
    assert np.array_equal(decoded(storage, [samples.tobytes()], 0)[..., 0], np.rint(samples / 257))


def test_extremes_of_16_bits_become_black_and_white() -> None:
    samples = np.zeros((64, 64), np.uint16)
    samples[0, :5] = (0, 128, 129, 65406, 65535)
    storage = replace(PLAIN, photometric=1, samples=1, bits=16)
    assert decoded(storage, [samples.tobytes()], 0)[0, :5, 0].tolist() == [0, 0, 1, 254, 255]
    inverted = replace(storage, photometric=0)
    assert decoded(inverted, [samples.tobytes()], 0)[0, :5, 0].tolist() == [255, 255, 254, 1, 0]


@pytest.mark.parametrize("kind", [{"bits": 8}, {"bits": 16}, {"bits": 16, "byte_order": ">"}])
def test_predictor_differences_wrap_within_each_sample(kind: dict[str, Any]) -> None:
    limit = 1 << kind["bits"]
    samples = np.random.default_rng(0).integers(0, limit, (64, 64, 3)).astype(f"u{kind['bits'] // 8}")
    differences = samples.astype(np.int64)
    differences[:, 1:] -= samples[:, :-1].astype(np.int64)
    raw = (differences % limit).astype(f"{kind.get('byte_order', '<')}u{kind['bits'] // 8}").tobytes()
    expected = samples if limit == 256 else np.rint(samples / 257)
    assert np.array_equal(decoded(replace(PLAIN, predictor=2, **kind), [raw], 0), expected)


def test_ycbcr_colours_follow_the_jpeg_standard() -> None:
    # T.871: black, white, and the three primaries, to the nearest value.
    known = {
        (0, 128, 128): (0, 0, 0), (255, 128, 128): (255, 255, 255), (76, 85, 255): (254, 0, 0),
        (150, 44, 21): (0, 255, 1), (29, 255, 107): (0, 0, 254), (200, 128, 128): (200, 200, 200),
    }  # fmt: skip
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[0, : len(known)] = list(known)
    stream = imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="j2k", mct=False)
    storage = replace(PLAIN, compression=33003, photometric=6)
    assert [tuple(pixel) for pixel in decoded(storage, [bytes(stream)], 0)[0, : len(known)].tolist()] == list(
        known.values()
    )


@pytest.mark.parametrize("colour", ["ycbcr444", "rgb", "grey"])
def test_jpeg_colours_follow_photometric_tag(colour: Colour) -> None:
    tile = jpeg_tile(RGB[:64, :64], colour)
    photometric = {"grey": "minisblack", "rgb": "rgb"}.get(colour, "ycbcr")
    shape = (64, 64) if colour == "grey" else (64, 64, 3)
    options: dict[str, Any] = {"compressionargs": {"outcolorspace": "rgb"}} if colour == "rgb" else {}
    ifd, data = write_image(
        iter([tile]), shape=shape, dtype="uint8", photometric=photometric, compression="jpeg", **options, **TILED
    )
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        expected = tiff.asarray()
    assert np.array_equal(join_segments(ifd, data), expected if colour != "grey" else expected[..., None].repeat(3, 2))


def test_jpeg_of_inverted_grey_is_refused_or_inverted() -> None:
    grey = np.ascontiguousarray(RGB[:64, :64, :1])
    tile = simplejpeg.encode_jpeg(255 - grey, 95, "GRAY", "Gray")
    ifd, data = write_image(
        iter([tile]), shape=(64, 64), dtype="uint8", photometric="miniswhite", compression="jpeg", **TILED
    )
    assert ifd.photometric == 0
    assert unsupported_reason(ifd) is not None or np.abs(join_segments(ifd, data).astype(int) - grey).max() <= 8


def test_jpeg_of_palette_indices_is_refused_or_correct() -> None:
    indices = np.full((64, 64, 1), 128, np.uint8)
    tile = simplejpeg.encode_jpeg(indices, 95, "GRAY", "Gray")
    ifd, data = write_image(
        iter([tile]), shape=(64, 64), dtype="uint8", photometric="minisblack", compression="jpeg", **TILED
    )
    table = np.zeros((3, 256), np.uint16)
    table[:, 128] = (65535, 0, 0)
    palette = replace(ifd, photometric=3, colour_map=table.tobytes())
    assert unsupported_reason(palette) is not None or join_segments(palette, data)[0, 0].tolist() == [255, 0, 0]


def test_ycbcr_in_separate_planes_is_refused_or_correct() -> None:
    ycbcr = imagecodecs.jpeg8_decode(
        imagecodecs.jpeg8_encode(np.ascontiguousarray(RGB[:64, :64]), level=100, subsampling="444"),
        colorspace="YCBCR", outcolorspace="YCBCR",
    )  # fmt: skip
    planes = [
        simplejpeg.encode_jpeg(np.ascontiguousarray(ycbcr[..., each : each + 1]), 98, "GRAY", "Gray")
        for each in range(3)
    ]
    ifd, data = write_image(
        iter(planes), shape=(3, 64, 64), dtype="uint8", photometric="rgb", planarconfig="separate", compression="jpeg",
        compressionargs={"outcolorspace": "rgb"}, **TILED,
    )  # fmt: skip
    stored = replace(ifd, photometric=6)
    assert (
        unsupported_reason(stored) is not None
        or np.abs(join_segments(stored, data).astype(int) - RGB[:64, :64]).max() <= 12
    )


def test_jpeg_in_separate_planes_decodes_like_tifffile() -> None:
    planes = np.moveaxis(RGB, 2, 0)
    ifd, data = write_image(
        planes, photometric="rgb", planarconfig="separate", compression="jpeg", compressionargs={"level": 95}, **TILED
    )
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        expected = np.moveaxis(tiff.asarray(), 0, 2)
    assert np.array_equal(join_segments(ifd, data), expected)


@pytest.mark.parametrize("name", ["deflate", "lzw", "packbits", "zstd", "none"])
def test_last_strip_has_remaining_rows(name: str) -> None:
    ifd, data = write_image(RGB[:70, :64], photometric="rgb", rowsperstrip=64, compression=name)
    assert ifd.segment_rows == 2
    assert np.array_equal(join_strips(ifd, data), RGB[:70, :64])


def join_strips(ifd: Ifd, data: bytes) -> Pixels:
    storage = storage_of(ifd)
    ranges = zip(ifd.offsets, ifd.byte_counts, strict=True)
    return np.concatenate([decoded(storage, [data[at : at + size]], row) for row, (at, size) in enumerate(ranges)])


def test_reversed_bit_order_is_decoded() -> None:
    raw = RGB[:64, :64].tobytes()
    turned = bytes(int(f"{value:08b}"[::-1], 2) for value in raw)
    assert np.array_equal(decoded(replace(PLAIN, fill_order=2), [turned], 0), RGB[:64, :64])


def test_whole_jpeg_is_halved_by_the_decoder() -> None:
    jpeg = simplejpeg.encode_jpeg(picture(256, 256), 95, "RGB", "420")
    small = whole_jpeg(jpeg, (128, 128))
    reference = picture(256, 256).reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert small.shape == (128, 128, 3)
    assert 10 * np.log10(255**2 / np.mean((small - reference) ** 2)) > 38
