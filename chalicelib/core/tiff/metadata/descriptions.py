"""What the words of a TIFF say its images are: label, macro, thumbnail, or a level of the slide.

A label, or a photograph of the glass (macro), can show a patient's name. Two rules follow. A word that may be a name
excludes an image: associated images are recognised in any case and spelling, and in every place where a known writer
puts their names. A word proves a level only in the exact form that a known writer uses.

Sources: Aperio, "Digital Slides and Third-Party Data Interchange"; openslide.org/formats (aperio, hamamatsu, leica,
philips, ventana); OME schema 2016-06 (Image, TiffData); PerkinElmer, "QPTIFF file format" (ImageType).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.xml import Element, read_xml

LABEL, MACRO, THUMBNAIL = "label", "macro", "thumbnail"
# A map of where tissue is, of Ventana and Hamamatsu: neither a photograph nor the slide.
TISSUE_MAP = "map"
WORDS = {
    "label": LABEL, "barcode": LABEL, "macro": MACRO, "overview": MACRO, "preview": MACRO, "thumbnail": THUMBNAIL,
    "thumb": THUMBNAIL,
}  # fmt: skip

REDUCED_RESOLUTION = 1  # bits of NewSubfileType (TIFF 6.0, section 8)
APERIO_MACRO = 8  # Aperio's macro has type 9
NDPI_MACRO, NDPI_MAP = -1.0, -2.0  # values of tag 65421, where scans have the power of the objective

_NAME = (
    r"(?:(?:slide|glass|specimen)[ _-]*)?"
    r"(label|barcode|macro|overview|preview|thumbnail|thumb)s?"
    r"(?:[ _-]*(?:image|photograph|photo|picture))?"
)
# A line that is a name, alone or before its size or other fields: "label 387x463", "Label_Image", "macro|AppMag = 20".
_IS_NAME = re.compile(rf"\W*{_NAME}\W*?(?:$|[|;]|\d+\s*[x×*]\s*\d+)", re.IGNORECASE)
# A line that has a name among other words: "Specimen label of case 7", but also "Label-free microscopy".
_HAS_NAME = re.compile(rf"(?<![a-z]){_NAME}(?![a-z])", re.IGNORECASE)
_CAMEL_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LINE_BREAK = re.compile(r"[\r\n\0]+")
# A description can have 4 MiB, in each of 512 images: patterns are searched in a part of it, or have a fixed length.
START_CHARACTERS, FIRST_LINES, LINE_CHARACTERS, NAME_CHARACTERS = 2048, 3, 200, 40

_APERIO_SCALED = re.compile(r"\([0-9]{1,9}x[0-9]{1,9}\)[^|;\r\n]*->\s*([0-9]{1,9})x([0-9]{1,9})")
_APERIO_THUMBNAIL = re.compile(r"[0-9]{1,9}x[0-9]{1,9}\s*->\s*([0-9]{1,9})x([0-9]{1,9})\s*-")
_IMAGE_TYPE = re.compile(r"<ImageType>\s{0,20}([A-Za-z]{1,40})\s{0,20}</ImageType>")
_PHILIPS_TYPE = re.compile(r'"PIM_DP_IMAGE_TYPE"[^>]{0,200}>\s{0,20}([A-Za-z]{1,40})')
PHILIPS_TYPES = {"LABELIMAGE": LABEL, "MACROIMAGE": MACRO}
_LEVEL = re.compile(r"level=([0-9]{1,3})\b")


@dataclass(frozen=True, slots=True)
class ImageName:
    """The name of an associated image. `is_certain` is False if the word stands among others, where it can also belong
    to the description of a slide."""

    value: str
    is_certain: bool


def associated_names(ifds: Sequence[Ifd]) -> dict[int, ImageName]:
    """Return the name of each image that the file names label, macro, thumbnail or map of tissue, by IFD index.

    SubIFDs of a named image are not listed unless they have a name of their own.
    """
    first = ifds[0] if ifds else None
    names: dict[int, ImageName] = {}
    for index, name in _listed(ifds):
        _keep(names, index, name)
    for ifd in ifds:
        for name in _own(ifd):
            _keep(names, ifd.index, name)
        if first is not None and _is_unnamed_aperio_label(ifd, first):
            _keep(names, ifd.index, ImageName(LABEL, is_certain=True))
    return names


def _keep(names: dict[int, ImageName], index: int, name: ImageName) -> None:
    """Store a name unless the image has one; a certain name replaces an uncertain one."""
    known = names.get(index)
    if known is None or (name.is_certain and not known.is_certain):
        names[index] = name


def _own(ifd: Ifd) -> Iterator[ImageName]:
    """Yield the names that an image's own tags give it."""
    yield from _names_in(ifd.description)
    for word in _image_types(ifd):
        yield from _names_in(word)
    types = {word.upper() for word in _PHILIPS_TYPE.findall(ifd.description)}
    # The base of a Philips TIFF carries label and macro inside its XML.
    if "WSI" not in types:
        yield from (ImageName(name, is_certain=True) for word, name in PHILIPS_TYPES.items() if word in types)
    if ifd.description.strip() == "Probability_Image" or ifd.ndpi_magnification == NDPI_MAP:
        yield ImageName(TISSUE_MAP, is_certain=True)
    if ifd.subfile_type & APERIO_MACRO or ifd.ndpi_magnification == NDPI_MACRO:
        yield ImageName(MACRO, is_certain=True)


