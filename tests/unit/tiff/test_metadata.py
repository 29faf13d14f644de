"""Spacing, magnification and vendor from the descriptions of scanners and programs."""

from dataclasses import replace

import pytest

from chalicelib.core.tiff.metadata.facts import SlideFacts, slide_facts
from tests.unit.tiff.metadata_samples import APERIO, CM_40X, IFD, ISCAN, LEICA, VIPS, aperio, facts, mpp, ome, philips

# -- Aperio


def test_aperio_description_gives_spacing_and_objective() -> None:
    assert facts(description=APERIO) == SlideFacts(mpp_x=0.499, mpp_y=0.499, magnification=20.0, vendor="Aperio")


def test_aperio_fields_without_spaces_are_parsed() -> None:
    text = "Aperio Leica Biosystems GT450 v1.0.1 \n2220x2967 (256x256) JPEG/YCC Q=91|AppMag=40|MPP=0.263592"
    assert facts(description=text) == SlideFacts(mpp_x=0.263592, mpp_y=0.263592, magnification=40.0, vendor="Aperio")


def test_decimal_comma_and_magnification_suffix_are_parsed() -> None:
    found = facts(description=aperio("MPP = 0,2528", "AppMag = 40x"))
    assert (found.mpp_x, found.magnification) == (0.2528, 40.0)


def test_first_image_description_is_used_if_base_has_none() -> None:
    assert mpp(facts(before=replace(IFD, description=APERIO))) == (0.499, 0.499)


def test_base_description_overrides_first_image() -> None:
    found = facts(before=replace(IFD, description=APERIO), description=aperio("MPP = 0.25"))
    assert (found.mpp_x, found.magnification) == (0.25, 20.0)


def test_description_of_another_level_is_not_used_for_base() -> None:
    text = aperio("MPP = 0.4990", "AppMag = 20", size="46000x32914 (256x256) -> 2220x2967 JPEG/RGB Q=30")
    assert facts(description=text) == SlideFacts(vendor="Aperio")


@pytest.mark.parametrize(
    "value",
    ["0", "-0.5", "0.0", "nan", "inf", "1e400", "1e-400", "1e999999999", "9" * 400, "", " ", "abc", "0x1p-1", "1_0", "٠.٥", "0.5.5", "0.005", "101"],
)  # fmt: skip
def test_absurd_spacing_or_magnification_is_ignored(value: str) -> None:
    found = facts(description=aperio(f"MPP = {value}", "AppMag = 20"))
    assert (found.mpp_x, found.mpp_y, found.magnification) == (None, None, 20.0)
    if value != "101":
        assert facts(description=aperio(f"AppMag = {value}")).magnification is None


def test_repeated_equal_spacing_is_accepted() -> None:
    assert mpp(facts(description=aperio("MPP = 0.499", "MPP = 0.4990"))) == (0.499, 0.499)


def test_contradicting_description_is_not_overruled_by_tags() -> None:
    found = facts(
        description=aperio("MPP = 0.25", "MPP = 0.5"), x_resolution=40_000.0, y_resolution=40_000.0, resolution_unit=3
    )
    assert mpp(found) == (None, None)


# -- Philips


def test_philips_spacing_is_millimetres_with_rows_first() -> None:
    found = facts(description=philips())
    assert mpp(found) == pytest.approx((0.226907, 0.226891))
    assert (found.magnification, found.vendor) == (None, "Philips")


def test_philips_level_spacing_is_used_without_scan_spacing() -> None:
    assert mpp(facts(description=philips(spacing=""))) == pytest.approx((0.227273, 0.227273))


def test_contradicting_philips_level_gives_no_spacing() -> None:
    assert mpp(facts(description=philips(level_0='"0.000454" "0.000454"'))) == (None, None)


@pytest.mark.parametrize("spacing", ['"0.00025"', '"0.00025" "x"', '"0.00025" "0.00025" "0.00025"', '"0" "0"'])
def test_malformed_philips_spacing_is_ignored(spacing: str) -> None:
    assert mpp(facts(description=philips(spacing=spacing, level_0=spacing))) == (None, None)


def test_dicom_spacing_notation_is_parsed() -> None:
    assert mpp(facts(description=philips(spacing=r"0.0002268\0.0002269"))) == pytest.approx((0.2269, 0.2268))


