"""How a level becomes the segments of a TIFF: cut, arranged, compressed. Each way of storing is a value."""

import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import imagecodecs
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image as Pillow

from tests.pixels.writer import (
    BITS,
    COMPRESSION,
    HEIGHT,
    JPEG_TABLES,
    LONG,
    PHOTOMETRIC,
    PLANAR,
    ROWS_PER_STRIP,
    SAMPLES,
    SHORT,
    TILE_HEIGHT,
    TILE_WIDTH,
    UNDEFINED,
    WIDTH,
    ByteOrder,
    Image,
    Tags,
)
from tests.slides import Pixels, jpeg_tile, picture, segments

Samples = npt.NDArray[Any]  # (height, width, samples), uint8 or uint16
Encode = Callable[[Samples], bytes]
QUALITY = 90
DQT, DHT, APP0, APP14 = 0xDB, 0xC4, 0xE0, 0xEE


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the levels of a file are stored. `tile` is (width, height) in pixels, None for strips of `rows`; `samples`
    turns RGB into what is stored, `encode` one segment of that into bytes. `tables` are the markers of a JPEG that
    stand in JPEGTables, `dropped` those that do not stand in its tiles."""

    encode: Encode
    compression: int
    photometric: int = 2
    tile: tuple[int, int] | None = (256, 256)
    rows: int = 16
    separate: bool = False
    samples: Callable[[Pixels], Samples] = lambda pixels: pixels
    tables: frozenset[int] = frozenset()
    dropped: frozenset[int] = frozenset()
    order: ByteOrder = "<"
    tags: Tags = field(default_factory=dict)


def image(pixels: Pixels, way: Way, tags: Tags | None = None, **options: Any) -> Image:
    """Return a level stored in a way. `tags` are added; `options` are those of `Image`."""
    samples = way.samples(pixels)
    height, width, count = samples.shape
    parts = list(_segments(samples, way))
    found: dict[int, tuple[int, Any]] = {
        WIDTH: (LONG, [width]), HEIGHT: (LONG, [height]), BITS: (SHORT, [samples.dtype.itemsize * 8] * count),
        COMPRESSION: (SHORT, [way.compression]), PHOTOMETRIC: (SHORT, [way.photometric]), SAMPLES: (SHORT, [count]),
        PLANAR: (SHORT, [2 if way.separate else 1]),
    }  # fmt: skip
    if way.tile is None:
        found[ROWS_PER_STRIP] = (LONG, [way.rows])
    else:
        found |= {TILE_WIDTH: (LONG, [way.tile[0]]), TILE_HEIGHT: (LONG, [way.tile[1]])}
    if way.tables:
        found[JPEG_TABLES] = (UNDEFINED, _only(parts[0], way.tables))
    kept = [_without(part, way.dropped) for part in parts] if way.dropped else parts
    return Image(
        tags=found | dict(way.tags) | dict(tags or {}), segments=kept, is_tiled=way.tile is not None, **options
    )


def leaving_out(stored: Image, places: Sequence[int]) -> Image:
    """Return an image without some of its segments: their byte counts are 0."""
    kept = [b"" if index in places else part for index, part in enumerate(stored.segments)]
    return Image(tags=stored.tags, segments=kept, is_tiled=stored.is_tiled, inside=stored.inside)


def _segments(samples: Samples, way: Way) -> Iterator[bytes]:
    planes = np.split(samples, samples.shape[2], axis=2) if way.separate else [samples]
    for plane in planes:
        height, width, _ = plane.shape
        across, down = way.tile or (width, way.rows)
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if way.tile:
                    # Repeated, so that whatever is published from beyond the edge can be told from white.
                    part = np.pad(part, ((0, down - part.shape[0]), (0, across - part.shape[1]), (0, 0)), "edge")
                yield way.encode(np.ascontiguousarray(part))


# -- plain codecs ------------------------------------------------------------------------------------------------------


def plain(pack: Callable[[bytes], Any] = bytes, *, predictor: bool = False, order: ByteOrder = "<") -> Encode:
    """Return an encoder of samples as they are, or as differences from their left neighbours."""

    def encode(samples: Samples) -> bytes:
        stored = samples.copy()
        if predictor:
            stored[:, 1:] -= samples[:, :-1]
        return bytes(pack(stored.astype(stored.dtype.newbyteorder(order)).tobytes()))

    return encode


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, 6)


def reversed_bits(data: bytes) -> bytes:
    """Return bytes as FillOrder 2 stores them."""
    return np.packbits(np.unpackbits(np.frombuffer(data, np.uint8)), bitorder="little").tobytes()


def webp(samples: Samples) -> bytes:
    return bytes(imagecodecs.webp_encode(samples, lossless=True))


# -- samples -----------------------------------------------------------------------------------------------------------


def grey(pixels: Pixels) -> Samples:
    return pixels[..., 1:2]


def inverted(pixels: Pixels) -> Samples:
    return 255 - pixels[..., 1:2]


def wide(pixels: Pixels) -> Samples:
    """16 bits that are no multiple of 257, so that rounding and cutting off differ."""
    jitter = np.random.default_rng(1)
    noise = jitter.integers(-128, 129, pixels.shape)
    return np.clip(pixels.astype(np.int64) * 257 + noise, 0, 65535).astype(np.uint16)


def translucent(pixels: Pixels) -> Samples:
    """RGBA whose alpha runs from clear to opaque across the level; the colours below it stay."""
    height, width, _ = pixels.shape
    alpha = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 1))
    return np.concatenate((pixels, alpha), axis=2)


def premultiplied(pixels: Pixels) -> Samples:
    """RGBA whose colours were multiplied by alpha already."""
    samples = translucent(pixels).astype(np.uint16)
    samples[..., :3] = (samples[..., :3] * samples[..., 3:] + 127) // 255
    return samples.astype(np.uint8)


def swatches() -> npt.NDArray[np.uint16]:
    """Return 256 colours (red, green, blue rows of 16 bits): three bits of red and green, two of blue."""
    index = np.arange(256)
    rows = np.stack((index >> 5, index >> 2 & 7, index & 3)) * 255 // np.array([[7], [7], [3]])
    return np.asarray(rows * 257, np.uint16)


def indexed(pixels: Pixels) -> Samples:
    return (pixels[..., :1] & 0xE0) | (pixels[..., 1:2] >> 3 & 0x1C) | pixels[..., 2:3] >> 6


def full_ycbcr(pixels: Pixels) -> Samples:
    """Return RGB as YCbCr of the full range (T.871)."""
    red, green, blue = (pixels[..., index].astype(np.float64) for index in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    found = np.stack((luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402), axis=2)
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)


# -- JPEG --------------------------------------------------------------------------------------------------------------


def jpeg(subsampling: str, **options: Any) -> Encode:
    """Return an encoder of YCbCr ("444", "422", "440", "420", "411") or grey ("Gray"), with a JFIF marker inside."""

    def encode(samples: Samples) -> bytes:
        colour = "GRAY" if samples.shape[2] == 1 else "RGB"
        return bytes(simplejpeg.encode_jpeg(samples, QUALITY, colour, subsampling, **options))

    return encode


def pillow_jpeg(**options: Any) -> Encode:
    """Return an encoder with Pillow's options: progressive scans, restart markers."""

    def encode(samples: Samples) -> bytes:
        file = io.BytesIO()
        Pillow.fromarray(samples).save(file, "JPEG", quality=QUALITY, **options)
        return file.getvalue()

    return encode


