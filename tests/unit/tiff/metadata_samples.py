"""Descriptions as scanners and programs write them."""

from array import array
from dataclasses import replace
from typing import Any

from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.facts import SlideFacts, slide_facts

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
    """Return the facts of a file whose base has these fields and follows the image `before`, if given."""
    base = replace(IFD, **fields)
    return slide_facts((before or base, base), base, width_px=WIDTH_PX, height_px=HEIGHT_PX)


def mpp(found: SlideFacts) -> tuple[float | None, float | None]:
    return found.mpp_x, found.mpp_y


def aperio(*fields: str, size: str = "2220x2967 (240x240) JPEG/RGB Q=30") -> str:
    return "|".join((f"Aperio Image Library v11.2.1 \r\n{size}", *fields))


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


OME = """<?xml version="1.0" encoding="UTF-8"?><!-- a comment --><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Microscope Manufacturer="{maker}" Model="x"/>
<Objective ID="Objective:0" NominalMagnification="1.25"/><Objective ID="Objective:1" NominalMagnification="20.0"/></Instrument>
<Image ID="Image:0" Name="Doe, Jane"><ObjectiveSettings ID="Objective:1"/><Pixels ID="Pixels:0" SizeX="2220" SizeY="2967" {size}/></Image>
<Image ID="Image:1" Name="macro"><ObjectiveSettings ID="Objective:0"/><Pixels ID="Pixels:1" SizeX="1280" SizeY="431" PhysicalSizeX="16" PhysicalSizeY="16"/></Image>
</OME>"""


def ome(size: str, maker: str = "Carl Zeiss") -> str:
    return OME.format(size=size, maker=maker)


ISCAN = '<iScan Magnification="40" ScanRes="0.25" Z-layers="1" Barcode1D="S12-345" ScanWhitePoint="235"/>'
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


CM_40X: dict[str, Any] = {"x_resolution": 40_000.0, "y_resolution": 40_000.0, "resolution_unit": 3}
VIPS = """<?xml version="1.0"?><image xmlns="http://www.vips.ecs.soton.ac.uk//dzsave" date="2024-05-06T07:08:09Z" version="8.18.0"><properties>
<property><name>aperio.User</name><value type="VipsRefString">Doe</value></property>
<property><name>openslide.level[0].width</name><value type="VipsRefString">{width}</value></property>
<property><name>openslide.level[0].height</name><value type="VipsRefString">2967</value></property>
<property><name>openslide.mpp-x</name><value type="VipsRefString">0.499</value></property>
<property><name>openslide.mpp-y</name><value type="VipsRefString">0.498</value></property>
<property><name>openslide.objective-power</name><value type="VipsRefString">20</value></property>
<property><name>openslide.vendor</name><value type="VipsRefString">{vendor}</value></property>
</properties></image>"""


def icc(size_bytes: int, *, says: int | None = None, signature: bytes = b"acsp") -> bytes:
    header = (size_bytes if says is None else says).to_bytes(4, "big") + bytes(32) + signature
    return header + bytes(size_bytes - len(header))
