"""A TIFF writer of its own, so that the files under test owe nothing to the library that reads them in the service.

It writes whatever it is told: any tag of any value, images in any order, segments that are absent. Layout: TIFF 6.0
section 2, BigTIFF, TIFF Technical Note 1 (SubIFDs).
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

ByteOrder = Literal["<", ">"]

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
LETTERS = {SHORT: "H", LONG: "I", RATIONAL: "I", LONG8: "Q"}
SIZES = {SHORT: 2, LONG: 4, RATIONAL: 8, LONG8: 8}

SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, DESCRIPTION = (
    254, 256, 257, 258, 259, 262, 266, 270,
)  # fmt: skip
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, SOFTWARE, PREDICTOR, COLOUR_MAP = (
    273, 277, 278, 279, 284, 305, 317, 320,
)  # fmt: skip
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_IFDS, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES, SUBSAMPLING = (
    322, 323, 324, 325, 330, 338, 339, 347, 530,
)  # fmt: skip

Value = bytes | str | Sequence[int]
Tags = Mapping[int, tuple[int, Value]]


@dataclass(frozen=True, kw_only=True)
class Image:
    """One directory: `tags` as (type, value), and its segments in the order of the directory. An empty segment is
    listed with offset and size 0. `inside` are images that hang below it as SubIFDs."""

    tags: Tags
    segments: Sequence[bytes]
    is_tiled: bool = True
    inside: tuple["Image", ...] = ()


@dataclass
class Writer:
    """A file that grows. `big` is BigTIFF, with eight bytes an offset."""

    order: ByteOrder = "<"
    big: bool = False
    data: bytearray = field(default_factory=bytearray)

    @property
    def offset_type(self) -> int:
        return LONG8 if self.big else LONG

    def pack(self, letters: str, *values: int) -> bytes:
        return struct.pack(self.order + letters, *values)

    def offset(self, value: int) -> bytes:
        return self.pack("Q" if self.big else "I", value)

    def put(self, data: bytes) -> int:
        """Append data at an even offset, which is returned."""
        self.data += b"\0" * (len(self.data) % 2)
        return self.follow(data)

    def follow(self, data: bytes) -> int:
        """Append data; return where."""
        self.data += data
        return len(self.data) - len(data)

    def value(self, kind: int, value: Value) -> tuple[int, bytes]:
        """Return (count, bytes) of a tag's value."""
        if isinstance(value, str):
            value = value.encode() + b"\0"
        if isinstance(value, bytes):
            return len(value), value
        packed = self.pack(f"{len(value)}{LETTERS[kind]}", *value)
        return len(packed) // SIZES[kind], packed

    def entry(self, tag: int, kind: int, value: Value) -> bytes:
        count, packed = self.value(kind, value)
        head = self.pack("HHQ" if self.big else "HHI", tag, kind, count)
        room = 8 if self.big else 4
        return head + (packed.ljust(room, b"\0") if len(packed) <= room else self.offset(self.put(packed)))

    def directory(self, image: Image) -> tuple[int, int]:
        """Append an image; return where its directory is, and where the offset of the next one belongs."""
        sizes = [len(segment) for segment in image.segments]
        offsets = [self.put(segment) if segment else 0 for segment in image.segments]
        places = (TILE_OFFSETS, TILE_BYTES) if image.is_tiled else (STRIP_OFFSETS, STRIP_BYTES)
        tags = {places[0]: (self.offset_type, offsets), places[1]: (self.offset_type, sizes)} | dict(image.tags)
        if image.inside:
            tags[SUB_IFDS] = (self.offset_type, [self.directory(each)[0] for each in image.inside])
        entries = b"".join(self.entry(tag, *tags[tag]) for tag in sorted(tags))
        start = self.put(self.pack("Q" if self.big else "H", len(tags)) + entries)
        return start, self.follow(self.offset(0))


def tiff(images: Sequence[Image], *, order: ByteOrder = "<", big: bool = False) -> bytes:
    """Return the file of these images, chained in this order."""
    writer = Writer(order, big)
    writer.data += b"II" if order == "<" else b"MM"
    writer.data += writer.pack("HHH", 43, 8, 0) if big else writer.pack("H", 42)
    link = writer.follow(writer.offset(0))
    for image in images:
        start, following = writer.directory(image)
        packed = writer.offset(start)
        writer.data[link : link + len(packed)] = packed
        link = following
    return bytes(writer.data)
