"""Segments into pixels, held to what tifffile makes of the same file, and bounded whatever they claim."""

import io
import json
import pickle
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.decode import codestream_of, decoded, webp_size, whole_jpeg
from chalicelib.core.imaging.encoding import Storage, storage_of, unsupported_reason
from chalicelib.core.imaging.jpeg import Splicer, tile_prefix
from chalicelib.core.imaging.raster import Pixels
from chalicelib.core.tiff.directory import Ifd, read_ifds
from tests.slides import jpeg_tile, picture, segments

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
def test_plain_segments_decode_to_image_pixels(pixels: Any, how: dict, planar: str, place: dict) -> None:
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    ifd, data = written(stored, photometric="rgb", planarconfig=planar, **how, **place)
    assert np.array_equal(joined(ifd, data), RGB)


def test_grey_inverted_grey_and_palette_decode_to_rgb() -> None:
    grey = RGB[..., 0]
    three = np.repeat(grey[..., None], 3, 2)
    assert np.array_equal(joined(*written(grey, photometric="minisblack", **TILED)), three)
    assert np.array_equal(joined(*written(255 - grey, photometric="miniswhite", **TILED)), three)
    table = np.random.default_rng(0).integers(0, 256, (3, 256), dtype=np.uint16)
    wide = joined(*written(grey, photometric="palette", colormap=table * 257, **TILED))
    assert np.array_equal(wide, table.T[grey])
    # Some writers put 8-bit values into the table of 16-bit ones.
    assert np.array_equal(joined(*written(grey, photometric="palette", colormap=table, **TILED)), table.T[grey])


def test_alpha_is_composited_over_white() -> None:
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


def test_jpeg_2000_of_16_bits_decodes_to_8_bits() -> None:
    stream = imagecodecs.jpeg2k_encode(SIXTEEN[:64, :64], reversible=True, codecformat="j2k")
    assert np.array_equal(decoded(replace(PLAIN, compression=33005, bits=16), [stream], 0), RGB[:64, :64])


def test_lossless_webp_decodes_exactly() -> None:
    ifd, data = written(RGB, photometric="rgb", compression="webp", compressionargs={"lossless": True}, **TILED)
    assert np.array_equal(joined(ifd, data), RGB)


@pytest.mark.parametrize("alpha", [51, 255])
def test_webp_with_alpha_is_composited_over_white(alpha: int) -> None:
    # An encoder leaves out the alpha of a tile that has none to speak of: the decoder finds three samples there.
    rgba = np.concatenate((RGB, np.full_like(RGB[..., :1], alpha)), 2)
    ifd, data = written(
        rgba, photometric="rgb", extrasamples=["unassalpha"], compression="webp", compressionargs={"lossless": True},
        **TILED,
    )  # fmt: skip
    expected = RGB * (alpha / 255) + (255 - alpha)
    assert np.abs(joined(ifd, data) - expected).max() <= 0.51


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
    assert [tuple(pixel) for pixel in decoded(storage, [stream], 0)[0, : len(known)].tolist()] == list(known.values())


@pytest.mark.parametrize("colour", ["ycbcr444", "rgb", "grey"])
def test_jpeg_colours_follow_photometric_tag(colour: str) -> None:
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


def test_jpeg_of_inverted_grey_is_refused_or_inverted() -> None:
    grey = np.ascontiguousarray(RGB[:64, :64, :1])
    tile = simplejpeg.encode_jpeg(255 - grey, 95, "GRAY", "Gray")
    ifd, data = written(
        iter([tile]), shape=(64, 64), dtype="uint8", photometric="miniswhite", compression="jpeg", **TILED
    )
    assert ifd.photometric == 0
    assert unsupported_reason(ifd) is not None or np.abs(joined(ifd, data).astype(int) - grey).max() <= 8


