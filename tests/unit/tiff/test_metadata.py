import math
from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.facts import VENDORS, SlideFacts, slide_facts

WIDTH_PX, HEIGHT_PX = 2220, 2967

IFD = Ifd(
    index=0, width_px=WIDTH_PX, height_px=HEIGHT_PX, is_tiled=True, tile_width_px=240, tile_height_px=240, compression=7,
    photometric=2, samples=3, bits=8, planar=1, subfile_type=0, description="", subsampling=(2, 2), jpeg_tables=b"",
    offsets=array("Q"), byte_counts=array("Q"),
)  # fmt: skip

APERIO = (
    "Aperio Image Library v11.2.1 \r\n46000x32914 [42673,5576 2220x2967] (240x240) JPEG/RGB Q=30;Aperio Image Library "
    "v10.0.51\r\n46920x33014 [0,100 46000x32914] (256x256) JPEG/RGB Q=30|AppMag = 20|StripeWidth = 2040|ScanScope ID = "
    "CPAPERIOCS|Filename = CMU-1|Date = 12/29/09|Time = 09:59:15|User = b414003d-95c6-48b0-9369-8010ed517ba7|Parmset = "
    "USM Filter|MPP = 0.4990|Left = 25.691574|Top = 23.449873|ImageID = 1004486|OriginalWidth = 46920"
)


def facts(*, before: Ifd | None = None, **fields: Any) -> SlideFacts:
    """Return the facts of a file whose base has these fields and comes behind the image `before`, if there is one."""
    base = replace(IFD, **fields)
    return slide_facts((before or base, base), base, width_px=WIDTH_PX, height_px=HEIGHT_PX)


def mpp(found: SlideFacts) -> tuple[float | None, float | None]:
    return found.mpp_x, found.mpp_y


def aperio(*fields: str, size: str = "2220x2967 (240x240) JPEG/RGB Q=30") -> str:
    return "|".join((f"Aperio Image Library v11.2.1 \r\n{size}", *fields))


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

PHILIPS = """<?xml version="1.0" encoding="UTF-8" ?>
<DataObject ObjectType="DPUfsImport">
  <Attribute Name="DICOM_MANUFACTURER" Group="0x0008" Element="0x0070" PMSVR="IString">{maker}</Attribute>
  <Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" Element="0x1003" PMSVR="IDataObjectArray"><Array>
    <DataObject ObjectType="DPScannedImage">
      <Attribute Name="PIM_DP_IMAGE_TYPE" PMSVR="IString">MACROIMAGE</Attribute>
      <Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">"0.05" "0.05"</Attribute>
      <Attribute Name="PIM_DP_IMAGE_DATA" PMSVR="IString">{macro}</Attribute>
    </DataObject>
    <DataObject ObjectType="DPScannedImage">
      <Attribute Name="PIM_DP_IMAGE_TYPE" PMSVR="IString">WSI</Attribute>
      <Attribute Name="DICOM_DERIVATION_DESCRIPTION">tiff-useBigTIFF=1-useRgb=0-levels={levels}-processing=0-q80-sourceFilename="T09-levels=30-b"</Attribute>
      <Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">{spacing}</Attribute>
      <Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE" PMSVR="IDataObjectArray"><Array>
        <DataObject ObjectType="PixelDataRepresentation">
          <Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">{level_0}</Attribute>
          <Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_NUMBER" PMSVR="IUInt16">0</Attribute>
        </DataObject>
        <DataObject ObjectType="PixelDataRepresentation">
          <Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">"0.000454545" "0.000454545"</Attribute>
          <Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_NUMBER" PMSVR="IUInt16">1</Attribute>
        </DataObject>
      </Array></Attribute>
    </DataObject>
  </Array></Attribute>
</DataObject>
"""


def philips(**given: str) -> str:
    usual = {
        "maker": "PHILIPS", "macro": "", "levels": "10003,10002,10000", "level_0": '"0.000227273" "0.000227273"',
        "spacing": "&quot;0.000226891&quot; &quot;0.000226907&quot;",
    }  # fmt: skip
    return PHILIPS.format(**(usual | given))


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

