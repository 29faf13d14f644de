"""How the segments of a stored image are kept, and which ways of keeping them are published.

A `Storage` is everything that a worker needs to turn segments into pixels (core.imaging.decode). The plan contains it,
so the TIFF is parsed once. Importing this module costs no codec.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from chalicelib.core.imaging.jpeg import tile_prefix
from chalicelib.core.tiff.directory import (
    COMPRESSION_JPEG,
    COMPRESSION_NONE,
    PHOTOMETRIC_GREY,
    PHOTOMETRIC_INVERTED_GREY,
    PHOTOMETRIC_PALETTE,
    PHOTOMETRIC_RGB,
    PHOTOMETRIC_YCBCR,
    PLANAR_CONTIGUOUS,
    Ifd,
)

JPEG_2000 = frozenset({33003, 33005, 34712})
JPEG_2000_YCBCR = 33003
LZW = frozenset({5})
DEFLATE = frozenset({8, 32946})
PACKBITS = frozenset({32773})
ZSTD = frozenset({50000, 34926})
WEBP = frozenset({50001, 34927})
# Those whose decoder gives plain bytes, which the TIFF's tags then explain.
PLAIN = frozenset({COMPRESSION_NONE}) | LZW | DEFLATE | PACKBITS | ZSTD
READABLE = PLAIN | WEBP | JPEG_2000 | {COMPRESSION_JPEG}

PREDICTOR_NONE, PREDICTOR_HORIZONTAL = 1, 2
FILL_ORDER_LOW_FIRST = 2
ALPHA_ASSOCIATED, ALPHA_UNASSOCIATED = 1, 2
SAMPLES = {
    PHOTOMETRIC_INVERTED_GREY: 1, PHOTOMETRIC_GREY: 1, PHOTOMETRIC_PALETTE: 1, PHOTOMETRIC_RGB: 3, PHOTOMETRIC_YCBCR: 3,
}  # fmt: skip
PHOTOMETRIC_NAMES = {5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "a colour filter array", 4: "a mask"}
MAX_SEGMENT_BYTES = 64 * 1024 * 1024
MAX_STRIP_WIDTH_PX = 131_072

Chroma = Literal["444", "422", "420"]
# Other factors are kept as 4:4:4: no encoder halves rows alone without a shift in colour.
CHROMA: dict[tuple[int, int], Chroma] = {(1, 1): "444", (2, 1): "422", (2, 2): "420"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The way an image is stored; fields as in `core.tiff.directory.Ifd`. `prefix` stands before each JPEG segment."""

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int
    is_tiled: bool
    compression: int
    photometric: int
    samples: int
    bits: int
    planar: int
    predictor: int
    fill_order: int
    byte_order: Literal["<", ">"]
    extra_samples: tuple[int, ...]
    colour_map: bytes
    chroma: Chroma
    prefix: bytes

    @property
    def planes(self) -> int:
        return self.samples if self.planar != PLANAR_CONTIGUOUS else 1

    @property
    def is_jpeg(self) -> bool:
        """Whether a segment is a JPEG file of its own once `prefix` stands before it."""
        return self.compression == COMPRESSION_JPEG and self.planes == 1

    @property
    def segment_columns(self) -> int:
        return -(-self.width_px // self.tile_width_px)

    def segment_height_px(self, row: int) -> int:
        """Return how many rows of pixels a segment holds: tiles are whole, the last strip is not."""
        if self.is_tiled:
            return self.tile_height_px
        return min(self.tile_height_px, self.height_px - row * self.tile_height_px)


def storage_of(ifd: Ifd) -> Storage:
    """Return how an image is stored. Raises CorruptTileError if its shared JPEG tables are damaged."""
    is_jpeg = ifd.compression == COMPRESSION_JPEG
    return Storage(
        width_px=ifd.width_px,
        height_px=ifd.height_px,
        tile_width_px=ifd.tile_width_px,
        tile_height_px=ifd.tile_height_px,
        is_tiled=ifd.is_tiled,
        compression=ifd.compression,
        photometric=_photometric(ifd),
        samples=ifd.samples,
        bits=ifd.bits,
        planar=ifd.planar,
        predictor=PREDICTOR_NONE if is_jpeg else ifd.predictor,
        fill_order=ifd.fill_order,
        byte_order=ifd.byte_order,
        extra_samples=ifd.extra_samples,
        colour_map=ifd.colour_map,
        chroma=_chroma(ifd),
        prefix=tile_prefix(ifd.jpeg_tables, ifd.photometric) if is_jpeg else b"",
    )


def _photometric(ifd: Ifd) -> int:
    """Return how colours are to be understood. In JPEG 2000 the directory's tag is not reliable: a codestream knows its
    own transform, and Aperio's compression 33003 is YCbCr without one. Its description names the codec as well:
    "J2K/YUV16" with 33003, "J2K/KDU" with 33005. If the two contradict each other, the name decides."""
    if ifd.compression not in JPEG_2000:
        return ifd.photometric
    is_ycbcr = ifd.compression == JPEG_2000_YCBCR and "J2K/KDU" not in ifd.description
    return PHOTOMETRIC_YCBCR if is_ycbcr and ifd.samples >= 3 else min(ifd.photometric, PHOTOMETRIC_RGB)


def _chroma(ifd: Ifd) -> Chroma:
    """Return how coarsely colour is stored, to be kept where the image is encoded again."""
    if ifd.compression != COMPRESSION_JPEG or ifd.photometric != PHOTOMETRIC_YCBCR:
        return "444"
    return CHROMA.get(ifd.subsampling, "444")


def unsupported_reason(ifd: Ifd) -> str | None:
    """Return why an image cannot be published, as the end of a sentence about it, or None."""
    checks: tuple[Callable[[Ifd], str | None], ...] = (_wrong_codec, _wrong_samples, _wrong_segments)
    return next((reason for check in checks if (reason := check(ifd)) is not None), None)


def _wrong_codec(ifd: Ifd) -> str | None:
    if ifd.is_ndpi:
        return "is of Hamamatsu's NDPI, which keeps a level as one JPEG stream without tiles"
    if ifd.compression not in READABLE:
        return f"is compressed with {ifd.compression_name}, which is not published"
    if ifd.compression in PLAIN and ifd.predictor not in (PREDICTOR_NONE, PREDICTOR_HORIZONTAL):
        return f"is stored with predictor {ifd.predictor}; none and horizontal differencing are published"
    if ifd.compression in WEBP | JPEG_2000 and ifd.planes > 1:
        return f"is compressed with {ifd.compression_name} in separate planes, which is not published"
    return None


def _wrong_samples(ifd: Ifd) -> str | None:
    name = PHOTOMETRIC_NAMES.get(ifd.photometric, f"photometric interpretation {ifd.photometric}")
    if ifd.photometric not in SAMPLES:
        return f"is stored as {name}; grey, palette, RGB and YCbCr are published"
    if (
        ifd.sample_format != 1
        or ifd.bits not in (8, 16)
        or (ifd.bits == 16 and ifd.compression not in PLAIN | JPEG_2000)
    ):
        kind = {1: "unsigned", 2: "signed", 3: "floating-point"}.get(ifd.sample_format, "mixed")
        return f"has {ifd.bits or 'differing'} bits a sample ({kind}); 8 and 16 unsigned bits are published"
    colours = SAMPLES[ifd.photometric]
    if not colours <= ifd.samples <= colours + 1 or (ifd.samples > colours and colours == 1):
        return f"has {ifd.samples} samples a pixel, where {colours} are expected"
    if ifd.samples > colours and ifd.compression == COMPRESSION_JPEG:
        return f"is a JPEG of {ifd.samples} samples a pixel; 1 and 3 are published"
    if ifd.compression == COMPRESSION_JPEG and ifd.photometric in (PHOTOMETRIC_INVERTED_GREY, PHOTOMETRIC_PALETTE):
        kind = "inverted grey" if ifd.photometric == PHOTOMETRIC_INVERTED_GREY else "palette indices"
        return f"is a JPEG of {kind}; JPEGs of YCbCr, RGB and grey are published"
    if ifd.compression == COMPRESSION_JPEG and ifd.planes > 1 and ifd.photometric != PHOTOMETRIC_RGB:
        return "is a JPEG of YCbCr in separate planes; such planes are published from RGB only"
    if ifd.photometric == PHOTOMETRIC_YCBCR and ifd.compression not in JPEG_2000 | {COMPRESSION_JPEG} | WEBP:
        return f"is stored as YCbCr compressed with {ifd.compression_name}; YCbCr is published from JPEG only"
    if ifd.photometric == PHOTOMETRIC_PALETTE and (ifd.bits != 8 or len(ifd.colour_map) != 3 * 256 * 2):
        return "has a palette that is not one of 256 colours"
    return None


def _wrong_segments(ifd: Ifd) -> str | None:
    what = "tile" if ifd.is_tiled else "strip"
    decoded = ifd.tile_width_px * ifd.tile_height_px * ifd.samples * ifd.bits // 8
    if decoded > MAX_SEGMENT_BYTES:
        return f"is stored in {what}s of {decoded >> 20} MiB each; at most {MAX_SEGMENT_BYTES >> 20} MiB are taken"
    if not ifd.is_tiled and ifd.width_px > MAX_STRIP_WIDTH_PX:
        return f"is stored in strips of {ifd.width_px} px; strips of up to {MAX_STRIP_WIDTH_PX} px are taken"
    return None


def dump_storage(storage: Storage) -> dict[str, object]:
    """Return a storage as plain values for JSON."""
    values = {each.name: getattr(storage, each.name) for each in fields(storage)}
    encoded = {name: base64.b64encode(values[name]).decode() for name in ("colour_map", "prefix")}
    return {**values, "extra_samples": list(storage.extra_samples), **encoded}


def load_storage(values: dict[str, object]) -> Storage:
    """Return the storage that `dump_storage` gave the values of."""
    decoded = {name: base64.b64decode(str(values[name])) for name in ("colour_map", "prefix")}
    extra: tuple[int, ...] = tuple(values["extra_samples"])  # type: ignore[arg-type]
    return Storage(**{**values, **decoded, "extra_samples": extra})  # type: ignore[arg-type]