def aperio_rgb(samples: Samples) -> bytes:
    """RGB of which the stream says nothing: component ids 0, 1, 2 and no marker."""
    return jpeg_tile(samples, "rgb")


def adobe_rgb(samples: Samples) -> bytes:
    """RGB with an Adobe marker inside each tile."""
    return bytes(imagecodecs.jpeg8_encode(samples, QUALITY, colorspace="rgb", outcolorspace="rgb", subsampling="444"))


def with_comment(encode: Encode) -> Encode:
    """Put a comment, an EXIF segment and fill bytes into each tile's header."""
    extra = b"\xff\xfe\x00\x06done" + b"\xff\xe1\x00\x08Exif\0\0" + b"\xff\xff"

    def commented(samples: Samples) -> bytes:
        tile = encode(samples)
        return tile[:2] + extra + tile[2:]

    return commented


def without(encode: Encode, markers: frozenset[int]) -> Encode:
    """Leave segments out of each JPEG."""
    return lambda samples: _without(encode(samples), markers)


def _without(tile: bytes, markers: frozenset[int]) -> bytes:
    return b"\xff\xd8" + b"".join(data for marker, data in segments(tile) if marker not in markers)


def _only(tile: bytes, markers: frozenset[int]) -> bytes:
    return b"\xff\xd8" + b"".join(data for marker, data in segments(tile) if marker in markers) + b"\xff\xd9"


