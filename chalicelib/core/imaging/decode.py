"""Segments into pixels: what the codecs give, made RGB with 8 bits.

The output of every decoder is limited in advance, so that a small segment that declares gigabytes is refused, not
unpacked. 16 bits become 8 by v / 257, rounded; alpha is laid over white; palettes and inverted grey become colours.

Formats: TIFF 6.0 sections 3, 9, 13, 14 and 18, TIFF Technical Note 2; ITU-T T.81 and T.800; Aperio's compression tags
33003 (JPEG 2000 of YCbCr without a component transform) and 33005 (RGB). Aperio's photometric tag is not reliable
there, so the compression tag decides, together with the codec's name in the description (core.imaging.encoding).

Frames: arrays are `uint8` of shape (height, width, 3), RGB, row 0 at the top.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import imagecodecs
import numpy as np
import numpy.typing as npt
import simplejpeg

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.encoding import (
    ALPHA_ASSOCIATED,
    ALPHA_UNASSOCIATED,
    DEFLATE,
    FILL_ORDER_LOW_FIRST,
    JPEG_2000,
    LZW,
    PACKBITS,
    PLAIN,
    PREDICTOR_HORIZONTAL,
    WEBP,
    ZSTD,
    Storage,
)
from chalicelib.core.imaging.jpeg import Splicer, check_scans, complete_tile, frame_of
from chalicelib.core.imaging.raster import Pixels
from chalicelib.core.tiff.directory import (
    COMPRESSION_JPEG,
    PHOTOMETRIC_INVERTED_GREY,
    PHOTOMETRIC_PALETTE,
    PHOTOMETRIC_YCBCR,
)

JP2_SIGNATURE, SYCC = b"jP  ", (18).to_bytes(4, "big")
# A decoder keeps some kilobytes of each. Slides have one tile of JPEG 2000 in a tile of the TIFF.
MAX_JPEG_2000_TILES = 256

Samples = npt.NDArray[Any]  # uint8 or uint16
Unpack = Callable[..., bytes | bytearray]

UNPACK: dict[int, Unpack] = {
    **dict.fromkeys(LZW, imagecodecs.lzw_decode),
    **dict.fromkeys(DEFLATE, imagecodecs.zlib_decode),
    **dict.fromkeys(PACKBITS, imagecodecs.packbits_decode),
    **dict.fromkeys(ZSTD, imagecodecs.zstd_decode),
}
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def decoded(storage: Storage, planes: Sequence[bytes], row: int, splicer: Splicer | None = None) -> Pixels:
    """Return the pixels of the segment in `row` of segments; `planes` are its stored bytes, one a plane.

    `splicer` is what completes the JPEG tiles of this storage, if it is at hand: it need not look at each header again.
    Raises CorruptTileError if they cannot be decoded, or hold other dimensions than the directory says.
    """
    shape = storage.segment_height_px(row), storage.tile_width_px
    try:
        if storage.is_jpeg and splicer is not None and splicer.size == shape[::-1]:
            return whole_jpeg(splicer.complete(planes[0]))
        if storage.is_jpeg:
            return decoded_jpeg(complete_tile(storage.prefix, planes[0]), shape)
        parts = [_samples(storage, plane, shape) for plane in planes]
    except CorruptTileError:
        raise
    # Every codec has errors of its own, and says little in them.
    except Exception as error:
        raise CorruptTileError(f"it cannot be decoded: {error}") from error
    return _colours(storage, parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2))


def decoded_jpeg(jpeg: bytes, shape: tuple[int, int], *, halved: bool = False) -> Pixels:
    """Return the pixels of a complete JPEG of `shape` = (height, width), or at half size in both, by the DCT.

    A stream that ends early or stumbles is damaged, also where a decoder would fill the rest with grey. Raises
    CorruptTileError.
    """
    height, width = shape
    frame = frame_of(jpeg)
    if (frame.height_px, frame.width_px) != shape:
        raise CorruptTileError(
            f"it holds {frame.width_px} x {frame.height_px} px where {width} x {height} px are expected"
        )
    return whole_jpeg(jpeg, (height // 2, width // 2) if halved else (0, 0))


def whole_jpeg(jpeg: bytes, least: tuple[int, int] = (0, 0)) -> Pixels:
    """Return the pixels of a JPEG whose frame was looked at, halved as long as they are not less than `least`, which is
    (height, width). Raises CorruptTileError."""
    check_scans(jpeg)
    try:
        return _pixels(jpeg, least, strict=True)
    except ValueError as error:
        if not HARMLESS.search(str(error)):
            raise CorruptTileError(f"it cannot be decoded: {error}") from error
    return _pixels(jpeg, least, strict=False)


# What decoders complain of in tiles of some scanners that are whole: a few bytes of filling before the end marker, and
# scan parameters that mean nothing in a baseline stream. More bytes than that are the trace of damage.
HARMLESS = re.compile(r"Corrupt JPEG data: \d extraneous bytes before marker 0xd9|Invalid SOS parameters")


def _pixels(jpeg: bytes, least: tuple[int, int], *, strict: bool) -> Pixels:
    return cast(
        Pixels,
        simplejpeg.decode_jpeg(
            jpeg, "RGB", fastdct=False, fastupsample=False, min_height=least[0], min_width=least[1], strict=strict
        ),
    )


def _samples(storage: Storage, data: bytes, shape: tuple[int, int]) -> Samples:
    """Return what one plane of a segment holds, of shape (height, width, samples). Only YCbCr has become RGB."""
    samples = 1 if storage.planes > 1 else storage.samples
    if storage.compression in PLAIN:
        return _plain(storage, data, (*shape, samples))
    is_ycbcr = False
    if storage.compression == COMPRESSION_JPEG:
        found = decoded_grey(complete_tile(storage.prefix, data), shape)
    elif storage.compression in JPEG_2000:
        claimed = codestream_of(data)
        _expect((claimed.width_px, claimed.height_px), shape)
        found = imagecodecs.jpeg2k_decode(data)
        is_ycbcr = storage.photometric == PHOTOMETRIC_YCBCR and not claimed.becomes_rgb
    else:
        assert storage.compression in WEBP
        _expect(webp_size(data), shape)
        found = imagecodecs.webp_decode(data, hasalpha=samples > 3)
    found = found.reshape(*found.shape[:2], -1)
    fits = found.shape[:2] == shape and found.shape[2] >= samples
    if not fits or found.dtype.kind != "u" or found.dtype.itemsize * 8 < storage.bits:
        raise CorruptTileError(f"it holds {found.shape} of {found.dtype} where {(*shape, samples)} are expected")
    found = found[..., :samples]
    if is_ycbcr:
        found = _eight_bits(found)
        found[..., :3] = _from_ycbcr(found[..., :3])
    return found


def decoded_grey(jpeg: bytes, shape: tuple[int, int]) -> Samples:
    frame = frame_of(jpeg)
    _expect((frame.width_px, frame.height_px), shape)
    check_scans(jpeg)
    found: Samples = imagecodecs.jpeg8_decode(jpeg, outcolorspace="GRAYSCALE")
    return found


def _plain(storage: Storage, data: bytes, shape: tuple[int, int, int]) -> Samples:
    dtype = np.dtype(f"{storage.byte_order}u{storage.bits // 8}")
    size = int(np.prod(shape)) * dtype.itemsize
    if storage.fill_order == FILL_ORDER_LOW_FIRST:
        data = data.translate(REVERSED)
    unpack = UNPACK.get(storage.compression)
    plain = data if unpack is None else unpack(data, out=size)
    if len(plain) < size:
        raise CorruptTileError(f"it holds {len(plain)} bytes where {size} are expected")
    stored = np.frombuffer(plain, dtype, count=size // dtype.itemsize).reshape(shape)
    found: Samples = stored.astype(dtype.newbyteorder("="))
    if storage.predictor == PREDICTOR_HORIZONTAL:
        # Differences are taken between neighbours of one sample, and wrap around.
        found = np.add.accumulate(found, axis=1, dtype=found.dtype)
    return found


def _expect(size: tuple[int, int], shape: tuple[int, int]) -> None:
    width, height = size
    if (height, width) != shape:
        raise CorruptTileError(f"it claims {width} x {height} px where {shape[1]} x {shape[0]} px are expected")


@dataclass(frozen=True, slots=True)
class Codestream:
    """What the header of a JPEG 2000 stream claims: size in pixels, and whether its decoder gives RGB of what is YCbCr
    (where the boxes around it say so, or the components differ in size and so can be nothing else)."""

    width_px: int
    height_px: int
    becomes_rgb: bool


def codestream_of(data: bytes) -> Codestream:
    """Return what a JPEG 2000 stream claims, bare (T.800 A.5.1) or in the boxes of a JP2 file (T.800 I.5). Raises
    CorruptTileError, also for what a decoder would take much memory for."""
    start, is_sycc = (0, False) if data[4:8] != JP2_SIGNATURE else _in_boxes(data)
    size = data[start + 4 : start + 42]
    if start < 0 or data[start : start + 4] != b"\xff\x4f\xff\x51" or len(size) < 38:
        raise CorruptTileError("its bytes are no JPEG 2000 codestream")
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", size, 4)
    components = int.from_bytes(size[36:38], "big")
    if components > 4:
        raise CorruptTileError("its JPEG 2000 codestream claims more than four components")
    if not tile_width or not tile_height or -(-right // tile_width) * -(-bottom // tile_height) > MAX_JPEG_2000_TILES:
        raise CorruptTileError(f"its JPEG 2000 codestream claims more than {MAX_JPEG_2000_TILES} tiles of its own")
    sampling = data[start + 42 : start + 42 + 3 * components]
    is_subsampled = any(sampling[at : at + 2] != b"\x01\x01" for at in range(1, len(sampling), 3))
    return Codestream(right - left, bottom - top, is_sycc or (components >= 3 and is_subsampled))


def _in_boxes(data: bytes) -> tuple[int, bool]:
    """Return where the codestream of a JP2 file starts (-1: nowhere), and whether its colours are sYCC."""
    at, is_sycc = 0, False
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 16 if length == 1 else 8
        end = at + int.from_bytes(data[at + 8 : at + 16], "big") if length == 1 else at + (length or len(data))
        if kind == b"jp2c":
            return at + head, is_sycc
        if end <= at + head - 1:
            break
        if kind == b"jp2h":  # holds boxes itself
            end = at + head
        is_sycc = is_sycc or (kind == b"colr" and data[at + head] == 1 and data[at + head + 3 : at + head + 7] == SYCC)
        at = end
    return -1, False


def webp_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels that a WebP file claims (RFC 9649). Raises CorruptTileError."""
    kind, body = data[12:16], data[20:30]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(body) < 10:
        raise CorruptTileError("its bytes are no WebP image")
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _colours(storage: Storage, samples: Samples) -> Pixels:
    """Return samples as RGB."""
    if storage.photometric == PHOTOMETRIC_PALETTE:
        return _palette(storage)[samples[..., 0]]
    narrow = _eight_bits(samples)
    if storage.photometric == PHOTOMETRIC_INVERTED_GREY:
        narrow = 255 - narrow
    if narrow.shape[2] == 1:
        return np.repeat(narrow, 3, axis=2)
    return _over_white(storage, narrow) if narrow.shape[2] > 3 else np.ascontiguousarray(narrow)


