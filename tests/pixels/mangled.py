"""Files that nobody should have written: seeded damage to small slides of several kinds."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

import imagecodecs
import numpy as np
import tifffile

from tests.slides import Slide, bigtiff, directory, jpeg_tile, picture, write
from tests.steps.test_inputs import kind_of

KINDS_MANGLED = ("LZW", "deflate", "strips", "JPEG 2000", "separate planes", "zstd", "WebP", "16 bits")
HUGE = 1 << 63


@cache
def sound() -> tuple[bytes, ...]:
    """Return the slides that are mangled."""
    jpeg = (
        Slide(width_px=300, height_px=200, levels=(0, 1), tables=True),
        Slide(width_px=300, height_px=200, levels=(0, 1), colour="rgb", tables=True, associated=True),
        Slide(width_px=300, height_px=200, levels=(0, 2), bigtiff=True, subifds=True),
        Slide(width_px=300, height_px=200, byteorder=">"),
    )
    return (*(write(slide) for slide in jpeg), *(kind_of(kind) for kind in KINDS_MANGLED))


@cache
def places(data: bytes) -> dict[str, list[int]]:
    """Return where in a file its directories' entries and its tiles lie."""
    found: dict[str, list[int]] = {"entries": [], "tiles": [], "tables": []}
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for page in tiff.pages:
            for tag in page.tags:  # type: ignore[union-attr]
                found["entries"] += range(tag.offset, tag.offset + 12)
                found["tables"].append(tag.valueoffset)
            found["tiles"] += list(page.dataoffsets)  # type: ignore[union-attr]
    return found


def flipped(data: bytes, jitter: random.Random) -> bytes:
    """Flip a few bits anywhere."""
    changed = bytearray(data)
    for _ in range(jitter.randint(1, 20)):
        changed[jitter.randrange(len(changed))] ^= 1 << jitter.randrange(8)
    return bytes(changed)


def flipped_directory(data: bytes, jitter: random.Random) -> bytes:
    """Flip a few bits of directories."""
    changed, entries = bytearray(data), places(data)["entries"]
    for _ in range(jitter.randint(1, 4)):
        changed[jitter.choice(entries)] ^= 1 << jitter.randrange(8)
    return bytes(changed)


def flipped_tiles(data: bytes, jitter: random.Random) -> bytes:
    """Damage the beginning of a few tiles."""
    changed = bytearray(data)
    for _ in range(jitter.randint(1, 3)):
        at = jitter.choice(places(data)["tiles"]) + jitter.randrange(40)
        changed[min(at, len(changed) - 1)] = jitter.randrange(256)
    return bytes(changed)


def truncated(data: bytes, jitter: random.Random) -> bytes:
    """Cut the file anywhere."""
    return data[: jitter.randrange(len(data))]


def absurd(data: bytes, jitter: random.Random) -> bytes:
    """Put an absurd number where a count, an offset or a size stands."""
    changed = bytearray(data)
    at = jitter.choice(places(data)["tables"])
    value = jitter.choice([0, 1, (1 << 31) - 1, (1 << 32) - 1, len(data), len(data) + 1, HUGE, HUGE - 1])
    packed = struct.pack("<Q", value)[: jitter.choice([2, 4, 8])]
    changed[at : at + len(packed)] = packed
    return bytes(changed[: len(data)])


def shuffled(data: bytes, jitter: random.Random) -> bytes:
    """Copy a piece of the file over another place."""
    changed = bytearray(data)
    size = jitter.randint(4, 4000)
    source, target = (jitter.randrange(max(1, len(data) - size)) for _ in range(2))
    changed[target : target + size] = data[source : source + size]
    return bytes(changed[: len(data)])


DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped, flipped_directory, flipped_tiles, truncated, absurd, shuffled,
)  # fmt: skip


def mangled(seed: int) -> tuple[str, bytes]:
    """Return the name and the bytes of one damaged slide."""
    jitter = random.Random(seed)
    slides = sound()
    kind, damage = jitter.randrange(len(slides)), jitter.choice(DAMAGE)
    return f"{damage.__name__} {kind} {seed}", damage(slides[kind], jitter)


def _huge_jpeg() -> bytes:
    jpeg = bytearray(jpeg_tile(picture(64, 64), "ycbcr"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65500, 65500)
    return _tiled(7, bytes(jpeg))


def _huge_jpeg2000() -> bytes:
    flat = np.zeros((64, 64, 3), np.uint8)
    return _tiled(33005, _claiming(bytes(imagecodecs.jpeg2k_encode(flat, codecformat="j2k")), 8, 65500))


def _huge_webp() -> bytes:
    return _tiled(50001, bytes(imagecodecs.webp_encode(np.zeros((8000, 8000, 3), np.uint8), lossless=True)))


def _deflated(size_bytes: int) -> bytes:
    squeeze = zlib.compressobj(9)
    zeros = bytes(1_000_000)
    return b"".join(squeeze.compress(zeros) for _ in range(size_bytes // len(zeros))) + squeeze.flush()


def _circle() -> bytes:
    size = len(directory())
    return bigtiff(directory(following=16 + size), directory(following=16))


# Small files whose contents claim to be huge.
BOMBS: dict[str, Callable[[], bytes]] = {
    "deflate": lambda: _tiled(8, _deflated(300_000_000)),
    "zstd": lambda: _tiled(50000, bytes(imagecodecs.zstd_encode(b"\0" * 300_000_000))),
    "LZW": lambda: _tiled(5, bytes(imagecodecs.lzw_encode(b"\0" * 3_000_000))),
    "JPEG 2000": _huge_jpeg2000,
    "WebP": _huge_webp,
    "JPEG": _huge_jpeg,
    "circle": _circle,
    "sizes of 2^63": lambda: bigtiff(directory({324: (16, 1, HUGE), 325: (16, 1, HUGE)})),
    "sizes of 0": lambda: bigtiff(directory({324: (16, 1, 0), 325: (16, 1, 0)})),
    "a strip of everything": lambda: bigtiff(
        directory({256: (4, 1, 130_000), 257: (4, 1, 1 << 20), 259: (3, 1, 1), 273: (16, 1, 8), 279: (16, 1, 8)})
    ),
    "two million rows of strips": lambda: bigtiff(directory({257: (4, 1, 2_000_000), 278: (4, 1, 1)})),
}


def _claiming(codestream: bytes, at: int, side: int) -> bytes:
    changed = bytearray(codestream)
    changed[at : at + 8] = struct.pack(">II", side, side)
    return bytes(changed)


def _tiled(compression: int, tile: bytes) -> bytes:
    file = io.BytesIO()
    photometric = "ycbcr" if compression == 7 else "rgb"
    with tifffile.TiffWriter(file) as writer:
        writer.write(
            iter([tile] * 4), shape=(128, 128, 3), dtype="uint8", tile=(64, 64), compression=compression,
            photometric=photometric, metadata=None,
        )  # fmt: skip
    return file.getvalue()