OME = """<?xml version="1.0" encoding="UTF-8"?><!-- a comment --><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Microscope Manufacturer="{maker}" Model="x"/>
<Objective ID="Objective:0" NominalMagnification="1.25"/><Objective ID="Objective:1" NominalMagnification="20.0"/></Instrument>
<Image ID="Image:0" Name="Doe, Jane"><ObjectiveSettings ID="Objective:1"/><Pixels ID="Pixels:0" SizeX="2220" SizeY="2967" {size}/></Image>
<Image ID="Image:1" Name="macro"><ObjectiveSettings ID="Objective:0"/><Pixels ID="Pixels:1" SizeX="1280" SizeY="431" PhysicalSizeX="16" PhysicalSizeY="16"/></Image>
</OME>"""


def ome(size: str, maker: str = "Carl Zeiss") -> str:
    return OME.format(size=size, maker=maker)


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

ISCAN = '<iScan Magnification="40" ScanRes="0.25" Z-layers="1" Barcode1D="S12-345" ScanWhitePoint="235"/>'


@pytest.mark.parametrize("xmp", [ISCAN, f"<?xml version='1.0' encoding='utf-16'?>\n<Metadata>{ISCAN}</Metadata>\0\0"])
def test_ventana_facts_come_from_label_image_packet(xmp: str) -> None:
    label = replace(IFD, xmp=xmp, description="Label Image", width_px=1008, height_px=3008)
    found = facts(before=label, xmp="<EncodeInfo Ver='2'/>", description="level=0 mag=40 quality=95")
    assert found == SlideFacts(mpp_x=0.25, mpp_y=0.25, magnification=40.0, vendor="Ventana")


def test_metadata_without_scan_gives_no_facts() -> None:
    assert facts(xmp="<Metadata><Other ScanRes='0.25'/></Metadata>") == SlideFacts()


LEICA = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:1b2c">
  <collection name="Collection" sizeX="26564529" sizeY="76734363" barcode="Doe^Jane"><barcode>TUFSNDA=</barcode>
    <image name="macro"><pixels sizeX="1616" sizeY="4668"><dimension sizeX="1616" sizeY="4668" r="0" ifd="0"/></pixels>
      <view sizeX="26564529" sizeY="76734363" offsetX="0" offsetY="0"/>
      <scanSettings><objectiveSettings><objective>0.6</objective></objectiveSettings></scanSettings></image>
    <image name="image_01"><creationDate>2012-03-01T10:00:00.00Z</creationDate>
      <pixels sizeY="2967" sizeX="2220"><dimension ifd="1" r="0" sizeX="2220" sizeY="2967"/><dimension sizeX="555" sizeY="742" r="1"/></pixels>
      <view offsetX="10" offsetY="9" sizeX="1110000" sizeY="1483500"/>
      <scanSettings><objectiveSettings><objective>20</objective></objectiveSettings></scanSettings></image>
  </collection>