# -- JPEG 2000 ---------------------------------------------------------------------------------------------------------


def jpeg_2000(form: Literal["j2k", "jp2"] = "j2k", *, mct: bool = False) -> Encode:
    def encode(samples: Samples) -> bytes:
        found = imagecodecs.jpeg2k_encode(np.squeeze(samples), codecformat=form, reversible=True, mct=mct, level=0)
        return bytes(found)

    return encode


def jpeg_2000_422(samples: Samples) -> bytes:
    """Return a codestream whose second and third component have half the columns, as Aperio's scanners write it.

    No encoder at hand does that. But components are coded apart from each other, and in the progression "component
    first" one stands behind the other: three codestreams of one component each become one of three (T.800 A.5, B.12).
    """
    halves = [samples[..., index : index + 1] for index in (1, 2)]
    halves = [((half[:, 0::2].astype(np.uint16) + half[:, 1::2] + 1) // 2).astype(np.uint8) for half in halves]
    parts = [_codestream(plane[..., 0]) for plane in (samples[..., 0:1], *halves)]
    header, _ = parts[0]
    height, width, _ = samples.shape
    body = b"".join(part for _, part in parts)
    sizes = b"".join(each.to_bytes(4, "big") for each in (width, height, 0, 0, width, height, 0, 0))
    components = bytes((7, 1, 1, 7, 2, 1, 7, 2, 1))
    coding = header[0x52][:1] + b"\x04" + header[0x52][2:]
    return b"".join((
        b"\xff\x4f", _marked(0x51, b"\0\0" + sizes + b"\0\x03" + components), _marked(0x52, coding),
        _marked(0x5C, header[0x5C]), _marked(0x90, b"\0\0" + (len(body) + 14).to_bytes(4, "big") + b"\0\x01"),
        b"\xff\x93", body, b"\xff\xd9",
    ))  # fmt: skip


def _codestream(plane: Pixels) -> tuple[Mapping[int, bytes], bytes]:
    """Return the main header's segments by marker, and the packets, of one component."""
    plane = np.ascontiguousarray(plane)
    data = bytes(imagecodecs.jpeg2k_encode(plane, codecformat="j2k", reversible=True, level=0, resolutions=4))
    found, position = {}, 2
    while data[position + 1] != 0x90:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        found[data[position + 1]] = data[position + 4 : end]
        position = end
    size = int.from_bytes(data[position + 6 : position + 10], "big")
    start = data.index(b"\xff\x93", position + 12) + 2
    return found, data[start : position + size]


def _marked(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


# -- levels ------------------------------------------------------------------------------------------------------------


def scene(width_px: int, height_px: int, seed: int = 0) -> Pixels:
    """Return a picture with smooth colours, hard edges and saturated patches."""
    pixels = picture(width_px, height_px, seed).copy()
    jitter = np.random.default_rng(seed)
    primaries = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 0, 0), (255, 255, 255)]
    for index in range(width_px * height_px // 30_000):
        top, left = jitter.integers(0, height_px), jitter.integers(0, width_px)
        pixels[top : top + 40, left : left + 40] = primaries[index % len(primaries)]
    return pixels


def box(pixels: Pixels) -> Pixels:
    """Return pixels at half size: the average of 2 x 2, the last column and row repeated where there is an odd one."""
    height, width, samples = pixels.shape
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge").astype(np.float64)
    averages = padded.reshape(-(-height // 2), 2, -(-width // 2), 2, samples).mean((1, 3))
    return np.asarray(np.rint(averages), np.uint8)


def halved(pixels: Pixels, times: int, *, down: bool = False) -> Pixels:
    """Return pixels halved so many times; sizes round up, or down."""
    for _ in range(times):
        height, width = pixels.shape[:2]
        pixels = box(pixels)
        if down:
            pixels = pixels[: height // 2, : width // 2]
    return pixels
