import io

import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.jpeg import ADOBE_RGB, JFIF, complete_tile, tile_prefix
from chalicelib.core.tiff import PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR
from tests.slides import PHOTOMETRIC, Slide, jpeg_tile, picture, segments, split_tables, write


def pillow(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


@pytest.mark.parametrize("colour", ["ycbcr", "ycbcr444", "rgb", "grey"])
@pytest.mark.parametrize("tables", [False, True])
def test_a_completed_tile_decodes_to_what_the_tiff_means(colour: str, tables: bool) -> None:
    data = write(Slide(width_px=128, height_px=64, colour=colour, tables=tables))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        expected = page.asarray()
        prefix = tile_prefix(page.jpegtables or b"", int(page.photometric))
        for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            jpeg = complete_tile(prefix, memoryview(data)[offset : offset + size])
            region = expected[:, index * 64 : index * 64 + 64]
            region = region if region.ndim == 3 else region[..., None].repeat(3, 2)
            assert np.array_equal(pillow(jpeg), region)
            assert np.array_equal(simplejpeg.decode_jpeg(jpeg, "RGB"), region)


def test_scan_data_and_tables_of_the_tile_stay_as_they_are() -> None:
    tile = jpeg_tile(picture(64, 64), "rgb")
    tables, short = split_tables(tile)
    jpeg = complete_tile(tile_prefix(tables, PHOTOMETRIC_RGB), short)
    assert jpeg.startswith(b"\xff\xd8" + ADOBE_RGB + b"\xff\xdb")
    assert jpeg[jpeg.index(b"\xff\xda") :] == tile[tile.index(b"\xff\xda") :]
    assert jpeg.count(b"\xff\xd9") == 1


def with_segment(tile: bytes, segment: bytes) -> bytes:
    return tile[:2] + segment + tile[2:]


ADOBE_YCBCR = ADOBE_RGB[:-1] + b"\x01"


@pytest.mark.parametrize("wrong", [JFIF, ADOBE_YCBCR, JFIF + ADOBE_YCBCR])
def test_markers_in_the_stream_that_would_turn_rgb_into_something_else_are_taken_out(wrong: bytes) -> None:
    tile = jpeg_tile(picture(64, 64), "rgb")
    plain = complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), tile)
    assert complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), with_segment(tile, wrong)) == plain
    tables, short = split_tables(tile)
    marked = tile_prefix(with_segment(tables, wrong), PHOTOMETRIC_RGB)
    assert marked == tile_prefix(tables, PHOTOMETRIC_RGB)
    assert np.array_equal(pillow(complete_tile(marked, short)), pillow(plain))


def test_an_adobe_marker_that_calls_ycbcr_rgb_is_taken_out() -> None:
    tile = jpeg_tile(picture(64, 64), "ycbcr")
    bare = tile[:2] + b"".join(data for marker, data in segments(tile) if marker != 0xE0)
    right = complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), bare)
    assert right.startswith(b"\xff\xd8" + JFIF)
    assert complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), with_segment(bare, ADOBE_RGB)) == right
    # The encoder's own JFIF marker is not doubled.
    assert complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), tile).count(b"JFIF") == 1


def test_a_comment_that_looks_like_a_marker_is_kept() -> None:
    comment = b"\xff\xfe\x00\x06\xff\xee\xff\xe0"
    tile = with_segment(jpeg_tile(picture(64, 64), "rgb"), b"\xff" + comment)
    jpeg = complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), tile)
    assert comment in jpeg
    assert np.array_equal(
        pillow(jpeg), pillow(complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), jpeg_tile(picture(64, 64), "rgb")))
    )


@pytest.mark.parametrize("stored", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"no jpeg at all", b"\0" * 100])
def test_bytes_that_are_no_jpeg_are_a_damaged_tile(stored: bytes) -> None:
    with pytest.raises(CorruptTileError):
        complete_tile(tile_prefix(b"", PHOTOMETRIC["ycbcr"]), stored)


def test_tables_that_are_no_jpeg_are_an_error_and_an_end_marker_may_be_missing() -> None:
    with pytest.raises(CorruptTileError, match="shared JPEG tables"):
        tile_prefix(b"nonsense", PHOTOMETRIC_RGB)
    tables, _ = split_tables(jpeg_tile(picture(64, 64), "rgb"))
    assert tile_prefix(tables[:-2], PHOTOMETRIC_RGB) == tile_prefix(tables, PHOTOMETRIC_RGB)