def test_spacing_after_megabytes_of_macro_image_is_found() -> None:
    assert facts(description=philips(macro="QUJD\n" * 500_000)).mpp_x == pytest.approx(0.226907)
    assert facts(description=philips(macro="QUJD" * 750_000)).mpp_x == pytest.approx(0.226907)


def test_truncated_philips_description_is_used() -> None:
    text = philips()
    assert facts(description=text[: text.index('"PIIM_PIXEL_DATA')]).mpp_x == pytest.approx(0.226907)


def test_scanner_maker_is_vendor_of_converted_philips_file() -> None:
    found = facts(description=philips(maker="Hamamatsu Photonics", levels="40,20,10"))
    assert (found.vendor, found.magnification) == ("Hamamatsu", 40.0)


def test_other_data_object_xml_gives_no_facts() -> None:
    assert facts(description=philips().replace("DPUfsImport", "Other")) == SlideFacts()


# -- OME


def test_ome_facts_belong_to_image_of_base_size() -> None:
    found = facts(description=ome('PhysicalSizeX="0.5" PhysicalSizeY="0.25"'))
    assert found == SlideFacts(mpp_x=0.5, mpp_y=0.25, magnification=20.0, vendor="Zeiss")


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("499", "nm"),
        ("0.499", "µm"),
        ("0.499", "\u03bcm"),
        ("0.499", "&#181;m"),
        ("0.000499", "mm"),
        ("4.99E-5", "cm"),
        ("4990", "Å"),
    ],
)
def test_ome_units_are_converted(value: str, unit: str) -> None:
    size = f'PhysicalSizeX="{value}" PhysicalSizeXUnit="{unit}" PhysicalSizeY="0.499"'
    assert mpp(facts(description=ome(size))) == pytest.approx((0.499, 0.499))


@pytest.mark.parametrize("unit", ["pixel", "reference frame", "", "lightyear"])
def test_size_in_unknown_unit_is_ignored(unit: str) -> None:
    size = f'PhysicalSizeX="0.5" PhysicalSizeXUnit="{unit}" PhysicalSizeY="0.5"'
    assert mpp(facts(description=ome(size))) == (None, None)


def test_size_in_one_direction_gives_no_spacing() -> None:
    assert mpp(facts(description=ome('PhysicalSizeX="0.5"'))) == (None, None)


def test_very_different_directions_give_no_spacing() -> None:
    assert mpp(facts(description=ome('PhysicalSizeX="0.5" PhysicalSizeY="50"'))) == (None, None)


def test_ome_image_of_other_size_is_ignored() -> None:
    text = ome('PhysicalSizeX="0.5" PhysicalSizeY="0.5"').replace('SizeX="2220"', 'SizeX="9999"')
    assert mpp(facts(description=text)) == (None, None)


def test_ome_image_without_size_describes_the_base() -> None:
    text = (
        '<ome:OME xmlns:ome="x"><ome:Image><ome:Pixels PhysicalSizeX="0.5" PhysicalSizeY="0.5"/></ome:Image></ome:OME>'
    )
    assert mpp(facts(description=text)) == (0.5, 0.5)


def test_ome_image_matches_stored_or_published_size() -> None:
    size = 'PhysicalSizeX="0.5" PhysicalSizeY="0.5"'
    assert facts(description=ome(size), width_px=2304, height_px=3072).mpp_x == 0.5
    stored = ome(size).replace('SizeX="2220" SizeY="2967"', 'SizeX="2304" SizeY="3072"')
    assert facts(description=stored, width_px=2304, height_px=3072).mpp_x == 0.5


def test_ambiguous_objectives_give_no_magnification() -> None:
    text = ome("").replace("<ObjectiveSettings", "<NoSettings")
    assert facts(description=text).magnification is None
    assert facts(description=text.replace('"1.25"', '"20"')).magnification == 20.0


# -- Ventana, Leica, PerkinElmer


@pytest.mark.parametrize("xmp", [ISCAN, f"<?xml version='1.0' encoding='utf-16'?>\n<Metadata>{ISCAN}</Metadata>\0\0"])
def test_ventana_facts_come_from_label_image_packet(xmp: str) -> None:
    label = replace(IFD, xmp=xmp, description="Label Image", width_px=1008, height_px=3008)
    found = facts(before=label, xmp="<EncodeInfo Ver='2'/>", description="level=0 mag=40 quality=95")
    assert found == SlideFacts(mpp_x=0.25, mpp_y=0.25, magnification=40.0, vendor="Ventana")


