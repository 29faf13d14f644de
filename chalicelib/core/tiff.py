"""What a TIFF file says of itself, as values. Parsing is `tifffile`'s; here its findings are checked and named.

Tags and their meaning: TIFF 6.0 (Adobe, 1992), TIFF Technical Note 2 (JPEG tables), BigTIFF.
"""

import contextlib
import logging
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from chalicelib.core.errors import LimitError, NotTiffError, SlidehookError, TruncatedError

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, both byte orders
MAGIC_BYTES = 4

MAX_IFDS = 512
MAX_SIDE_PX = 2_000_000
MAX_TILES = 4_000_000

COMPRESSION_JPEG = 7
PHOTOMETRIC_GREY = 1
PHOTOMETRIC_RGB = 2
PHOTOMETRIC_YCBCR = 6
PLANAR_CONTIGUOUS = 1

COMPRESSION_NAMES = {
    1: "none", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "deflate", 32946: "deflate", 33003: "JPEG 2000 (YCbCr)",
    33005: "JPEG 2000 (RGB)", 34712: "JPEG 2000", 50000: "zstd", 50001: "WebP", 50002: "JPEG XL", 34892: "lossy JPEG",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ifd:
    """One image file directory. `offsets` and `byte_counts` hold one entry a tile (or strip), row by row."""

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
    try:
        ifds = tuple(_walk(stream))
    except SlidehookError:
        raise
    # tifffile's errors on damaged files are of any kind (struct.error, IndexError, KeyError, its own ...): whichever
    # it is, the file is what is wrong.
    except Exception as error:
        raise TruncatedError(f"the TIFF directories cannot be read: {error}") from error
    if not ifds:
        raise TruncatedError("the TIFF has no image file directory: the file is incomplete")
    return ifds


def _walk(stream: BinaryIO) -> Iterator[Ifd]:
    import tifffile  # costs 100 ms and numpy: paid by the planner only, never by chunk workers

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(stream) as tiff:
        seen: set[int] = set()
        for page in tiff.pages:
            for each in (page, *_sub_pages(page)):
                if each.offset in seen:
                    raise LimitError(f"the TIFF's directories run in a circle, back to byte {each.offset}")
                if len(seen) >= MAX_IFDS:
                    raise LimitError(f"the TIFF has more than {MAX_IFDS} image file directories")
                yield _ifd(each, len(seen))
                seen.add(each.offset)


def _sub_pages(page: Any) -> Iterator[Any]:
    if getattr(page, "subifds", None):
        yield from page.pages


def _ifd(page: Any, index: int) -> Ifd:
    return _checked(_translated(page, index))


def _checked(ifd: Ifd) -> Ifd:
    if not (0 < ifd.width_px <= MAX_SIDE_PX and 0 < ifd.height_px <= MAX_SIDE_PX):
        raise LimitError(f"image {ifd.index} of the TIFF claims {ifd.width_px} x {ifd.height_px} px")
    if ifd.is_tiled and not (16 <= ifd.tile_width_px <= 16384 and 16 <= ifd.tile_height_px <= 16384):
        raise LimitError(f"image {ifd.index} of the TIFF claims tiles of {ifd.tile_width_px} x {ifd.tile_height_px} px")
    if ifd.is_tiled:
        planes = ifd.samples if ifd.planar != PLANAR_CONTIGUOUS else 1
        tiles = -(-ifd.width_px // ifd.tile_width_px) * -(-ifd.height_px // ifd.tile_height_px) * planes
        if tiles > MAX_TILES:
            raise LimitError(f"image {ifd.index} of the TIFF has {tiles} tiles; at most {MAX_TILES} are taken")
        if not len(ifd.offsets) == len(ifd.byte_counts) == tiles:
            raise TruncatedError(
                f"image {ifd.index} of the TIFF should list {tiles} tiles"
                f" and lists {len(ifd.offsets)} offsets and {len(ifd.byte_counts)} byte counts"
            )
    return ifd


def _translated(page: Any, index: int) -> Ifd:
    # tifffile's pages are dynamic; this is the one place that knows their attributes.
    tags = page.tags

    def tag(name: str, default: Any) -> Any:
        found = tags.get(name)
        return default if found is None or found.value is None else found.value

    subsampling = tag("YCbCrSubSampling", (2, 2))
    bits = tag("BitsPerSample", 1)
    return Ifd(
        index=index,
        width_px=int(page.imagewidth),
        height_px=int(page.imagelength),
        is_tiled=bool(page.is_tiled),
        tile_width_px=int(page.tilewidth),
        tile_height_px=int(page.tilelength),
        compression=int(page.compression),
        photometric=int(page.photometric),
        samples=int(page.samplesperpixel),
        bits=int(bits[0] if isinstance(bits, tuple) else bits),
        planar=int(page.planarconfig),
        subfile_type=int(page.subfiletype),
        description=str(page.description),
        subsampling=(int(subsampling[0]), int(subsampling[1])),
        jpeg_tables=bytes(page.jpegtables or b""),
        offsets=_numbers(page.dataoffsets),
        byte_counts=_numbers(page.databytecounts),
    )


def _numbers(values: Iterable[int]) -> "array[int]":
    with contextlib.suppress(OverflowError):
        return array("Q", values)
    raise TruncatedError("the TIFF lists a tile at an impossible offset")
