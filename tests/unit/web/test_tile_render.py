"""Crops and halvings of stored tiles."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging import lossless_crop as crop
from chalicelib.core.imaging.jpeg import complete_tile, frame_of, tile_prefix
from chalicelib.core.tiff.directory import PHOTOMETRIC_RGB, PHOTOMETRIC_YCBCR
from chalicelib.core.web.tile_protocols import TileRequest
from chalicelib.core.web.tile_render import render_tile
from tests.pixels.measures import difference, psnr
from tests.pixels.stored import halved
from tests.slides import Colour, Pixels, jpeg_tile, picture

SIDE = 240
SIZES = [(60, 87), (61, 1), (1, 1), (17, 240), (240, 31), (239, 239)]


def tile(colour: Colour, side: int = SIDE) -> bytes:
    photometric = PHOTOMETRIC_RGB if colour == "rgb" else PHOTOMETRIC_YCBCR
    return complete_tile(tile_prefix(b"", photometric), jpeg_tile(picture(side, side), colour))


def pixels(jpeg: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def cut_to(width: int, height: int) -> TileRequest:
    return TileRequest(name="t.jpg", width_px=width, height_px=height, whole=False)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colour", ["ycbcr444", "rgb", "grey"])
def test_cropped_tile_equals_region_of_whole_tile(colour: Colour, size: tuple[int, int]) -> None:
    whole = tile(colour)
    width, height = size
    assert np.array_equal(pixels(render_tile(whole, cut_to(*size))), pixels(whole)[:height, :width])


@pytest.mark.parametrize("size", SIZES)
def test_crop_of_subsampled_tile_differs_in_last_column_and_row(size: tuple[int, int]) -> None:
    whole = tile("ycbcr")
    width, height = size
    off = difference(pixels(render_tile(whole, cut_to(*size))), pixels(whole)[:height, :width])
    assert off[:-1, :-1].max(initial=0) == 0
    assert off.max() <= 8


def test_whole_tile_is_returned_unchanged() -> None:
    assert render_tile(b"any bytes", TileRequest(name="t.jpg")) == b"any bytes"


def test_tile_that_is_already_cropped_is_returned_unchanged() -> None:
    small = bytes(simplejpeg.encode_jpeg(picture(60, 87), 90, "RGB", "420"))
    assert render_tile(small, cut_to(60, 87)) == small
    assert pixels(render_tile(small, cut_to(50, 200))).shape == (87, 50, 3)


def test_tile_is_reencoded_without_crop_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "is_available", lambda: False)
    whole = tile("ycbcr")
    found = render_tile(whole, cut_to(60, 87))
    assert frame_of(found).sampling == ((1, 1), (1, 1), (1, 1))
    assert psnr(pixels(found), pixels(whole)[:87, :60]) > 38


@pytest.mark.parametrize("times", [1, 2, 3, 7, 8])
def test_root_tile_is_halved_as_often_as_requested(times: int) -> None:
    whole, inside = tile("ycbcr444"), (139, 186)
    truth = halved(pixels(whole)[:186, :139], times)
    request = TileRequest(
        name="t.jpg", width_px=truth.shape[1], height_px=truth.shape[0], whole=False, halvings=times, inside_px=inside
    )
    found = pixels(render_tile(whole, request))
    assert found.shape == truth.shape
    # JPEG of a few pixels; each halving rounds by at most one step.
    assert np.abs(found.astype(int) - truth).mean() < (12 if times > 3 else 4)


@pytest.mark.parametrize("halvings", [0, 1])
def test_damaged_tile_raises_corrupt_tile_error(halvings: int) -> None:
    request = TileRequest(name="t.jpg", width_px=10, height_px=10, whole=False, halvings=halvings, inside_px=(20, 20))
    for jpeg in (b"", b"no picture", tile("ycbcr")[:60]):
        with pytest.raises(CorruptTileError):
            render_tile(jpeg, request)