</scn>"""


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


# -- Trestle, Hamamatsu, and what programs write

CM_40X = {"x_resolution": 40_000.0, "y_resolution": 40_000.0, "resolution_unit": 3}


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


VIPS = """<?xml version="1.0"?><image xmlns="http://www.vips.ecs.soton.ac.uk//dzsave" date="2024-05-06T07:08:09Z" version="8.18.0"><properties>
<property><name>aperio.User</name><value type="VipsRefString">Doe</value></property>
<property><name>openslide.level[0].width</name><value type="VipsRefString">{width}</value></property>
<property><name>openslide.level[0].height</name><value type="VipsRefString">2967</value></property>
<property><name>openslide.mpp-x</name><value type="VipsRefString">0.499</value></property>
<property><name>openslide.mpp-y</name><value type="VipsRefString">0.498</value></property>
<property><name>openslide.objective-power</name><value type="VipsRefString">20</value></property>
<property><name>openslide.vendor</name><value type="VipsRefString">{vendor}</value></property>
</properties></image>"""


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


# -- resolution tags


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
def test_vendor_is_from_a_fixed_list(fields: dict[str, str], vendor: str | None) -> None:
    assert facts(**fields).vendor == vendor


def test_file_without_metadata_has_no_facts() -> None:
    assert facts() == SlideFacts()
    assert slide_facts((), IFD, width_px=WIDTH_PX, height_px=HEIGHT_PX) == SlideFacts()


# -- colour profile


def icc(size_bytes: int, *, says: int | None = None, signature: bytes = b"acsp") -> bytes:
    header = (size_bytes if says is None else says).to_bytes(4, "big") + bytes(32) + signature
    return header + bytes(size_bytes - len(header))


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


# -- hostile texts


LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "0.5"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<OME><Image><Pixels PhysicalSizeX="&a;" PhysicalSizeY="&a;"/></Image></OME>'
)
MIB = 1024 * 1024


@pytest.mark.parametrize("head", ["", '<?xml version="1.0" encoding="utf-16"?>', "\ufeff\n", "<!-- -->"])
def test_xml_with_entities_is_not_read(head: str) -> None:
    assert facts(description=head + LAUGHS) == SlideFacts()


@pytest.mark.parametrize(
    "text",
    [
        "Aperio|MPP=" + " " * 4 * MIB, "Aperio" + "|MPP=a" * MIB, "Aperio|MPP=" + "1" * 4 * MIB, "<" * 4 * MIB,
        "<OME>" + "<a>" * MIB, "<OME>" + "<Image>" * MIB, "<OME>" + "<Image/>" * MIB, "<scn>" + "<image " * MIB,
        "<OME>" + "&lt;" * MIB, '<OME a="' + "x" * 4 * MIB, "<OME><!--" + "x" * 4 * MIB, "<a " * MIB, "<a>" * MIB,
        "<OME " + " ".join(f'a{number}="1"' for number in range(400_000)), "<OME><Pixels a='\ud800'/>", "ImageJ=" + "\n" * MIB,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_oversized_text_gives_no_facts(text: str) -> None:
    assert mpp(facts(description=text, xmp=text)) == (None, None)


def test_facts_beyond_parser_limits_are_not_read() -> None:
    answer = '<Image><Pixels PhysicalSizeX="0.5" PhysicalSizeY="0.5"/></Image></OME>'
    assert mpp(facts(description=f"<OME>{'<a/>' * 19_000}{answer}")) == (0.5, 0.5)
    assert mpp(facts(description=f"<OME>{'<a/>' * 21_000}{answer}")) == (None, None)
    assert mpp(facts(description=f"<OME>{'<a>' * 60}{answer}")) == (0.5, 0.5)
    assert mpp(facts(description=f"<OME>{'<a>' * 65}{answer}")) == (None, None)
    assert mpp(facts(description=f"<OME a='{'x' * 1_000}'>{answer}")) == (0.5, 0.5)
    assert mpp(facts(description=f"<OME a='{'x' * 300_000}'>{answer}")) == (None, None)
    assert mpp(facts(description=f"<OME>{' ' * 3 * MIB}{answer}")) == (0.5, 0.5)
    assert mpp(facts(description=f"<OME>{' ' * 4 * MIB}{answer}")) == (None, None)
    assert mpp(facts(description=aperio(" " * 60_000, "MPP = 0.5"))) == (0.5, 0.5)
    assert mpp(facts(description=aperio(" " * 70_000, "MPP = 0.5"))) == (None, None)


# -- what can identify a patient

SECRETS = ("Doe", "Jane", "S12-3456", "19620214", "1962-02-14", "TUFSNDA", "b414003d", "CPAPERIOCS", "Barcode", "MRN")
PATIENT = "Doe^Jane S12-3456 b. 19620214 / 1962-02-14 Barcode TUFSNDA= MRN b414003d CPAPERIOCS"


@pytest.mark.parametrize(
    "fields",
    [
        {"description": PATIENT}, {"description": APERIO + f"|Patient = {PATIENT}|MPP = {PATIENT}|AppMag = {PATIENT}"},
        {"description": philips(maker=PATIENT, macro=PATIENT, spacing=PATIENT, level_0=PATIENT, levels=PATIENT)},
        {"description": ome(f'Name="{PATIENT}" PhysicalSizeX="{PATIENT}" PhysicalSizeY="{PATIENT}"', maker=PATIENT)},
        {"description": LEICA.replace("20</obj", f"{PATIENT}</obj")}, {"xmp": ISCAN.replace("S12-345", PATIENT)},
        {"description": VIPS.format(width=PATIENT, vendor=PATIENT)}, {"make": PATIENT, "model": PATIENT, "software": PATIENT},
        {"make": f"Aperio {PATIENT}", "software": f"MedScan {PATIENT}", "icc_profile": icc(200) + PATIENT.encode()},
    ],
)  # fmt: skip
def test_no_text_of_the_file_is_copied(fields: dict[str, Any]) -> None:
    found = facts(**fields)
    assert found.vendor is None or found.vendor in VENDORS.values()
    shown = repr(found)
    assert not [secret for secret in SECRETS if secret in shown]


# -- whatever comes

WORDS = st.sampled_from([
    "Aperio ", "|", "MPP", "AppMag", "=", " = ", "0.499", "1e400", "-1", "nan", "->", "\r\n", "ImageJ=", "unit=um", ";", "<", ">", "/>", "</",
    '"', "&quot;", "&#181;", "<OME>", "<Image>", "<Pixels ", 'PhysicalSizeX="0.5" ', 'PhysicalSizeY="0.25" ', "<iScan ", 'ScanRes="0.25"',
    'Magnification="40"', "<scn>", "<image>", "<view ", 'sizeX="2220" ', 'sizeY="2967" ', "<pixels ", "<objective>", "<Metadata>",
    '<DataObject ObjectType="DPUfsImport">', '<Attribute Name="DICOM_PIXEL_SPACING">', "</Attribute>", "<!DOCTYPE a [", "<property>",
    "<name>", "openslide.mpp-x", "</name>", "<value>", "</value>", "\0", "\ufeff", "\ud800", "Objective Power=10",
])  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=30).map("".join))
MANGLED = st.tuples(
    st.sampled_from([APERIO, philips(), ome('PhysicalSizeX="0.5" PhysicalSizeY="0.5"'), LEICA, ISCAN]),
    st.integers(0, 4000),
    TEXTS,
).map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :])
NUMBERS = st.none() | st.floats() | st.floats(min_value=0.01, max_value=200_000)
IFDS = st.builds(
    lambda **fields: replace(IFD, **fields),
    description=TEXTS | MANGLED, xmp=TEXTS | MANGLED, make=TEXTS | st.sampled_from(sorted(VENDORS)), model=TEXTS,
    software=TEXTS | st.just("MedScan"), x_resolution=NUMBERS, y_resolution=NUMBERS, resolution_unit=st.integers(0, 4),
    ndpi_magnification=NUMBERS, is_ndpi=st.booleans(), icc_profile=st.binary(max_size=200) | st.builds(icc, st.integers(40, 200)),
    width_px=st.integers(0, 3000), height_px=st.integers(0, 3000),
)  # fmt: skip


@given(ifds=st.lists(IFDS, max_size=3), base=IFDS, width_px=st.integers(0, 10**9), height_px=st.integers(0, 10**9))
def test_facts_are_always_sane_or_none(ifds: list[Ifd], base: Ifd, width_px: int, height_px: int) -> None:
    found = slide_facts(ifds, base, width_px=width_px, height_px=height_px)
    assert (found.mpp_x is None) == (found.mpp_y is None)
    assert all(each is None or 0.01 <= each <= 100 for each in mpp(found))
    assert found.magnification is None or 0.1 <= found.magnification <= 400
    assert found.vendor is None or found.vendor in VENDORS.values()
    assert found.icc_profile == b"" or found.icc_profile[36:40] == b"acsp"


@given(value=st.floats(min_value=0.0101, max_value=99), places=st.integers(5, 12))
def test_sane_spacing_survives_round_trip(value: float, places: int) -> None:
    assert facts(description=aperio(f"MPP = {value:.{places}f}")).mpp_x == float(f"{value:.{places}f}")
    assert facts(description=aperio(f"MPP = {value:.{places}e}")).mpp_x == float(f"{value:.{places}e}")
