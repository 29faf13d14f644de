"""The real scan: every copied tile held to tifffile in three decoders, and to OpenSlide."""

import numpy as np
import openslide
import pytest
import tifffile

from tests.pixels.test_kinds import DECODERS, Published, by_pillow
from tests.scan import real_scan


@pytest.fixture(scope="module")
def scan() -> Published:
    return Published(real_scan().read_bytes())


def test_the_real_scan_is_exact_in_every_decoder(scan: Published) -> None:
    expected = tifffile.imread(real_scan(), key=0)
    for decode in DECODERS:
        assert np.array_equal(scan.level(0, decode), expected)


def test_the_real_scan_has_the_pixels_that_openslide_shows(scan: Published) -> None:
    with openslide.OpenSlide(real_scan()) as slide:
        expected = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    assert np.array_equal(scan.level(0, by_pillow), expected)