def test_metadata_without_scan_gives_no_facts() -> None:
    assert facts(xmp="<Metadata><Other ScanRes='0.25'/></Metadata>") == SlideFacts()


def test_leica_sizes_are_nanometres_of_the_base_view() -> None:
    found = facts(before=replace(IFD, description=LEICA, width_px=1616, height_px=4668))
    assert found == SlideFacts(mpp_x=0.5, mpp_y=0.5, magnification=20.0, vendor="Leica")


def test_leica_file_without_base_size_gives_no_spacing() -> None:
    assert facts(description=LEICA.replace("2220", "2221")) == SlideFacts(vendor="Leica")


def test_zero_sizes_give_no_spacing() -> None:
    text = LEICA.replace("2220", "0").replace("2967", "0")
    base = replace(IFD, description=text, width_px=0, height_px=0)
    assert slide_facts((base,), base, width_px=0, height_px=0) == SlideFacts(vendor="Leica")


def test_perkinelmer_combines_xml_objective_and_tag_spacing() -> None:
    text = "<PerkinElmer-QPI-ImageDescription><SlideID>Doe</SlideID><Objective>20x</Objective></PerkinElmer-QPI-ImageDescription>"
    found = facts(description=text, x_resolution=20_000.0, y_resolution=20_000.0, resolution_unit=3)
    assert found == SlideFacts(mpp_x=0.5, mpp_y=0.5, magnification=20.0, vendor="PerkinElmer")


# -- Trestle, Hamamatsu, and programs


def test_trestle_resolution_tags_are_micrometres() -> None:
    text = "Background Color=E6E6E6;White Balance=ABCDEF;Objective Power=10;JPEG Quality=80;OverlapsXY= 64 64"
    found = facts(software="MedScan 1.0", description=text, x_resolution=0.93, y_resolution=0.94, resolution_unit=2)
    assert found == SlideFacts(mpp_x=0.93, mpp_y=0.94, magnification=10.0, vendor="Trestle")


def test_trestle_file_may_lack_all_facts() -> None:
    assert facts(software="MedScan") == SlideFacts(vendor="Trestle")


def test_hamamatsu_uses_resolution_and_magnification_tags() -> None:
    found = facts(
        is_ndpi=True, make="", ndpi_magnification=20.0, x_resolution=21_940.0, y_resolution=21_940.0, resolution_unit=3
    )
    assert mpp(found) == pytest.approx((0.455788, 0.455788), rel=1e-5)
    assert (found.magnification, found.vendor) == (20.0, "Hamamatsu")


def test_hamamatsu_macro_magnification_is_ignored() -> None:
    assert facts(is_ndpi=True, ndpi_magnification=-1.0).magnification is None


def test_vips_openslide_properties_are_used() -> None:
    found = facts(description=VIPS.format(width=2220, vendor="mirax"))
    assert found == SlideFacts(mpp_x=0.499, mpp_y=0.498, magnification=20.0, vendor="3DHISTECH")


def test_vips_properties_of_shrunk_image_are_ignored() -> None:
    found = facts(description=VIPS.format(width=4440, vendor="generic-tiff"), **CM_40X)
    assert found == SlideFacts(mpp_x=0.25, mpp_y=0.25)


@pytest.mark.parametrize("unit", ["micron", r"\u00B5m", "um", "µm"])
def test_imagej_unit_applies_to_resolution_tags(unit: str) -> None:
    text = f"ImageJ=1.11a\nimages=1\nunit={unit}\nspacing=3.0\n"
    assert mpp(facts(description=text, x_resolution=2.0, y_resolution=4.0)) == (0.5, 0.25)


def test_imagej_unit_is_ignored_if_tags_have_one() -> None:
    assert mpp(facts(description="ImageJ=1.11a\nunit=mm\n", **CM_40X)) == (0.25, 0.25)


def test_imagej_pixel_unit_is_ignored() -> None:
    assert mpp(facts(description="ImageJ=1.11a\nunit=pixel\n", x_resolution=2.0, y_resolution=2.0)) == (None, None)


def test_tifffile_shape_gives_no_facts() -> None:
    assert facts(description='{"shape": [2967, 2220, 3]}', software="tifffile.py") == SlideFacts()