def test_jpeg_of_palette_indices_is_refused_or_correct() -> None:
    indices = np.full((64, 64, 1), 128, np.uint8)
    tile = simplejpeg.encode_jpeg(indices, 95, "GRAY", "Gray")
    ifd, data = written(
        iter([tile]), shape=(64, 64), dtype="uint8", photometric="minisblack", compression="jpeg", **TILED
    )
    table = np.zeros((3, 256), np.uint16)
    table[:, 128] = (65535, 0, 0)
    palette = replace(ifd, photometric=3, colour_map=table.tobytes())
    assert unsupported_reason(palette) is not None or joined(palette, data)[0, 0].tolist() == [255, 0, 0]


def test_ycbcr_in_separate_planes_is_refused_or_correct() -> None:
    ycbcr = imagecodecs.jpeg8_decode(
        imagecodecs.jpeg8_encode(np.ascontiguousarray(RGB[:64, :64]), level=100, subsampling="444"),
        colorspace="YCBCR", outcolorspace="YCBCR",
    )  # fmt: skip
    planes = [
        simplejpeg.encode_jpeg(np.ascontiguousarray(ycbcr[..., each : each + 1]), 98, "GRAY", "Gray")
        for each in range(3)
    ]
    ifd, data = written(
        iter(planes), shape=(3, 64, 64), dtype="uint8", photometric="rgb", planarconfig="separate", compression="jpeg",
        compressionargs={"outcolorspace": "rgb"}, **TILED,
    )  # fmt: skip
    stored = replace(ifd, photometric=6)
    assert (
        unsupported_reason(stored) is not None or np.abs(joined(stored, data).astype(int) - RGB[:64, :64]).max() <= 12
    )


def test_jpeg_in_separate_planes_decodes_like_tifffile() -> None:
    planes = np.moveaxis(RGB, 2, 0)
    ifd, data = written(
        planes, photometric="rgb", planarconfig="separate", compression="jpeg", compressionargs={"level": 95}, **TILED
    )
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        expected = np.moveaxis(tiff.asarray(), 0, 2)
    assert np.array_equal(joined(ifd, data), expected)


PLAIN: Storage = storage_of(written(RGB[:64, :64], photometric="rgb", **TILED)[0])
YCBCR = replace(PLAIN, compression=7, photometric=6, prefix=tile_prefix(b"", 6))