def _names_in(text: str) -> Iterator[ImageName]:
    """Yield the names that stand in the first lines or the last line of a text. Aperio writes them into the second."""
    first, last = (_lines(part) for part in (text[:START_CHARACTERS], text[-START_CHARACTERS:]))
    for line in dict.fromkeys((*first[:FIRST_LINES], *last[-1:])):
        spaced = _CAMEL_CASE.sub(" ", line[:LINE_CHARACTERS].strip())
        found = _IS_NAME.match(spaced)
        if found:
            yield ImageName(WORDS[found[1].lower()], is_certain=True)
            continue
        found = _HAS_NAME.search(spaced[:NAME_CHARACTERS])
        if found:
            yield ImageName(WORDS[found[1].lower()], is_certain=False)


def _lines(text: str) -> list[str]:
    return [line for line in _LINE_BREAK.split(text.replace("\ufeff", "")) if line.strip()]


def _image_types(ifd: Ifd) -> list[str]:
    """Return the ImageType of a PerkinElmer description."""
    return _IMAGE_TYPE.findall(ifd.description[:START_CHARACTERS])


def _xml(ifd: Ifd) -> Element | None:
    text = ifd.description.lstrip("\ufeff\0 \t\r\n")
    return read_xml(text) if text.startswith("<") else None


def _is_unnamed_aperio_label(ifd: Ifd, first: Ifd) -> bool:
    """Tell whether an image is the label of an Aperio GT 450, which has no description: strips, of reduced resolution
    (openslide issue 297)."""
    is_aperio = first.description.lstrip().startswith("Aperio")
    is_unnamed = not ifd.description.strip() and not ifd.is_tiled and ifd.parent is None
    return is_aperio and is_unnamed and ifd.subfile_type == REDUCED_RESOLUTION


# -- lists of images in the first description -------------------------------------------------------------------------


def _listed(ifds: Sequence[Ifd]) -> Iterator[tuple[int, ImageName]]:
    """Yield (IFD index, name) of the images that the XML of the first one names."""
    root = _xml(ifds[0]) if ifds else None
    chain = [ifd for ifd in ifds if ifd.parent is None]
    if root is not None and root.name == "OME":
        yield from _listed_by_ome(root, chain)
    if root is not None and root.name == "scn":
        yield from _listed_by_leica(root, chain)


def _listed_by_ome(root: Element, chain: Sequence[Ifd]) -> Iterator[tuple[int, ImageName]]:
    """OME-XML names each Image, and its TiffData count the main chain. Some writers leave those numbers out: images of
    the named size have the name as well, unless an image of that size is listed without a name."""
    images = [(image, list(_names_in(image.attributes.get("Name", "")))) for image in root.below("Image")]
    by_size: dict[tuple[float, ...], list[Ifd]] = {}
    for ifd in chain:
        by_size.setdefault((ifd.width_px, ifd.height_px), []).append(ifd)
    for size in (size for image, names in images if not names for size in _ome_sizes(image)):
        by_size.pop(size, None)
    for image, names in images:
        for name in names:
            for place in _ome_places(image, root.attributes.get("UUID", ""), len(chain)):
                yield chain[place].index, name
            for size in _ome_sizes(image):
                yield from ((ifd.index, name) for ifd in by_size.get(size, ()))


