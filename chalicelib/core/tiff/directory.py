"""What a TIFF file says of itself, as values. Parsing is `tifffile`'s; here its findings are checked and named.

Tags and their meaning: TIFF 6.0 (Adobe, 1992), TIFF Technical Notes 1 (SubIFDs) and 2 (JPEG tables), BigTIFF.

A stored piece of an image is called a segment here: a tile, or a strip, which is a tile as wide as the image.
"""

import contextlib
import logging
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from chalicelib.core.errors import LimitError, NotTiffError, SlidehookError, TruncatedError

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, both byte orders
MAGIC_BYTES = 4

MAX_IFDS = 512
MAX_SIDE_PX = 2_000_000
MAX_TILES = 4_000_000
MAX_SAMPLES = 64
# The tables of that many tiles are 64 MB. What is read twice counts twice: a file of a few kilobytes can name the same
# large table in every tag of every directory.
HEADER_BYTES = 80 * 1024 * 1024

COMPRESSION_NONE = 1
COMPRESSION_JPEG = 7
PHOTOMETRIC_INVERTED_GREY = 0
PHOTOMETRIC_GREY = 1
PHOTOMETRIC_RGB = 2
PHOTOMETRIC_PALETTE = 3
PHOTOMETRIC_YCBCR = 6
PLANAR_CONTIGUOUS = 1
TAG_NDPI, TAG_TILE_OFFSETS = 65420, 324
LONG_TAGS = frozenset({273, 279, 324, 325})  # offsets and byte counts, of strips and tiles
TEXT_BYTES = 4 * 1024 * 1024  # Philips keeps its label image in the description; what is longer is cut

COMPRESSION_NAMES = {
    1: "nothing", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old-style JPEG", 7: "JPEG", 8: "deflate",
    32946: "deflate", 32773: "PackBits", 33003: "JPEG 2000 (YCbCr)", 33005: "JPEG 2000 (RGB)", 34712: "JPEG 2000",
    50000: "zstd", 34926: "zstd", 50001: "WebP", 34927: "WebP", 50002: "JPEG XL", 34892: "lossy JPEG", 34925: "LZMA",
    34887: "LERC", 22610: "JPEG XR", 34934: "JPEG XR",
}  # fmt: skip


