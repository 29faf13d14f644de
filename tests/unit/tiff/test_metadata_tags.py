"""Spacing, vendor and colour profile from TIFF tags."""

import math
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.tiff.metadata.facts import SlideFacts, slide_facts
from tests.unit.tiff.metadata_samples import CM_40X, HEIGHT_PX, IFD, WIDTH_PX, aperio, facts, icc, mpp


@pytest.mark.parametrize(("unit", "dots"), [(2, 101_600.0), (3, 40_000.0)])
def test_resolution_tags_are_dots_per_inch_or_centimetre(unit: int, dots: float) -> None:
    assert mpp(facts(x_resolution=dots, y_resolution=dots / 2, resolution_unit=unit)) == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize("dots", [1.0, 72.0, 96.0, 150.0, 200.0, 300.0, 600.0, 1200.0])
def test_screen_and_printer_resolution_is_ignored(dots: float) -> None:
    assert mpp(facts(x_resolution=dots, y_resolution=dots, resolution_unit=2)) == (None, None)
    assert mpp(facts(x_resolution=dots / 2.54, y_resolution=dots / 2.54, resolution_unit=3)) == (None, None)


@pytest.mark.parametrize("unit", [0, 1, 4, 65535])
def test_resolution_without_unit_is_ignored(unit: int) -> None:
    assert mpp(facts(x_resolution=40_000.0, y_resolution=40_000.0, resolution_unit=unit)) == (None, None)


@pytest.mark.parametrize("dots", [None, 0.0, -1.0, math.nan, math.inf, 5e-324, 1e300])
def test_absurd_resolution_is_ignored(dots: float | None) -> None:
    assert mpp(facts(x_resolution=dots, y_resolution=40_000.0, resolution_unit=3)) == (None, None)


def test_tags_are_used_if_description_is_absurd() -> None:
    found = facts(description=aperio("MPP = 0"), **CM_40X)
    assert (mpp(found), found.vendor) == ((0.25, 0.25), "Aperio")


@pytest.mark.parametrize(
    ("fields", "vendor"),
    [
        ({"make": "Hamamatsu"}, "Hamamatsu"), ({"make": " LEICA "}, "Leica"), ({"make": "Huron Digital"}, "Huron"),
        ({"software": "Philips DP v1.0"}, "Philips"), ({"software": "3DHISTECH Slide Converter"}, "3DHISTECH"),
        ({"make": "Roche", "software": "ScanOutputManager"}, "Ventana"), ({"make": "Somebody of Leica"}, None), ({}, None),
        ({"software": "Adobe Photoshop"}, None), ({"description": "scanned for Dr. Philips on a Leica"}, None),
    ],
)  # fmt: skip
def test_vendor_is_from_a_fixed_list(fields: dict[str, Any], vendor: str | None) -> None:
    assert facts(**fields).vendor == vendor


def test_file_without_metadata_has_no_facts() -> None:
    assert facts() == SlideFacts()
    assert slide_facts((), IFD, width_px=WIDTH_PX, height_px=HEIGHT_PX) == SlideFacts()


@pytest.mark.parametrize("size_bytes", [132, 3144, 4 * 1024 * 1024])
def test_colour_profile_is_kept(size_bytes: int) -> None:
    assert facts(icc_profile=icc(size_bytes)).icc_profile == icc(size_bytes)


def test_bytes_after_colour_profile_are_dropped() -> None:
    assert facts(icc_profile=icc(200) + b"Jane Doe").icc_profile == icc(200)


@pytest.mark.parametrize(
    "profile",
    [b"", b"acsp", bytes(300), icc(131), icc(300, signature=b"pcsa"), icc(300, says=301), icc(300, says=0), icc(4 * 1024 * 1024 + 1)],
    ids=["nothing", "signature only", "zeros", "too short", "unsigned", "cut off", "no size", "too long"],
)  # fmt: skip
def test_invalid_colour_profile_is_dropped(profile: bytes) -> None:
    assert facts(icc_profile=profile).icc_profile == b""


def test_profile_of_another_image_is_not_used() -> None:
    assert facts(before=replace(IFD, icc_profile=icc(200))).icc_profile == b""
