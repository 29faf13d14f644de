"""Decompression bombs are refused before the decoder takes their memory."""

import json
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import imagecodecs
import numpy as np
import pytest
import simplejpeg

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.encoding import Storage
from chalicelib.core.imaging.jpeg import tile_prefix
from tests.slides import Pixels, segments
from tests.unit.imaging.stored_images import PLAIN, RGB, SMALL_JPEG, YCBCR


@cache
def huge(codec: str) -> bytes:
    """Return a few kilobytes that claim 48 MB."""
    pixels = np.zeros((4000, 4000, 3), np.uint8)
    if codec == "webp":
        return bytes(imagecodecs.webp_encode(pixels))
    if codec == "jpeg":
        return bytes(simplejpeg.encode_jpeg(pixels, 50)[:4000])
    if codec == "grey":
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels[..., :1]), 50, "GRAY", "Gray"))
    if codec == "packbits":  # runs of 128; the encoder is slow to find them
        return b"\x81\0" * (pixels.nbytes // 128)
    if codec in ("j2k", "jp2"):
        return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat=codec))
    pack: dict[str, Callable[[bytes], bytes | bytearray]] = {"deflate": zlib.compress, "lzw": imagecodecs.lzw_encode}
    return bytes(pack.get(codec, imagecodecs.zstd_encode)(pixels.tobytes()))


def jp2_with_another_header_before_it() -> bytes:
    """Return a JP2 file with a private box before the codestream that contains the header of a small image."""
    large, small = huge("jp2"), imagecodecs.jpeg2k_encode(np.zeros((64, 64, 3), np.uint8), codecformat="j2k")
    at = 12 + int.from_bytes(large[12:16], "big")  # after the signature and file type boxes
    box = struct.pack(">I4s16s", 84, b"uuid", bytes(16)) + small[:60]
    return large[:at] + box + large[at:]


def jpeg_2000_of_many_tiles() -> bytes:
    """Return a codestream of 255 x 256 px in tiles of one pixel; a decoder keeps some kilobytes of each."""
    stream = bytearray(imagecodecs.jpeg2k_encode(np.zeros((256, 255, 3), np.uint8), codecformat="j2k"))
    stream[24:32] = struct.pack(">II", 1, 1)
    return bytes(stream)


def tables_with_an_image() -> bytes:
    """Return shared tables that are a complete image. A decoder reads it and not the tile."""
    return huge("jpeg")[:2000]


def tables_that_hide_an_image() -> bytes:
    """Return shared tables with a marker that has no length (TEM). A reader that takes the next bytes for a length skips
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


# Python does not see the memory of codecs, and the peak of a process never decreases. Each bomb is therefore decoded in
# its own process, after all codecs were loaded and used.
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
    """(Reason of the refusal, MiB allocated) of each bomb, by name."""
    bombs = []
    for name, make in BOMBS.items():
        try:
            storage, data = make()
        except CorruptTileError:  # refused during planning
            continue
        bombs.append((name, storage, data, False))
        bombs.append((f"{name}, with a splicer", storage, data, True))
    pixels = np.ascontiguousarray(RGB[:64, :64])
    encoders: dict[int, Callable[[Pixels], bytes | bytearray]] = {
        1: lambda pixels: pixels.tobytes(),
        5: lambda pixels: imagecodecs.lzw_encode(pixels.tobytes()),
        8: lambda pixels: zlib.compress(pixels.tobytes()),
        32773: lambda pixels: imagecodecs.packbits_encode(pixels.tobytes()),
        50000: lambda pixels: imagecodecs.zstd_encode(pixels.tobytes()),
        50001: imagecodecs.webp_encode,
        33003: lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k"),
    }
    sound = [(replace(PLAIN, compression=code), bytes(encode(pixels))) for code, encode in encoders.items()]
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
    # LZW stops when enough is unpacked, as in every reader.
    assert said is not None or name.startswith("lzw")
