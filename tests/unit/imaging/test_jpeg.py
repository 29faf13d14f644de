import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.decode import decoded_grey, decoded_jpeg, whole_jpeg
from chalicelib.core.imaging.jpeg import (
    ADOBE_RGB,
    JFIF,
    MAX_SCANS,
    Frame,
    Splicer,
    check_scans,
    colour_prefix,
    complete_tile,
    frame_of,
    tile_prefix,
)
from chalicelib.core.imaging.lossless_crop import cut
from chalicelib.core.tiff.directory import PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR
from tests.slides import PHOTOMETRIC, Colour, Pixels, Slide, jpeg_tile, picture, segments, split_tables, write


def pillow(jpeg: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


@pytest.mark.parametrize("colour", ["ycbcr", "ycbcr444", "rgb", "grey"])
@pytest.mark.parametrize("tables", [False, True])
def test_completed_tile_decodes_like_tifffile(colour: Colour, tables: bool) -> None:
    data = write(Slide(width_px=128, height_px=64, colour=colour, tables=tables))
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        expected = page.asarray()
        prefix = tile_prefix(page.jpegtables or b"", int(page.photometric))
        for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            jpeg = complete_tile(prefix, memoryview(data)[offset : offset + size])
            region = expected[:, index * 64 : index * 64 + 64]
            region = region if region.ndim == 3 else region[..., None].repeat(3, 2)
            assert np.array_equal(pillow(jpeg), region)
            assert np.array_equal(simplejpeg.decode_jpeg(jpeg, "RGB"), region)


def test_fill_bytes_between_shared_tables_are_skipped() -> None:
    tables, _ = split_tables(jpeg_tile(picture(64, 64), "rgb"))
    assert tile_prefix(tables[:2] + b"\xff\xff" + tables[2:], PHOTOMETRIC_RGB) == tile_prefix(tables, PHOTOMETRIC_RGB)


def test_complete_tile_keeps_scan_data_and_tables() -> None:
    tile = jpeg_tile(picture(64, 64), "rgb")
    tables, short = split_tables(tile)
    jpeg = complete_tile(tile_prefix(tables, PHOTOMETRIC_RGB), short)
    assert jpeg.startswith(b"\xff\xd8" + ADOBE_RGB + b"\xff\xdb")
    assert jpeg[jpeg.index(b"\xff\xda") :] == tile[tile.index(b"\xff\xda") :]
    assert jpeg.count(b"\xff\xd9") == 1


def with_segment(tile: bytes, segment: bytes) -> bytes:
    return tile[:2] + segment + tile[2:]


ADOBE_YCBCR = ADOBE_RGB[:-1] + b"\x01"


@pytest.mark.parametrize("wrong", [ADOBE_YCBCR, ADOBE_YCBCR + JFIF])
def test_misleading_colour_markers_are_removed(wrong: bytes) -> None:
    tile = jpeg_tile(picture(64, 64), "rgb")
    plain = complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), tile)
    assert complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), with_segment(tile, wrong)) == plain
    tables, short = split_tables(tile)
    marked = tile_prefix(with_segment(tables, wrong), PHOTOMETRIC_RGB)
    assert marked == tile_prefix(tables, PHOTOMETRIC_RGB)
    assert np.array_equal(pillow(complete_tile(marked, short)), pillow(plain))


def test_tile_with_jfif_marker_is_ycbcr_despite_directory() -> None:
    tile = jpeg_tile(picture(64, 64), "ycbcr")
    assert tile[6:10] == b"JFIF"
    jpeg = complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), tile)
    assert jpeg == complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), tile)
    assert np.array_equal(pillow(jpeg), pillow(tile))


def test_splicer_handles_tiles_with_different_headers() -> None:
    red, green = picture(64, 64), picture(64, 64, seed=1)
    tiles = [simplejpeg.encode_jpeg(pixels, quality, "RGB", "444") for pixels in (red, green) for quality in (50, 90)]
    splicer = Splicer(tile_prefix(b"", PHOTOMETRIC_YCBCR), (64, 64))
    for tile in tiles + tiles[::-1]:
        assert np.array_equal(pillow(splicer.complete(memoryview(tile))), pillow(tile))


def test_splicer_is_thread_safe() -> None:
    tiles = [simplejpeg.encode_jpeg(picture(64, 64, seed), 50 + seed, "RGB", "444") for seed in range(8)]
    splicer = Splicer(tile_prefix(b"", PHOTOMETRIC_YCBCR), (64, 64))
    expected = [Splicer(splicer.prefix).complete(tile) for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(splicer.complete, tiles * 50)) == expected * 50


