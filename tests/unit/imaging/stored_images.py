"""TIFF files of one image, and their encoding as the decoder takes it."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile

from chalicelib.core.imaging.decode import decoded
from chalicelib.core.imaging.encoding import Storage, storage_of
from chalicelib.core.imaging.jpeg import tile_prefix
from chalicelib.core.imaging.raster import Pixels
from chalicelib.core.tiff.directory import Ifd, read_ifds
from tests.slides import jpeg_tile, picture

RGB = picture(150, 100)
SIXTEEN = (RGB.astype(np.uint16) * 257 + 40).clip(0, 65535).astype(np.uint16)


def write_image(pixels: Any, **options: Any) -> tuple[Ifd, bytes]:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=options.pop("byteorder", "<")) as writer:
        writer.write(pixels, metadata=None, **options)
    data = file.getvalue()
    return read_ifds(io.BytesIO(data), size_bytes=len(data))[0], data


def join_segments(ifd: Ifd, data: bytes) -> Pixels:
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


PLAIN: Storage = storage_of(write_image(RGB[:64, :64], photometric="rgb", **TILED)[0])


YCBCR = replace(PLAIN, compression=7, photometric=6, prefix=tile_prefix(b"", 6))
SMALL_JPEG = jpeg_tile(RGB[:64, :64], "ycbcr")
