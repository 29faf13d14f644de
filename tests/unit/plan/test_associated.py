"""Associated images: decoded if possible, else omitted. They are never a reason to refuse a slide."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simplejpeg
import tifffile

from chalicelib.core.plan import associated as pictures
from chalicelib.core.plan.associated import pictures_of
from chalicelib.core.plan.pyramid import Pyramid, plan_pyramid
from chalicelib.core.tiff.directory import Ifd, read_ifds
from tests.slides import Pixels, Slide, picture, write


def slide_with_pictures() -> tuple[Pyramid, bytes]:
    data = write(Slide(width_px=300, height_px=200, associated=True))
    ifds = read_ifds(io.BytesIO(data), size_bytes=len(data))
    return plan_pyramid(ifds, size_bytes=len(data), tile_size=None, base_only=False), data


def ifd_of(pixels: Pixels, **options: Any) -> tuple[Ifd, bytes]:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="rgb", **options)
    data = file.getvalue()
    return read_ifds(io.BytesIO(data), size_bytes=len(data))[0], data


def only(pyramid: Pyramid, ifd: Ifd) -> Pyramid:
    return replace(pyramid, associated=(("label", ifd),))


def test_associated_images_are_read_under_their_names() -> None:
    pyramid, data = slide_with_pictures()
    found = dict(pictures_of(pyramid, lambda start, stop: data[start:stop]))
    assert found.keys() == {name for name, _ in pyramid.associated}
    for name, ifd in pyramid.associated:
        assert simplejpeg.decode_jpeg_header(found[name])[:2] == (ifd.height_px, ifd.width_px)


@pytest.mark.parametrize("planar", [False, True])
def test_associated_image_in_strips_or_planes_is_joined(planar: bool) -> None:
    pixels = picture(90, 70)
    stored = np.ascontiguousarray(pixels.transpose(2, 0, 1)) if planar else pixels
    ifd, data = ifd_of(stored, rowsperstrip=16, planarconfig="separate" if planar else "contig")
    ((name, jpeg),) = pictures_of(only(slide_with_pictures()[0], ifd), lambda start, stop: data[start:stop])
    shown = simplejpeg.decode_jpeg(jpeg).astype(int)
    assert (name, shown.shape) == ("label", (70, 90, 3))
    assert np.abs(shown - pixels).mean() < 4


def test_large_associated_image_is_halved_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_SIDE_PX", 40)
    ifd, data = ifd_of(picture(90, 71))
    ((_, jpeg),) = pictures_of(only(slide_with_pictures()[0], ifd), lambda start, stop: data[start:stop])
    assert simplejpeg.decode_jpeg_header(jpeg)[:2] == (17, 22)


def test_undecodable_associated_image_is_omitted(monkeypatch: pytest.MonkeyPatch) -> None:
    pyramid = slide_with_pictures()[0]
    ifd, data = ifd_of(picture(90, 70), compression="zlib", rowsperstrip=16)
    assert pictures_of(only(pyramid, ifd), lambda start, stop: bytes(stop - start)) == ()
    assert pictures_of(only(pyramid, replace(ifd, compression=99)), lambda start, stop: data[start:stop]) == ()
    monkeypatch.setattr(pictures, "MAX_PIXELS", 90 * 70 - 1)
    assert pictures_of(only(pyramid, ifd), lambda start, stop: data[start:stop]) == ()


def test_missing_strips_of_associated_image_are_white() -> None:
    ifd, data = ifd_of(np.zeros((70, 90, 3), np.uint8), rowsperstrip=16)
    short = replace(ifd, offsets=ifd.offsets[:2])
    ((_, jpeg),) = pictures_of(only(slide_with_pictures()[0], short), lambda start, stop: data[start:stop])
    assert simplejpeg.decode_jpeg(jpeg).min() > 250
