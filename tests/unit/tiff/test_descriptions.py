"""Names of images in the descriptions of known writers."""

from array import array
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.descriptions import (
    ANY_LEVEL,
    associated_names,
    described_levels,
    describes_thumbnail,
    lists_every_image,
    pads_levels,
)

IFD = Ifd(
    index=0, width_px=1280, height_px=431, is_tiled=True, tile_width_px=256, tile_height_px=256, compression=7,
    photometric=6, samples=3, bits=8, planar=1, subfile_type=0, description="", subsampling=(2, 2), jpeg_tables=b"",
    offsets=array("Q"), byte_counts=array("Q"),
)  # fmt: skip


def named(*described: str | dict[str, Any]) -> dict[int, tuple[str, bool]]:
    """Return the names of images with these descriptions or fields."""
    fields = [{"description": each} if isinstance(each, str) else each for each in described]
    ifds = [replace(IFD, index=index, **each) for index, each in enumerate(fields)]
    return {index: (name.value, name.is_certain) for index, name in associated_names(ifds).items()}


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("Aperio Image Library v11.2.1 \r\nlabel 387x463", "label"),
        ("Aperio Image Library v11.2.1 \nmacro 1280x431", "macro"),
        ("Aperio Image Library v11.2.1 \rmacro 1280x431", "macro"),
        ("Aperio Image Library v11.2.1 \r\nLABEL 387X463\r\n\r\n", "label"),
        ("Aperio Image Library v11.2.1 \r\nmacro|AppMag = 20|MPP = 0.25", "macro"),
        ("Aperio Image Library\r\nlabel 387x463\r\nsomething else", "label"),
        ("Label", "label"), ("Macro", "macro"), ("Label Image", "label"), ("Label_Image", "label"),
        ("LABELIMAGE", "label"), ("MACROIMAGE", "macro"), ("SlideLabelImage", "label"), ("slide_label", "label"),
        ("slide thumbnail", "thumbnail"), ("Thumbnail", "thumbnail"), ("thumb", "thumbnail"), ("overview", "macro"),
        ("Slide preview", "macro"), ("Slide barcode", "label"), ("\ufeff label", "label"), ("label\0", "label"),
    ],
)  # fmt: skip
def test_description_that_is_a_name_is_certain(description: str, name: str) -> None:
    assert named(description) == {0: (name, True)}


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("Label-free SRS microscopy", "label"), ("Zeiss macro scanner, 20x", "macro"),
        ("ImageJ=1.53\nimages=1\nunit=um\nmin=0\nmy label", "label"), ("The label of case 7", "label"),
        ("label2", "label"), ("MyMacro of a glass", "macro"),
    ],
)  # fmt: skip
def test_name_among_other_words_is_uncertain(description: str, name: str) -> None:
    assert named(description) == {0: (name, False)}


@pytest.mark.parametrize(
    "description",
    [
        "", "CD68 macrophages", "labelled antibodies", "unlabeled", "macroscopic view",
        "Aperio Image Library v11.2.1 \r\n46000x32914 [0,0 2220x2967] (240x240) JPEG/RGB Q=30|AppMag = 20|Title = label",
        "level=0 mag=40 quality=90",
    ],
)  # fmt: skip
def test_similar_words_are_not_names(description: str) -> None:
    assert named(description) == {}


def test_certain_name_replaces_an_uncertain_one() -> None:
    assert named("the label of a macro\nmacro") == {0: ("macro", True)}


def test_tags_name_the_macro_and_the_map_of_a_scanner() -> None:
    assert named({"subfile_type": 9}) == {0: ("macro", True)}
    assert named({"ndpi_magnification": -1.0}, {"ndpi_magnification": 20.0}) == {0: ("macro", True)}
    assert named({"ndpi_magnification": -2.0}, "Probability_Image") == {0: ("map", True), 1: ("map", True)}


def philips(*types: str) -> str:
    attribute = '<Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">{}</Attribute>'
    return f'<?xml version="1.0"?>\n<DataObject ObjectType="x">{"".join(map(attribute.format, types))}</DataObject>'


def test_philips_type_names_an_image_unless_the_scan_is_listed_with_it() -> None:
    assert named(philips("WSI", "LABELIMAGE", "MACROIMAGE")) == {}
    assert named(philips("WSI"), philips("LABELIMAGE"), philips("MacroImage")) == {
        1: ("label", True),
        2: ("macro", True),
    }


def test_perkinelmer_type_names_an_image() -> None:
    types = ("FullResolution", "Thumbnail", "ReducedResolution", "Overview", "Label")
    found = named(*(f"<?xml version='1.0'?>\n<X>\n<ImageType>{each}</ImageType>\n</X>" for each in types))
    assert found == {1: ("thumbnail", True), 3: ("macro", True), 4: ("label", True)}


def test_label_of_an_aperio_gt450_has_no_description() -> None:
    base = "Aperio Leica Biosystems GT450 v1.0.1 \n1200x900 [0,0,1200x900] (256x256) JPEG/YCC Q=91"
    label = {"is_tiled": False, "subfile_type": 1}
    assert named(base, label) == {1: ("label", True)}
    assert named(base, label | {"description": base}) == {}
    assert named(base, label | {"subfile_type": 0}) == {}
    assert named("", label) == {}


# -- lists in the first description -----------------------------------------------------------------------------------


def ome(*images: str, uuid: str = "") -> str:
    return f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{uuid}>{"".join(images)}</OME>'