# What `Ifd` is made of. A tag of these that is listed and cannot be read is damage; tifffile would go on without it.
READ_TAGS = {
    254: "NewSubfileType", 256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample", 259: "Compression",
    262: "PhotometricInterpretation", 270: "ImageDescription", 277: "SamplesPerPixel", 278: "RowsPerStrip",
    279: "StripByteCounts", 284: "PlanarConfiguration", 317: "Predictor", 320: "ColorMap",
    322: "TileWidth", 323: "TileLength", 324: "TileOffsets", 325: "TileByteCounts", 330: "SubIFDs",
    338: "ExtraSamples", 339: "SampleFormat", 347: "JPEGTables", 530: "YCbCrSubSampling",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ifd:
    """One image file directory. `offsets` and `byte_counts` hold one entry a segment, row by row, plane by plane.

    A strip is a tile of the image's width, whose `tile_height_px` is RowsPerStrip. `colour_map` holds a palette's
    16-bit values (all red ones, then green, then blue), in this machine's byte order. `x_resolution`, `y_resolution`
    are in pixels per `resolution_unit` (1 none, 2 inch, 3 cm). `parent` is the index of the IFD that lists this one in
    its SubIFDs, None for an image of the main chain.
    """

    index: int
    width_px: int
    height_px: int
    is_tiled: bool
    tile_width_px: int
    tile_height_px: int
    compression: int
    photometric: int
    samples: int
    bits: int
    planar: int
    subfile_type: int
    description: str
    subsampling: tuple[int, int]
    jpeg_tables: bytes
    offsets: "array[int]"
    byte_counts: "array[int]"
    byte_order: Literal["<", ">"] = "<"
    predictor: int = 1
    fill_order: int = 1
    extra_samples: tuple[int, ...] = ()
    sample_format: int = 1
    colour_map: bytes = b""
    x_resolution: float | None = None
    y_resolution: float | None = None
    resolution_unit: int = 1
    make: str = ""
    model: str = ""
    software: str = ""
    xmp: str = ""
    icc_profile: bytes = b""
    is_ndpi: bool = False
    ndpi_magnification: float | None = None
    parent: int | None = None

    @property
    def planes(self) -> int:
        """How many times the image's segments are stored: once, or once a sample."""
        return self.samples if self.planar != PLANAR_CONTIGUOUS else 1

    @property
    def segment_columns(self) -> int:
        return -(-self.width_px // self.tile_width_px)

    @property
    def segment_rows(self) -> int:
        return -(-self.height_px // self.tile_height_px)

    @property
    def compression_name(self) -> str:
        return COMPRESSION_NAMES.get(self.compression, f"compression {self.compression}")


def looks_like_tiff(first_bytes: bytes) -> bool:
    """Tell whether a file that begins so claims to be a TIFF."""
    return first_bytes[:MAGIC_BYTES] in MAGICS


def read_ifds(stream: BinaryIO, *, size_bytes: int) -> tuple[Ifd, ...]:
    """Return all IFDs of a TIFF: the main chain in file order, each followed by its SubIFDs.

    Raises NotTiffError for other files, TruncatedError if a directory or table lies beyond the end of the file, and
    LimitError for absurd counts, sizes and circular chains. Errors of `stream` itself pass through.
    """
    stream.seek(0)
    first_bytes = stream.read(MAGIC_BYTES)
    if not looks_like_tiff(first_bytes):
        raise NotTiffError("the file does not begin like a TIFF")
    if size_bytes < 8 + MAGIC_BYTES:
        raise TruncatedError(f"the file ends after {size_bytes} bytes, inside the TIFF header")
    stream.seek(0)
    witness = _Witness(stream)
    try:
        ifds = tuple(_walk(witness))
    # tifffile's errors on damaged files are of any kind (struct.error, IndexError, KeyError, its own ...): whichever
    # it is, the file is what is wrong, unless reading it failed.
    except Exception as error:
        if witness.error is not None:
            raise witness.error from error
        if isinstance(error, SlidehookError):
            raise
        raise TruncatedError(f"the TIFF directories cannot be read: {error}") from error
    if witness.error is not None:
        raise witness.error
    return ifds


class _Witness:
    """A stream that remembers the first error of its reads. tifffile takes some errors for damage or for the end of
    the file and goes on: a slow network would cost a slide its levels."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left_bytes = HEADER_BYTES
        self.tell = stream.tell
        self.seek = stream.seek
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._stream.read(size)
        except Exception as error:
            self.error = self.error or error
            raise
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self.error = self.error or LimitError(f"the TIFF's header holds more than {HEADER_BYTES >> 20} MiB")
            raise self.error
        return data


def _walk(stream: Any) -> Iterator[Ifd]:
    import tifffile  # costs 100 ms and numpy: paid by the planner only, never by chunk workers

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    # The flags keep tifffile from walking the file in the ways of particular microscopes. The chain is followed here:
    # where tifffile finds it broken, it ends it without a word.
    with tifffile.TiffFile(stream, is_ndpi=False, is_lsm=False, is_scanimage=False) as tiff:
        seen: set[int] = set()
        offset = _first_offset(tiff)
        while offset:
            page, following = _directory(tiff, offset, seen)
            parent = len(seen) - 1
            yield _ifd(page, parent)
            for sub_offset in page.subifds or ():
                sub_page, _ = _directory(tiff, sub_offset, seen)
                yield _ifd(sub_page, len(seen) - 1, parent)
            offset = following


def _first_offset(tiff: Any) -> int:
    try:
        return int(tiff.pages.first.offset)
    except IndexError:
        raise TruncatedError("the TIFF has no image file directory: the file is incomplete") from None


def _directory(tiff: Any, offset: int, seen: set[int]) -> tuple[Any, int]:
    """Return the page of the directory at `offset` and the offset of the one after it, 0 after the last."""
    import tifffile

    if offset in seen:
        raise LimitError(f"the TIFF's directories run in a circle, back to byte {offset}")
    if len(seen) >= MAX_IFDS:
        raise LimitError(f"the TIFF has more than {MAX_IFDS} image file directories")
    layout, file = tiff.tiff, tiff.filehandle
    if offset >= file.size:
        raise TruncatedError(f"the file is cut off at byte {file.size}: a directory of its TIFF lies at byte {offset}")
    file.seek(offset)
    page = tifffile.TiffPage(tiff, index=len(seen)) if seen else tiff.pages.first
    file.seek(offset)
    (count,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    entries = file.read(count * layout.tagsize)
    (following,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))
    for (tag,) in struct.iter_unpack(f"{layout.byteorder}H{layout.tagsize - 2}x", entries):
        if tag in READ_TAGS and tag not in page.tags:
            raise TruncatedError(f"image {len(seen)} of the TIFF lists {READ_TAGS[tag]}, which cannot be read")
    seen.add(offset)
    return page, following


def _ifd(page: Any, index: int, parent: int | None = None) -> Ifd:
    found = _checked(_translated(page, index, parent))
    # tifffile keeps an object of 32 bytes for each number, in pages that refer to each other: they would stay until the
    # garbage is collected, and a large slide has half a million of them.
    page.dataoffsets = page.databytecounts = ()
    for code in LONG_TAGS.intersection(page.tags.keys()):
        page.tags[code].value = ()
    return found


def _checked(ifd: Ifd) -> Ifd:
    if not (0 < ifd.width_px <= MAX_SIDE_PX and 0 < ifd.height_px <= MAX_SIDE_PX):
        raise LimitError(f"image {ifd.index} of the TIFF claims {ifd.width_px} x {ifd.height_px} px")
    if ifd.is_tiled and not (16 <= ifd.tile_width_px <= 16384 and 16 <= ifd.tile_height_px <= 16384):
        raise LimitError(f"image {ifd.index} of the TIFF claims tiles of {ifd.tile_width_px} x {ifd.tile_height_px} px")
    if not 1 <= ifd.samples <= MAX_SAMPLES:
        raise LimitError(f"image {ifd.index} of the TIFF claims {ifd.samples} samples a pixel")
    segments = ifd.segment_columns * ifd.segment_rows * ifd.planes
    what = "tiles" if ifd.is_tiled else "strips"
    if segments > MAX_TILES:
        raise LimitError(f"image {ifd.index} of the TIFF has {segments} {what}; at most {MAX_TILES} are taken")
    # A few files list one strip too many; the surplus is nothing.
    if ifd.is_tiled and not len(ifd.offsets) == len(ifd.byte_counts) == segments:
        raise TruncatedError(
            f"image {ifd.index} of the TIFF should list {segments} {what}"
            f" and lists {len(ifd.offsets)} offsets and {len(ifd.byte_counts)} byte counts"
        )
    return ifd


def _translated(page: Any, index: int, parent: int | None) -> Ifd:
    # tifffile's pages are dynamic; this is the one place that knows their attributes.
    tag = _reader(page.tags)
    subsampling = tag(530, (2, 2))
    bits = tag(258, 1)
    formats = tag(339, 1)
    width_px, height_px, is_tiled = int(page.imagewidth), int(page.imagelength), bool(page.is_tiled)
    if TAG_TILE_OFFSETS in page.tags and not is_tiled:
        raise TruncatedError(f"image {index} of the TIFF lists tiles and does not say how large they are")
    return Ifd(
        index=index,
        width_px=width_px,
        height_px=height_px,
        is_tiled=is_tiled,
        tile_width_px=int(page.tilewidth) if is_tiled else width_px,
        tile_height_px=int(page.tilelength) if is_tiled else max(1, min(int(page.rowsperstrip), height_px)),
        compression=int(page.compression),
        photometric=int(page.photometric),
        samples=int(page.samplesperpixel),
        bits=_same(bits),
        planar=int(page.planarconfig),
        subfile_type=int(page.subfiletype),
        description=str(page.description)[:TEXT_BYTES],
        subsampling=(int(subsampling[0]), int(subsampling[1])),
        jpeg_tables=bytes(page.jpegtables or b""),
        offsets=_numbers(page.dataoffsets),
        byte_counts=_numbers(page.databytecounts),
        byte_order=page.parent.byteorder,
        predictor=int(page.predictor),
        fill_order=int(page.fillorder),
        extra_samples=tuple(int(each) for each in page.extrasamples),
        sample_format=_same(formats),
        colour_map=_colour_map(page.colormap),
        x_resolution=_ratio(tag(282, None)),
        y_resolution=_ratio(tag(283, None)),
        resolution_unit=int(tag(296, 2)),
        make=_text(tag(271, "")),
        model=_text(tag(272, "")),
        software=_text(tag(305, "")),
        xmp=_text(tag(700, "")),
        icc_profile=_bytes(tag(34675, b"")),
        is_ndpi=TAG_NDPI in page.tags,
        ndpi_magnification=_number(tag(65421, None)),
        parent=parent,
    )


def _reader(tags: Any) -> Callable[[int, Any], Any]:
    def tag(code: int, default: Any) -> Any:
        found = tags.get(code)
        return default if found is None or found.value is None else found.value

    return tag


def _same(values: Any) -> int:
    """Return the value that all samples share; 0 where they differ."""
    if not isinstance(values, tuple):
        return int(values)
    return int(values[0]) if values and all(each == values[0] for each in values) else 0


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value[:TEXT_BYTES].decode(errors="replace")
    return value[:TEXT_BYTES] if isinstance(value, str) else ""


def _bytes(value: Any) -> bytes:
    return bytes(value[:TEXT_BYTES]) if isinstance(value, bytes) else b""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _ratio(value: Any) -> float | None:
    """Return a RATIONAL as a number, None where it says nothing."""
    numbers = value if isinstance(value, tuple) else ()
    if len(numbers) != 2 or not all(isinstance(each, int) for each in numbers) or not numbers[1]:
        return None
    return float(numbers[0] / numbers[1])


def _colour_map(value: Any) -> bytes:
    return b"" if value is None else bytes(value.astype("=u2").tobytes())


def _numbers(values: Iterable[int]) -> "array[int]":
    with contextlib.suppress(OverflowError):
        return array("Q", values)
    raise TruncatedError("the TIFF lists a tile at an impossible offset")