def _eight_bits(samples: Samples) -> Pixels:
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _palette(storage: Storage) -> Pixels:
    colours = np.frombuffer(storage.colour_map, np.uint16).reshape(3, 256).T
    # Some writers put 8-bit values where the specification has 16.
    return np.ascontiguousarray(colours.astype(np.uint8) if colours.max() < 256 else _eight_bits(colours))


def _from_ycbcr(pixels: Pixels) -> Pixels:
    """Return YCbCr of the full range (T.871) as RGB."""
    luma, blue, red = (pixels[..., index].astype(np.float32) for index in range(3))
    blue, red = blue - 128, red - 128
    colours = np.stack((luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue), axis=2)
    return cast(Pixels, np.clip(np.rint(colours), 0, 255).astype(np.uint8))


def _over_white(storage: Storage, pixels: Pixels) -> Pixels:
    colours, alpha = pixels[..., :3], pixels[..., 3:4].astype(np.uint16)
    kind = storage.extra_samples[0] if storage.extra_samples else 0
    if kind == ALPHA_UNASSOCIATED:
        return cast(Pixels, ((colours * alpha + (255 - alpha) * 255 + 127) // 255).astype(np.uint8))
    if kind == ALPHA_ASSOCIATED:
        return cast(Pixels, np.minimum(colours + (255 - alpha), 255).astype(np.uint8))
    return np.ascontiguousarray(colours)