def frame(tile: bytes) -> int:
    return tile.index(b"\xff\xc0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tile: tile[: len(tile) // 2], "no end: it was cut off"),
        (lambda tile: tile[:-2] + b"\0" * 70, "no end: it was cut off"),
        (lambda tile: jpeg_tile(picture(128, 64), "ycbcr"), "holds 128 x 64 px where 64 x 64 px are expected"),
        (lambda tile: tile.replace(b"\xff\xc0", b"\xff\xc9", 1), r"kind that is not published \(SOF9"),
        (lambda tile: tile[: frame(tile) + 4] + b"\x0c" + tile[frame(tile) + 5 :], "12 bits"),
        (lambda tile: tile[: frame(tile)] + tile[tile.index(b"\xff\xda") :], "no frame header"),
        (lambda tile: tile[: tile.index(b"\xff\xda")] + b"\xff\xd9", "no scan"),
    ],
)
def test_undisplayable_tile_is_damaged(change: Callable[[bytes], bytes], reason: str) -> None:
    splicer = Splicer(tile_prefix(b"", PHOTOMETRIC_YCBCR), (64, 64))
    with pytest.raises(CorruptTileError, match=reason):
        splicer.complete(change(jpeg_tile(picture(64, 64), "ycbcr")))


def test_bytes_after_end_marker_are_ignored() -> None:
    tile = jpeg_tile(picture(64, 64), "ycbcr")
    assert np.array_equal(pillow(complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), tile + b"\0")), pillow(tile))


def test_frame_of_returns_size_bits_and_sampling() -> None:
    assert frame_of(jpeg_tile(picture(64, 32), "ycbcr")) == Frame(64, 32, 8, ((2, 2), (1, 1), (1, 1)))
    with pytest.raises(CorruptTileError, match="no JPEG stream"):
        frame_of(b"no JPEG")


@pytest.mark.parametrize("colour", ["rgb", "ycbcr"])
def test_colour_prefix_is_read_from_completed_tile(colour: Colour) -> None:
    tile = complete_tile(tile_prefix(b"", PHOTOMETRIC[colour]), jpeg_tile(picture(64, 64), colour))
    assert colour_prefix(tile) == tile_prefix(b"", PHOTOMETRIC[colour])


def test_adobe_rgb_marker_of_ycbcr_tile_is_removed() -> None:
    tile = jpeg_tile(picture(64, 64), "ycbcr")
    bare = tile[:2] + b"".join(data for marker, data in segments(tile) if marker != 0xE0)
    right = complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), bare)
    assert right.startswith(b"\xff\xd8" + JFIF)
    assert complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), with_segment(bare, ADOBE_RGB)) == right
    # The JFIF marker of the encoder is not duplicated.
    assert complete_tile(tile_prefix(b"", PHOTOMETRIC_YCBCR), tile).count(b"JFIF") == 1


@pytest.mark.parametrize("kind", [0xFE, 0xE1, 0xE2, 0xED], ids=["comment", "Exif", "profile", "captions"])
def test_comments_and_metadata_segments_are_removed(kind: int) -> None:
    plain = complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), jpeg_tile(picture(64, 64), "rgb"))
    # Fill bytes before the segment, and bytes in it that look like markers.
    segment = b"\xff\xff" + bytes([kind]) + b"\x00\x16\xff\xee\xff\xe0PATIENT Jane Doe"
    jpeg = complete_tile(tile_prefix(b"", PHOTOMETRIC_RGB), with_segment(jpeg_tile(picture(64, 64), "rgb"), segment))
    assert jpeg == plain


def test_tile_with_too_many_scans_is_damaged() -> None:
    file = io.BytesIO()
    Image.fromarray(picture(64, 64)).save(file, "JPEG", progressive=True)
    jpeg = file.getvalue()
    check_scans(jpeg)
    last = jpeg.rindex(b"\xff\xda")
    bomb = jpeg[:last] + jpeg[last:-2] * MAX_SCANS + jpeg[-2:]
    with pytest.raises(CorruptTileError, match="scans"):
        whole_jpeg(bomb)
    with pytest.raises(CorruptTileError, match="scans"):
        decoded_jpeg(bomb, (64, 64))
    with pytest.raises(CorruptTileError, match="scans"):
        decoded_grey(bomb, (64, 64))
    with pytest.raises(CorruptTileError, match="scans"):
        cut(bomb, [(0, 0, 16, 16)])


@pytest.mark.parametrize("stored", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"no jpeg at all", b"\0" * 100])
def test_bytes_that_are_not_jpeg_are_a_damaged_tile(stored: bytes) -> None:
    with pytest.raises(CorruptTileError):
        complete_tile(tile_prefix(b"", PHOTOMETRIC["ycbcr"]), stored)


def test_invalid_tables_raise_and_end_marker_is_optional() -> None:
    with pytest.raises(CorruptTileError, match="shared JPEG tables"):
        tile_prefix(b"nonsense", PHOTOMETRIC_RGB)
    tables, _ = split_tables(jpeg_tile(picture(64, 64), "rgb"))
    assert tile_prefix(tables[:-2], PHOTOMETRIC_RGB) == tile_prefix(tables, PHOTOMETRIC_RGB)