@cache
def huge(codec: str) -> bytes:
    """Return a few kilobytes that claim 48 MB."""
    pixels = np.zeros((4000, 4000, 3), np.uint8)
    if codec == "webp":
        return imagecodecs.webp_encode(pixels)
    if codec == "jpeg":
        return simplejpeg.encode_jpeg(pixels, 50)[:4000]
    if codec == "grey":
        return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels[..., :1]), 50, "GRAY", "Gray")
    if codec == "packbits":  # runs of 128, which the encoder at hand is slow to find
        return b"\x81\0" * (pixels.nbytes // 128)
    if codec in ("j2k", "jp2"):
        return imagecodecs.jpeg2k_encode(pixels, codecformat=codec)
    pack = {"deflate": zlib.compress, "lzw": imagecodecs.lzw_encode}
    return bytes(pack.get(codec, imagecodecs.zstd_encode)(pixels.tobytes()))


def jp2_with_another_header_before_it() -> bytes:
    """Return a JP2 file of which a box of private data, before the codestream, holds the header of a small one."""
    large, small = huge("jp2"), imagecodecs.jpeg2k_encode(np.zeros((64, 64, 3), np.uint8), codecformat="j2k")
    at = 12 + int.from_bytes(large[12:16], "big")  # behind the boxes that say what the file is
    box = struct.pack(">I4s16s", 84, b"uuid", bytes(16)) + small[:60]
    return large[:at] + box + large[at:]


def jpeg_2000_of_many_tiles() -> bytes:
    """Return a codestream of 255 x 256 px in tiles of one pixel; a decoder keeps some kilobytes of each."""
    stream = bytearray(imagecodecs.jpeg2k_encode(np.zeros((256, 255, 3), np.uint8), codecformat="j2k"))
    stream[24:32] = struct.pack(">II", 1, 1)
    return bytes(stream)


SMALL_JPEG = jpeg_tile(RGB[:64, :64], "ycbcr")


def tables_with_an_image() -> bytes:
    """Return shared tables that are an image of their own, before which a decoder never comes to the tile."""
    return huge("jpeg")[:2000]


def tables_that_hide_an_image() -> bytes:
    """Return shared tables with a marker that has no length (TEM). Who takes the bytes after it for one passes over
    64 KB, to a small frame; a decoder finds the large one in them."""
    frame = next(data for marker, data in segments(SMALL_JPEG) if marker == 0xC0)
    image = tables_with_an_image()
    image = image[image.index(b"\xff\xdb") :]
    hidden = (b"\xff\x01" + image).ljust(2 + int.from_bytes(image[:2], "big"), b"\0")
    return b"\xff\xd8" + hidden + frame + b"\xff\xd9"


BOMBS: dict[str, Callable[[], tuple[Storage, bytes]]] = {
    **{
        f"{codec} ({code})": partial(lambda code, codec: (replace(PLAIN, compression=code), huge(codec)), code, codec)
        for code, codec in (
            (5, "lzw"), (8, "deflate"), (32946, "deflate"), (32773, "packbits"), (50000, "zstd"), (34926, "zstd"),
            (33003, "j2k"), (33005, "jp2"), (34712, "j2k"), (50001, "webp"), (34927, "webp"),
        )
    },
    "JPEG": lambda: (YCBCR, huge("jpeg") + b"\xff\xd9"),
    "JPEG in separate planes": lambda: (replace(YCBCR, planar=2, photometric=2), huge("grey")),
    "JP2 with another header before it": lambda: (
        replace(PLAIN, compression=33005), jp2_with_another_header_before_it(),
    ),
    "JPEG 2000 of many tiles": lambda: (
        replace(PLAIN, compression=33005, width_px=255, height_px=256, tile_width_px=255, tile_height_px=256),
        jpeg_2000_of_many_tiles(),
    ),
    "JPEG tables with an image": lambda: (replace(YCBCR, prefix=tile_prefix(tables_with_an_image(), 6)), SMALL_JPEG),
    "JPEG tables that hide an image": lambda: (
        replace(YCBCR, prefix=tile_prefix(tables_that_hide_an_image(), 6)), SMALL_JPEG,
    ),
}  # fmt: skip

# Codecs take their memory where Python does not see it, and a process remembers its peak for ever: each piece is
# decoded in a process of its own, which has loaded and used all codecs before.
DECODE_APART = """
import json, os, pickle, resource, sys
from chalicelib.core.imaging.decode import decoded
from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.jpeg import Splicer

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def outcome(storage, data, splicer):
    try:
        decoded(storage, [data] * storage.planes, 0, splicer)
    except CorruptTileError as error:
        return str(error)
    return None

sound, bombs = pickle.load(sys.stdin.buffer)
for storage, data in sound:
    assert outcome(storage, data, None) is None, (storage, outcome(storage, data, None))
for name, storage, data, splices in bombs:
    reading, writing = os.pipe()
    if not os.fork():
        splicer = Splicer(storage.prefix, (storage.tile_width_px, storage.tile_height_px)) if splices else None
        before = peak()
        said = outcome(storage, data, splicer)
        os.write(writing, json.dumps([name, said, (peak() - before) // 1024]).encode())
        os._exit(0)
    os.close(writing)
    print(os.fdopen(reading).read())
    os.wait()
"""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str | None, int]]:
    """What became of each bomb: (the reason of its refusal, MiB that were taken), by its name."""
    bombs = []
    for name, make in BOMBS.items():
        try:
            storage, data = make()
        except CorruptTileError:  # refused when the plan was made already
            continue
        bombs.append((name, storage, data, False))
        bombs.append((f"{name}, with a splicer", storage, data, True))
    pixels = np.ascontiguousarray(RGB[:64, :64])
    sound = [
        (replace(PLAIN, compression=code), encode(pixels))
        for code, encode in (
            (1, lambda pixels: pixels.tobytes()), (5, imagecodecs.lzw_encode), (8, zlib.compress),
            (32773, lambda pixels: imagecodecs.packbits_encode(pixels.tobytes())),
            (50000, imagecodecs.zstd_encode), (50001, imagecodecs.webp_encode),
            (33003, lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k")),
        )
    ]  # fmt: skip
    apart = subprocess.run(
        [sys.executable, "-c", DECODE_APART],
        input=pickle.dumps(([*sound, (YCBCR, SMALL_JPEG)], bombs)), capture_output=True, check=False,
    )  # fmt: skip
    assert apart.returncode == 0, apart.stderr.decode()
    found = [json.loads(line) for line in apart.stdout.decode().splitlines()]
    assert [name for name, _, _ in found] == [name for name, _, _, _ in bombs]
    return {name: (said, taken) for name, said, taken in found}


@pytest.mark.parametrize("way", ["", ", with a splicer"])
@pytest.mark.parametrize("name", BOMBS)
def test_decompression_bomb_is_refused_within_16_mib(
    outcomes: dict[str, tuple[str | None, int]], name: str, way: str
) -> None:
    said, taken_mib = outcomes.get(name + way, ("refused", 0))
    assert taken_mib < 16
    # LZW ends where enough is unpacked, as every reader of it does.
    assert said is not None or name.startswith("lzw")


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
        decoded(replace(PLAIN, compression=33005, bits=16), [narrow], 0)


def test_surplus_bytes_of_uncompressed_segment_are_ignored() -> None:
    raw = RGB[:64, :64].tobytes()
    assert np.array_equal(decoded(PLAIN, [raw + b"filling"], 0), RGB[:64, :64])


@pytest.mark.parametrize("name", ["deflate", "lzw", "packbits", "zstd", "none"])
def test_last_strip_has_remaining_rows(name: str) -> None:
    ifd, data = written(RGB[:70, :64], photometric="rgb", rowsperstrip=64, compression=name)
    assert ifd.segment_rows == 2
    assert np.array_equal(joined_strips(ifd, data), RGB[:70, :64])


def joined_strips(ifd: Ifd, data: bytes) -> Pixels:
    storage = storage_of(ifd)
    ranges = zip(ifd.offsets, ifd.byte_counts, strict=True)
    return np.concatenate([decoded(storage, [data[at : at + size]], row) for row, (at, size) in enumerate(ranges)])


def test_reversed_bit_order_is_decoded() -> None:
    raw = RGB[:64, :64].tobytes()
    turned = bytes(int(f"{value:08b}"[::-1], 2) for value in raw)
    assert np.array_equal(decoded(replace(PLAIN, fill_order=2), [turned], 0), RGB[:64, :64])


def test_truncated_plane_is_damaged() -> None:
    jpeg = jpeg_tile(RGB[:64, :64], "grey")
    storage = replace(PLAIN, compression=7, planar=2, prefix=b"\xff\xd8")
    with pytest.raises(CorruptTileError):
        decoded(storage, [jpeg, jpeg, jpeg[:200]], 0)


def test_whole_jpeg_is_halved_by_the_decoder() -> None:
    jpeg = simplejpeg.encode_jpeg(picture(256, 256), 95, "RGB", "420")
    small = whole_jpeg(jpeg, (128, 128))
    reference = picture(256, 256).reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert small.shape == (128, 128, 3)
    assert 10 * np.log10(255**2 / np.mean((small - reference) ** 2)) > 38


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
    boxed = codestream_of(imagecodecs.jpeg2k_encode(flat, codecformat="jp2"))
    assert (boxed.width_px, boxed.height_px) == (60, 40)
    assert webp_size(imagecodecs.webp_encode(flat, lossless=False)) == (60, 40)
    assert webp_size(imagecodecs.webp_encode(flat, lossless=True)) == (60, 40)
    extended = b"RIFF0000WEBPVP8X\x0a\0\0\0\0\0\0\0" + (59).to_bytes(3, "little") + (39).to_bytes(3, "little")
    assert webp_size(extended) == (60, 40)
    four = imagecodecs.jpeg2k_encode(flat, codecformat="j2k")
    with pytest.raises(CorruptTileError, match="more than four components"):
        codestream_of(four[:40] + b"\0\x09" + four[42:])


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