def _ome_sizes(image: Element) -> Iterator[tuple[float, ...]]:
    return (pixels.numbers("SizeX", "SizeY") for pixels in image.below("Pixels"))


def _ome_places(image: Element, own_uuid: str, count: int) -> Iterator[int]:
    """Yield the places below `count` in the main chain of the planes of an Image. TiffData of other files do not
    count."""
    for each in image.below("TiffData"):
        files = {uuid.text.strip() for uuid in each.below("UUID")}
        if not files or not own_uuid or own_uuid in files:
            for start in each.numbers("IFD"):
                planes = each.numbers("PlaneCount") or (1.0,)
                yield from range(max(0, int(start)), int(min(start + planes[0], count)))


def _listed_by_leica(root: Element, chain: Sequence[Ifd]) -> Iterator[tuple[int, ImageName]]:
    """A Leica SCN lists the IFDs of each image. The macro is the one whose view is the whole collection, the glass."""
    for collection in root.below("collection"):
        glass = (0.0, 0.0, *collection.numbers("sizeX", "sizeY"))
        images = list(collection.below("image"))
        macros = [each for each in images if glass in _leica_views(each)]
        for image in macros if len(macros) < len(images) else ():
            places = {number for each in image.below("dimension") for number in each.numbers("ifd")}
            for place, ifd in enumerate(chain):
                if place in places:
                    yield ifd.index, ImageName(MACRO, is_certain=True)


def _leica_views(image: Element) -> list[tuple[float, ...]]:
    return [view.numbers("offsetX", "offsetY", "sizeX", "sizeY") for view in image.below("view")]


# -- levels ------------------------------------------------------------------------------------------------------------


def described_levels(ifd: Ifd) -> range:
    """Return the levels of a slide that an image can be by its own description, empty if that does not call it one.

    Aperio writes the tile size, an arrow and the image's own size; Philips and Ventana write "level=2 mag=10";
    PerkinElmer writes the ImageType ReducedResolution.
    """
    text = ifd.description[:START_CHARACTERS].lstrip("\ufeff\0 \t\r\n")
    scaled = _APERIO_SCALED.search(text) if text.startswith("Aperio") else None
    if scaled is not None:
        return ANY_LEVEL if _size(scaled) == (ifd.width_px, ifd.height_px) else NO_LEVEL
    if _image_types(ifd) == ["ReducedResolution"]:
        return ANY_LEVEL
    numbered = _LEVEL.match(text)
    return range(max(1, int(numbered[1])), int(numbered[1]) + 1) if numbered is not None else NO_LEVEL


MAX_LEVEL = 24  # the largest slide that is accepted has one pixel there
ANY_LEVEL, NO_LEVEL = range(1, MAX_LEVEL + 1), range(0)


def describes_thumbnail(ifd: Ifd) -> bool:
    """Tell whether the description of an image is that of Aperio's thumbnail: the size of the scan, an arrow, and the
    image's own size."""
    found = _APERIO_THUMBNAIL.search(ifd.description[:START_CHARACTERS])
    return found is not None and _size(found) == (ifd.width_px, ifd.height_px)


def _size(found: re.Match[str]) -> tuple[int, int]:
    return int(found[1]), int(found[2])


def lists_every_image(ifds: Sequence[Ifd]) -> bool:
    """Tell whether the file is an OME-TIFF. Its levels are SubIFDs; each image of its main chain is a plane of its own
    (OME-TIFF specification, "Sub-resolutions")."""
    root = _xml(ifds[0]) if ifds else None
    return root is not None and root.name == "OME"


def pads_levels(ifds: Iterable[Ifd]) -> bool:
    """Tell whether the file is of Philips, which pads every level to whole tiles (openslide.org/formats/philips)."""
    return any(ifd.software.casefold().startswith("philips") or "DPUfsImport" in ifd.description for ifd in ifds)
