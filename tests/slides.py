"""Small synthetic slides: tiled JPEG pyramids as scanners write them.

Every tile is encoded here, so that tests know the bytes of the file.
"""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import simplejpeg
import tifffile

from chalicelib.core.tiff.directory import PHOTOMETRIC_GREY, PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR

Pixels = npt.NDArray[np.uint8]
Colour = Literal["ycbcr", "ycbcr444", "rgb", "grey"]

APERIO = "Aperio Image Library v11.2.1 \r\n"
PHOTOMETRIC = {
    "ycbcr": PHOTOMETRIC_YCBCR, "ycbcr444": PHOTOMETRIC_YCBCR, "rgb": PHOTOMETRIC_RGB, "grey": PHOTOMETRIC_GREY,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Slide:
    """The contents of a slide file. `levels` are the stored halvings of the base; sizes round up unless `floor`."""

    width_px: int = 700
    height_px: int = 500
    tile_size_px: int = 64
    levels: Sequence[int] = (0,)
    colour: Colour = "ycbcr"
    tables: bool = False
    subifds: bool = False
    bigtiff: bool = False
    byteorder: Literal["<", ">"] = "<"
    sparse: frozenset[tuple[int, int, int]] = field(default_factory=frozenset)
    associated: bool = False
    floor: bool = False
    padded: bool = False
    compression: str | int = "jpeg"
    seed: int = 0


@lru_cache(maxsize=16)
def picture(width_px: int, height_px: int, seed: int = 0) -> Pixels:
    """Return smooth, colourful pixels that differ everywhere. They are read-only."""
    jitter = np.random.default_rng(seed)
    coarse = jitter.integers(30, 220, (height_px // 16 + 2, width_px // 16 + 2, 3)).astype(float)
    fine = coarse.repeat(16, 0).repeat(16, 1)
    for _ in range(4):
        fine = (fine + np.roll(fine, 5, 0) + np.roll(fine, 5, 1) + np.roll(fine, -5, 0) + np.roll(fine, -5, 1)) / 5
    pixels = np.ascontiguousarray(fine[:height_px, :width_px].astype(np.uint8))
    pixels.flags.writeable = False
    return pixels


def level_size(slide: Slide, level: int) -> tuple[int, int]:
    """Return (width, height) in pixels of a stored level."""
    if slide.floor:
        width, height = slide.width_px >> level, slide.height_px >> level
    else:
        width, height = -(-slide.width_px >> level), -(-slide.height_px >> level)
    if slide.padded:
        size = slide.tile_size_px
        return -(-width // size) * size, -(-height // size) * size
    return width, height


def level_pixels(slide: Slide, level: int) -> Pixels:
    """Return the pixels of a level before compression."""
    width, height = level_size(slide, level)
    pixels = picture(slide.width_px, slide.height_px, slide.seed)
    shrunk = pixels[:: 1 << level, :: 1 << level]
    return np.pad(
        shrunk, ((0, max(0, height - shrunk.shape[0])), (0, max(0, width - shrunk.shape[1])), (0, 0)), "edge"
    )[:height, :width]


def jpeg_tile(pixels: Pixels, colour: Colour) -> bytes:
    """Return a complete JPEG tile, encoded as files of this colour store it."""
    if colour == "rgb":
        import imagecodecs

        encoded = imagecodecs.jpeg8_encode(
            np.ascontiguousarray(pixels), level=90, colorspace="rgb", outcolorspace="rgb", subsampling="444"
        )
        return _renumbered(_without(bytes(encoded), (0xE0, 0xEE)))
    if colour == "grey":
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels[..., :1]), 90, "GRAY", "Gray"))
    subsampling = "420" if colour == "ycbcr" else "444"
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90, "RGB", subsampling))


def segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, segment). The last segment is the start of scan with all bytes after it."""
    position = 2
    while True:
        marker = jpeg[position + 1]
        if marker == 0xDA:
            yield marker, jpeg[position:]
            return
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        yield marker, jpeg[position:end]
        position = end


def _without(jpeg: bytes, markers: Sequence[int]) -> bytes:
    return jpeg[:2] + b"".join(data for marker, data in segments(jpeg) if marker not in markers)


def _renumbered(jpeg: bytes) -> bytes:
    """Set the component ids to 0, 1, 2, as Aperio does. Nothing in the stream then indicates RGB."""
    parts = []
    for marker, data in segments(jpeg):
        changed = bytearray(data)
        if marker == 0xC0:
            changed[10:19:3] = bytes((0, 1, 2))
        if marker == 0xDA:
            changed[5:11:2] = bytes((0, 1, 2))
        parts.append(bytes(changed))
    return jpeg[:2] + b"".join(parts)


def split_tables(jpeg: bytes) -> tuple[bytes, bytes]:
    """Return (JPEGTables value, abbreviated tile)."""
    tables = b"".join(data for marker, data in segments(jpeg) if marker in (0xDB, 0xC4))
    return b"\xff\xd8" + tables + b"\xff\xd9", _without(jpeg, (0xDB, 0xC4))


def tile_grid(slide: Slide, level: int) -> Iterator[tuple[int, int, Pixels]]:
    """Yield (column, row, pixels) of every stored tile, edge tiles padded by repetition."""
    pixels, size = level_pixels(slide, level), slide.tile_size_px
    for row in range(-(-pixels.shape[0] // size)):
        for column in range(-(-pixels.shape[1] // size)):
            part = pixels[row * size : (row + 1) * size, column * size : (column + 1) * size]
            missing = ((0, size - part.shape[0]), (0, size - part.shape[1]), (0, 0))
            yield column, row, np.pad(part, missing, "edge")


def stored_tile(slide: Slide, level: int, pixels: Pixels) -> bytes:
    tile = jpeg_tile(pixels, slide.colour)
    return split_tables(tile)[1] if slide.tables else tile


@lru_cache(maxsize=64)
def write(slide: Slide) -> bytes:
    """Return the slide's file."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=slide.bigtiff, byteorder=slide.byteorder) as writer:
        for index, level in enumerate(slide.levels):
            _write_level(writer, slide, level, first=index == 0)
            if slide.associated and index == 0:
                _write_strips(writer, picture(175, 125), f"{APERIO}{slide.width_px}x{slide.height_px} -> 175x125 - ")
        if slide.associated:
            _write_strips(writer, picture(90, 100), f"{APERIO}label 90x100", subfiletype=1)
            _write_strips(writer, picture(190, 100), f"{APERIO}macro 190x100", subfiletype=9)
    return file.getvalue()


def _write_level(writer: Any, slide: Slide, level: int, *, first: bool) -> None:
    width, height = level_size(slide, level)
    samples = () if slide.colour == "grey" else (3,)
    options: dict[str, Any] = {
        "shape": (height, width, *samples),
        "dtype": "uint8",
        "tile": (slide.tile_size_px, slide.tile_size_px),
        "compression": slide.compression,
        "photometric": PHOTOMETRIC[slide.colour],
        "metadata": None,
        "contiguous": False,
    }
    if slide.associated:
        options["description"] = (
            f"{APERIO}{width}x{height} [0,0 {width}x{height}] (64x64) JPEG Q=90|AppMag = 20|MPP = 0.5"
        )
    if slide.colour == "rgb" and slide.compression == "jpeg":
        options["compressionargs"] = {"outcolorspace": "rgb"}
    elif slide.colour.startswith("ycbcr") and slide.compression == "jpeg":
        options["subsampling"] = (2, 2) if slide.colour == "ycbcr" else (1, 1)
    if slide.tables:
        options["jpegtables"] = split_tables(jpeg_tile(picture(slide.tile_size_px, slide.tile_size_px), slide.colour))[
            0
        ]
    if slide.subifds:
        options |= {"subifds": len(slide.levels) - 1} if first else {"subfiletype": 1}
    if slide.compression != "jpeg":
        options["photometric"] = PHOTOMETRIC_RGB
        writer.write(
            level_pixels(slide, level),
            **{name: value for name, value in options.items() if name not in ("shape", "dtype")},
        )
        return
    writer.write(
        (
            b"" if (level, column, row) in slide.sparse else stored_tile(slide, level, pixels)
            for column, row, pixels in tile_grid(slide, level)
        ),
        **options,
    )


def _write_strips(writer: Any, pixels: Pixels, description: str, **options: Any) -> None:
    writer.write(
        pixels, photometric="rgb", compression="jpeg", rowsperstrip=16, metadata=None, contiguous=False,
        description=description, **options,
    )  # fmt: skip


def reader(data: bytes) -> Callable[[int, int], bytes]:
    """Return a function that returns byte ranges of `data`."""
    return lambda start, stop: data[start:stop]


def bigtiff(*directories: bytes) -> bytes:
    """Return the beginning of a little-endian BigTIFF: the header, then the directories in order."""
    return b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + b"".join(directories)


def directory(changes: dict[int, tuple[int, int, int]] | None = None, *, following: int = 0) -> bytes:
    """Return a BigTIFF directory of one JPEG tile of 64 x 64 px. `changes` are tag: (type, count, value or offset),
    `following` is the offset of the next directory."""
    tags = {
        256: (4, 1, 64), 257: (4, 1, 64), 258: (3, 3, 0x0008_0008_0008), 259: (3, 1, 7), 262: (3, 1, 6), 277: (3, 1, 3),
        322: (3, 1, 64), 323: (3, 1, 64), 324: (16, 1, 8), 325: (16, 1, 8),
    } | (changes or {})  # fmt: skip
    entries = b"".join(struct.pack("<HHQQ", tag, *entry) for tag, entry in sorted(tags.items()))
    return struct.pack("<Q", len(tags)) + entries + struct.pack("<Q", following)
