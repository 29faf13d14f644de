"""Lossless crops of JPEG tiles."""

import resource

import numpy as np
import pytest
import simplejpeg

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging import lossless_crop as crop
from tests.slides import Colour, jpeg_tile, picture

QUARTERS = [(x, y, 64, 64) for y in (0, 64) for x in (0, 64)]


def test_crop_library_is_available() -> None:
    assert crop.is_available()


@pytest.mark.parametrize("colour", ["ycbcr444", "rgb", "grey"])
def test_crops_equal_regions_of_whole_tile(colour: Colour) -> None:
    whole = jpeg_tile(picture(128, 128), colour)
    space = "GRAY" if colour == "grey" else "RGB"
    pixels = simplejpeg.decode_jpeg(whole, space)
    for (x, y, _, _), piece in zip(QUARTERS, crop.cut(whole, QUARTERS), strict=True):
        assert np.array_equal(simplejpeg.decode_jpeg(piece, space), pixels[y : y + 64, x : x + 64])


def test_crops_of_subsampled_tile_differ_at_cut_edges_only() -> None:
    whole = jpeg_tile(picture(128, 128), "ycbcr")
    pixels = simplejpeg.decode_jpeg(whole, "RGB").astype(int)
    for (x, y, _, _), piece in zip(QUARTERS, crop.cut(whole, QUARTERS), strict=True):
        difference = np.abs(simplejpeg.decode_jpeg(piece, "RGB") - pixels[y : y + 64, x : x + 64]).max(2)
        assert difference[1:-1, 1:-1].max() == 0


def test_tile_that_cannot_be_cropped_is_damaged() -> None:
    whole = jpeg_tile(picture(128, 128), "ycbcr")
    for jpeg, region in ((whole, (8, 0, 64, 64)), (whole[:60], QUARTERS[0]), (b"", QUARTERS[0])):
        with pytest.raises(CorruptTileError, match="it cannot be cut"):
            crop.cut(jpeg, [region])


def test_ten_thousand_crops_release_their_memory() -> None:
    whole = jpeg_tile(picture(128, 128), "ycbcr")
    crop.cut(whole, QUARTERS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2500):
        crop.cut(whole, QUARTERS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000