def ome_image(name: str, data: str, size: tuple[int, int] = (9, 9)) -> str:
    return f'<Image Name="{name}"><Pixels SizeX="{size[0]}" SizeY="{size[1]}">{data}</Pixels></Image>'


def test_ome_names_count_the_main_chain_and_their_planes() -> None:
    text = ome(
        ome_image("slide.svs", '<TiffData IFD="0"/>'),
        ome_image("label image", '<TiffData IFD="1"/>'),
        ome_image("macro image", '<TiffData IFD="2" PlaneCount="2"/><TiffData IFD="7" PlaneCount="1e9"/>'),
    )
    child = {"parent": 0, "width_px": 640}
    found = named(text, child, {}, {}, {}, {})
    assert found == {2: ("label", True), 3: ("macro", True), 4: ("macro", True)}


def test_ome_name_without_position_belongs_to_images_of_its_size() -> None:
    text = ome(ome_image("a", "<TiffData/>"), ome_image("Label", "<TiffData/>", (387, 463)))
    assert named(text, {"width_px": 387, "height_px": 463}) == {1: ("label", True)}
    other = ome(ome_image("a", "<TiffData/>", (387, 463)), ome_image("Label", "<TiffData/>", (387, 463)))
    assert named(other, {"width_px": 387, "height_px": 463}) == {}


def test_ome_positions_in_other_files_are_ignored() -> None:
    data = '<TiffData IFD="0"><UUID FileName="{0}.tif">urn:uuid:{0}</UUID></TiffData>'
    images = (ome_image("a", data.format("one")), ome_image("label image", data.format("two")))
    assert named(ome(*images, uuid=' UUID="urn:uuid:one"')) == {}
    assert named(ome(*images, uuid=' UUID="urn:uuid:two"')) == {0: ("label", True)}
    assert named(ome(*images)) == {0: ("label", True)}


def leica(*views: str) -> str:
    images = "".join(
        f'<image><pixels><dimension ifd="{2 * number}"/><dimension ifd="{2 * number + 1}"/></pixels><view {view}/></image>'
        for number, view in enumerate(views)
    )
    return f'<scn><collection sizeX="100" sizeY="300">{images}</collection></scn>'


WHOLE, REGION = 'sizeX="100" sizeY="300" offsetX="0" offsetY="0"', 'sizeX="20" sizeY="20" offsetX="5" offsetY="0"'


def test_leica_macro_is_the_image_of_the_whole_glass() -> None:
    assert named(leica(WHOLE, REGION), {}, {}, {}) == {0: ("macro", True), 1: ("macro", True)}
    assert named(leica(REGION, WHOLE), {}, {}, {}) == {2: ("macro", True), 3: ("macro", True)}
    assert named(leica(WHOLE), {}) == {}
    assert named(leica(REGION, REGION), {}, {}, {}) == {}


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "levels"),
    [
        ("Aperio Image Library v11\r\n46000x32914 [0,0 46000x32914] (256x256) -> 1280x431 JPEG/RGB Q=30", ANY_LEVEL),
        ("Aperio Image Library v11\r\n46000x32914 [0,0 46000x32914] (256x256) JPEG Q=30 -> 1280x431|A = 1", ANY_LEVEL),
        ("Aperio Image Library v11\r\n46000x32914 [0,0 46000x32914] (256x256) -> 1281x431 JPEG/RGB Q=30", range(0)),
        ("Aperio Image Library v11\r\n46000x32914 -> 1280x431 - |AppMag = 20", range(0)),
        ("Aperio Image Library v11\r\n46000x32914 -> 1280x431 - ;Aperio\r\n1x1 (256x256) JPEG", range(0)),
        ("x (256x256) -> 1280x431", range(0)),
        ("level=2 mag=10 quality=80", range(2, 3)), ("level=12 mag=1", range(12, 13)), ("level=0 mag=40", range(0)),
        ("at level=2", range(0)), ("level=two", range(0)),
        ("<x><ImageType>ReducedResolution</ImageType></x>", ANY_LEVEL),
        ("<x><ImageType>FullResolution</ImageType></x>", range(0)),
        ("", range(0)),
    ],
)  # fmt: skip
def test_only_words_of_known_writers_describe_a_level(description: str, levels: range) -> None:
    assert list(described_levels(replace(IFD, description=description))) == list(levels)


def test_aperio_thumbnail_is_described_by_its_own_size() -> None:
    words = "Aperio Image Library v11\n2220x2967 -> 1280x431 - ;Aperio Image Library v10"
    assert describes_thumbnail(replace(IFD, description=words))
    assert not describes_thumbnail(replace(IFD, description=words, width_px=1279))
    assert not describes_thumbnail(IFD)


def test_ome_and_philips_are_recognised_as_writers() -> None:
    assert lists_every_image([replace(IFD, description=ome()), IFD])
    assert not lists_every_image([IFD, replace(IFD, description=ome())])
    assert not lists_every_image([])
    assert pads_levels([IFD, replace(IFD, software="Philips DP v1.0")])
    assert pads_levels([replace(IFD, description='<DataObject ObjectType="DPUfsImport">')])
    assert not pads_levels([IFD])


def test_long_descriptions_are_searched_in_bounded_time() -> None:
    """Repeating patterns must not be tried at each position of a long text."""
    for words in ("(1x1)", '"PIM_DP_IMAGE_TYPE"', "1x1 ", "label ", "<ImageType>", "\n ", "aA"):
        text = "Aperio " + words * (4_000_000 // len(words))
        described_levels(replace(IFD, description=text))
        describes_thumbnail(replace(IFD, description=text))
        named(text)
