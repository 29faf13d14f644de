"""The metadata of a slide file: spacing, magnification, vendor, ICC profile.

Only numbers and a vendor's name from a fixed list are taken. Descriptions hold names, dates, barcodes and whole label
images; no text of a file ever leaves this module. What is missing, absurd or contradictory is None: no slide is
refused for it.

A file has several places that may speak: the descriptions and XMP packets of its base and of its first image, then the
tags. Each is a source. For each fact the first source that says something sane is believed; if it contradicts itself,
the fact is None, and no weaker source decides instead. The meaning of a source is documented where it is read, with the
document that says so.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.xml import TEXT_CHARACTERS, Element, numbers, read_xml

# Micrometres per pixel. Electron microscopes come down to the lower end, macro cameras up to the higher one.
MIN_MPP, MAX_MPP = 0.01, 100.0
# The resolution tags are filled in by every program that writes a picture: 72, 96, 300, 600 or 1200 dots an inch are
# 353, 265, 85, 42 and 21 micrometres, and say nothing of the slide. Scanners reach 10 with their weakest objective.
MAX_TAGGED_MPP = 20.0
MIN_MAGNIFICATION, MAX_MAGNIFICATION = 0.1, 400.0
# The two directions of a scanner's stage differ by less.
MAX_ANISOTROPY = 4.0
# Philips gives the spacing of the scan and that of the largest level, which are rounded apart by a few per mille. The
# levels of a pyramid are apart by a factor of two.
AGREEMENT = 1.05

MIN_ICC_BYTES = 132  # the header and the count of its tags
MAX_ICC_BYTES = 4 * 1024 * 1024
ICC_SIGNATURE = slice(36, 40)

NOT_A_UNIT, INCH, CENTIMETRE = 1, 2, 3
PER_UNIT = {INCH: 25_400.0, CENTIMETRE: 10_000.0}
MICROMETRES = {
    "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, r"\u00B5m": 1.0, "micron": 1.0, "microns": 1.0,
    "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "in": 25_400.0, "inch": 25_400.0,
}  # fmt: skip

# How a name begins that a file gives for the maker of scanner or software, and whom it means.
VENDORS = {
    "3dhistech": "3DHISTECH", "mirax": "3DHISTECH", "akoya": "Akoya", "aperio": "Aperio", "grundium": "Grundium",
    "hamamatsu": "Hamamatsu", "huron": "Huron", "leica": "Leica", "medscan": "Trestle", "motic": "Motic",
    "nikon": "Nikon", "olympus": "Olympus", "perkinelmer": "PerkinElmer", "philips": "Philips", "roche": "Ventana",
    "sakura": "Sakura", "trestle": "Trestle", "ventana": "Ventana", "carl zeiss": "Zeiss", "zeiss": "Zeiss",
}  # fmt: skip

REPEATS = 8  # of a field that count when it is asked whether the file contradicts itself
FIELDS_CHARACTERS = 64 * 1024  # descriptions of fields and lines are a few kilobytes at most


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFacts:
    """`mpp_x`, `mpp_y` are micrometres per pixel of the base level, either both known or both None. `magnification` is
    the power of the objective, `vendor` one of the names in VENDORS. `icc_profile` is empty if there is none."""

    mpp_x: float | None = None
    mpp_y: float | None = None
    magnification: float | None = None
    vendor: str | None = None
    icc_profile: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What one source says: every value it gives, in micrometres per pixel, believable or not."""

    vendor: str | None = None
    mpp_x: tuple[float, ...] = ()
    mpp_y: tuple[float, ...] = ()
    magnification: tuple[float, ...] = ()


Size = tuple[int, int]
NOTHING = _Said()


def slide_facts(ifds: Sequence[Ifd], base: Ifd, *, width_px: int, height_px: int) -> SlideFacts:
    """Return the metadata of a slide, whose base has `width_px` x `height_px`. Never raises.

    The size may be smaller than that of `base`, whose columns and rows can be padding in part. Only the base's own
    colour profile counts: a file's first image can be that of a label camera, whose colours are others.
    """
    first = ifds[0] if ifds else base
    texts = dict.fromkeys((base.description, first.description, base.xmp, first.xmp))
    sizes = ((width_px, height_px), (base.width_px, base.height_px))
    sources = [_of_text(text, base, sizes) for text in texts] + [_of_tags(base), _Said(vendor=_maker(base, first))]
    mpp_x, mpp_y = _spacing(sources)
    return SlideFacts(
        mpp_x=mpp_x,
        mpp_y=mpp_y,
        magnification=_agreed((each.magnification for each in sources), MIN_MAGNIFICATION, MAX_MAGNIFICATION),
        vendor=next((each.vendor for each in sources if each.vendor), None),
        icc_profile=_icc(base.icc_profile),
    )


# -- which values are believed ---------------------------------------------------------------------------------------


def _spacing(sources: Iterable[_Said]) -> tuple[float | None, float | None]:
    for each in sources:
        if _sane(each.mpp_x, MIN_MPP, MAX_MPP) and _sane(each.mpp_y, MIN_MPP, MAX_MPP):
            x, y = _agreed((each.mpp_x,), MIN_MPP, MAX_MPP), _agreed((each.mpp_y,), MIN_MPP, MAX_MPP)
            alike = x and y and 1 / MAX_ANISOTROPY <= x / y <= MAX_ANISOTROPY
            return (x, y) if alike else (None, None)
    return None, None


def _agreed(said: Iterable[tuple[float, ...]], least: float, most: float) -> float | None:
    """Return the first value of the first source that gives a sane one, None if that source contradicts itself."""
    values = next((sane for each in said if (sane := _sane(each, least, most))), None)
    return values[0] if values and max(values) <= min(values) * AGREEMENT else None


def _sane(values: tuple[float, ...], least: float, most: float) -> tuple[float, ...]:
    """Leave out what is out of range; NaN is, since no comparison with it is true."""
    return tuple(each for each in values if least <= each <= most)


def _scaled(values: Iterable[float], factor: float) -> tuple[float, ...]:
    return tuple(each * factor for each in values)


def _vendor(name: str | None) -> str | None:
    begun = (name or "")[:TEXT_CHARACTERS].strip().casefold()
    return next((vendor for start, vendor in VENDORS.items() if begun.startswith(start)), None)


def _maker(base: Ifd, first: Ifd) -> str | None:
    """Return who is named in the tags Make and Software (TIFF 6.0, section 8)."""
    names = (base.make, first.make, base.software, first.software)
    known = next((vendor for each in names if (vendor := _vendor(each))), None)
    return "Hamamatsu" if base.is_ndpi or first.is_ndpi else known


def _icc(profile: bytes) -> bytes:
    """Return a colour profile if it is one: its header says how long it is, and bears the signature (ICC.1:2022, 7.2).
    Bytes behind its end are no part of it."""
    size_bytes = int.from_bytes(profile[:4], "big")
    fits = MIN_ICC_BYTES <= size_bytes <= min(len(profile), MAX_ICC_BYTES)
    return profile[:size_bytes] if fits and profile[ICC_SIGNATURE] == b"acsp" else b""


# -- tags, and texts of fields or lines ------------------------------------------------------------------------------


def _of_tags(base: Ifd) -> _Said:
    """The resolution tags, in pixels per inch or centimetre (TIFF 6.0, section 8: 282, 283, 296), and NDPI's tag 65421,
    which is negative for macro and map images (openslide.org/formats/hamamatsu)."""
    length = PER_UNIT.get(base.resolution_unit, 0.0)
    return _Said(
        mpp_x=_sane(_inverse(length, base.x_resolution), MIN_MPP, MAX_TAGGED_MPP),
        mpp_y=_sane(_inverse(length, base.y_resolution), MIN_MPP, MAX_TAGGED_MPP),
        magnification=() if base.ndpi_magnification is None else (base.ndpi_magnification,),
    )


def _inverse(length: float, pixels: float | None) -> tuple[float, ...]:
    return (length / pixels,) if pixels is not None and pixels > 0 else ()


def _of_text(text: str, base: Ifd, sizes: tuple[Size, Size]) -> _Said:
    text = text.lstrip("\ufeff\0 \t\r\n")
    if text.startswith("<"):
        return _of_xml(text, sizes)
    text = text[:FIELDS_CHARACTERS]
    if text.startswith("Aperio"):
        return _of_aperio(text)
    if text.startswith("ImageJ="):
        return _of_imagej(text, base)
    return _of_trestle(text, base) if base.software.startswith("MedScan") else NOTHING


def _fields(text: str, separator: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return what stands behind each name of `name = value|name = value`, or of such lines."""
    found: dict[str, tuple[str, ...]] = {}
    for each in text.split(separator) if separator else text.splitlines():
        name, _, value = each.partition("=")
        found[name.strip()] = (*found.get(name.strip(), ())[:REPEATS], value)
    return found


def _of_aperio(text: str) -> _Said:
    """MPP in micrometres per pixel, AppMag (Aperio, "Digital Slides and Third-Party Data Interchange").

    Aperio's library repeats these words unchanged in images that it scales down, and marks them by an arrow before the
    new size ("46000x32914 -> 11500x8228"). If the base is such an image, they speak of another one.
    """
    fields = _fields(text, "|")
    if "->" in text.partition("|")[0]:
        return _Said(vendor="Aperio")
    mpp = numbers(*fields.get("MPP", ()))
    return _Said(vendor="Aperio", mpp_x=mpp, mpp_y=mpp, magnification=numbers(*fields.get("AppMag", ())))


def _of_imagej(text: str, base: Ifd) -> _Said:
    """The resolution tags without a unit, which a line of the description gives (ImageJ, ij.io.TiffDecoder)."""
    factor = MICROMETRES.get(_fields(text).get("unit", ("",))[0].strip())
    if base.resolution_unit != NOT_A_UNIT or factor is None:
        return NOTHING
    return _Said(mpp_x=_inverse(factor, base.x_resolution), mpp_y=_inverse(factor, base.y_resolution))


def _of_trestle(text: str, base: Ifd) -> _Said:
    """Objective Power, and the resolution tags, which hold micrometres per pixel (openslide.org/formats/trestle)."""
    return _Said(
        vendor="Trestle",
        mpp_x=() if base.x_resolution is None else (base.x_resolution,),
        mpp_y=() if base.y_resolution is None else (base.y_resolution,),
        magnification=numbers(*_fields(text, ";").get("Objective Power", ())),
    )


# -- texts in XML ----------------------------------------------------------------------------------------------------


def _of_xml(text: str, sizes: tuple[Size, Size]) -> _Said:
    root = read_xml(text)
    reader = XML_READERS.get(root.name) if root else None
    return reader(root, sizes) if root and reader else NOTHING


def _of_philips(root: Element, _sizes: tuple[Size, Size]) -> _Said:
    """DICOM's attributes of the scan, and of representation 0 of it, which is the largest level
    (openslide.org/formats/philips)."""
    if root.attributes.get("ObjectType") != "DPUfsImport":
        return NOTHING
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    magnification: tuple[float, ...] = ()
    manufacturer = None
    for each in (root, *root.below("DataObject")):
        values = _philips_attributes(each)
        if values.get("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", "0") != "0" or values.get(IMAGE_TYPE, WHOLE) != WHOLE:
            continue
        row_to_row, column_to_column = _philips_spacing(values.get("DICOM_PIXEL_SPACING", ""))
        x, y = x + column_to_column, y + row_to_row
        magnification += _philips_power(values.get("DICOM_DERIVATION_DESCRIPTION", ""))
        manufacturer = manufacturer or _vendor(values.get("DICOM_MANUFACTURER"))
    return _Said(vendor=manufacturer or "Philips", mpp_x=x, mpp_y=y, magnification=magnification)


IMAGE_TYPE, WHOLE = "PIM_DP_IMAGE_TYPE", "WSI"


def _philips_attributes(of: Element) -> dict[str, str]:
    return {each.attributes.get("Name", ""): each.text.strip() for each in of.children if each.name == "Attribute"}


def _philips_spacing(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the distances from row to row (y) and from column to column (x) in micrometres. DICOM's Pixel Spacing
    (0028,0030) gives them in that order and in millimetres; here each stands in quotes."""
    words = text.replace('"', " ").replace("\\", " ").split()
    found = _scaled(numbers(*words), MICROMETRES["mm"]) if len(words) == 2 else ()
    return (found[:1], found[1:]) if len(found) == 2 else ((), ())


def _philips_power(derivation: str) -> tuple[float, ...]:
    """The first of the numbers behind "levels=" is the power of the objective, or else a number above 10 000."""
    settings = derivation.partition("sourceFilename")[0].split("-")
    return numbers(*(each[7:].partition(",")[0] for each in settings if each.startswith("levels=")))


def _of_leica(root: Element, sizes: tuple[Size, Size]) -> _Said:
    """Of each image the size of the view in nanometres, and the sizes of its levels in pixels
    (openslide.org/formats/leica). The one that has the base's size is the scan, others are macro images."""
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    magnification: tuple[float, ...] = ()
    for image in root.below("image"):
        levels = {each.numbers("sizeX", "sizeY") for name in ("pixels", "dimension") for each in image.below(name)}
        for width_px, height_px in [size for size in sizes if size in levels and min(size) > 0][:1]:
            views = list(image.below("view"))
            x += tuple(nm / width_px * MICROMETRES["nm"] for each in views for nm in each.numbers("sizeX"))
            y += tuple(nm / height_px * MICROMETRES["nm"] for each in views for nm in each.numbers("sizeY"))
            magnification += numbers(*(each.text for each in image.below("objective")))
    return _Said(vendor="Leica", mpp_x=x, mpp_y=y, magnification=magnification)


def _of_ome(root: Element, sizes: tuple[Size, Size]) -> _Said:
    """PhysicalSizeX and -Y of the images that have the base's size, in micrometres unless a unit is given, and the
    objective that their settings name (OME schema 2016-06: Pixels, ObjectiveSettings, Objective)."""
    images = [
        (image, pixels)
        for image in root.below("Image")
        for pixels in image.below("Pixels")
        if (pixels.numbers("SizeX", "SizeY") or sizes[0]) in sizes
    ]
    used = {each.attributes.get("ID") for image, _ in images for each in image.below("ObjectiveSettings")}
    objectives = [each for each in root.below("Objective") if not used or each.attributes.get("ID") in used]
    makers = (*root.below("Microscope"), *objectives)
    return _Said(
        vendor=next((vendor for each in makers if (vendor := _vendor(each.attributes.get("Manufacturer")))), None),
        mpp_x=tuple(mpp for _, pixels in images for mpp in _ome_size(pixels, "PhysicalSizeX")),
        mpp_y=tuple(mpp for _, pixels in images for mpp in _ome_size(pixels, "PhysicalSizeY")),
        magnification=tuple(power for each in objectives for power in each.numbers("NominalMagnification")),
    )


def _ome_size(pixels: Element, name: str) -> tuple[float, ...]:
    factor = MICROMETRES.get(pixels.attributes.get(f"{name}Unit", "µm").strip())
    return () if factor is None else _scaled(pixels.numbers(name), factor)


def _of_ventana(root: Element, _sizes: tuple[Size, Size]) -> _Said:
    """ScanRes in micrometres per pixel, Magnification (Roche, "BIF whole slide image file format"); iScan is the root
    of the XMP packet, or stands in one called Metadata."""
    scans = [each for each in (root, *root.below("iScan")) if each.name == "iScan"]
    mpp = tuple(value for each in scans for value in each.numbers("ScanRes"))
    magnification = tuple(value for each in scans for value in each.numbers("Magnification"))
    return _Said(vendor="Ventana" if scans else None, mpp_x=mpp, mpp_y=mpp, magnification=magnification)


def _of_vips(root: Element, sizes: tuple[Size, Size]) -> _Said:
    """What OpenSlide said of the slide that libvips wrote this one from (`tiffsave --properties`; openslide.org/api,
    standard properties). Spacing and power are those of its level 0, and say nothing of a picture that was shrunk."""
    said: dict[str, str] = {}
    for each in root.below("property"):
        said |= {name.text.strip(): value.text for name in each.below("name") for value in each.below("value")}
    vendor = _vendor(said.get("openslide.vendor"))
    size = numbers(said.get("openslide.level[0].width"), said.get("openslide.level[0].height"))
    if size and size not in sizes:
        return _Said(vendor=vendor)
    return _Said(
        vendor=vendor,
        mpp_x=numbers(said.get("openslide.mpp-x")),
        mpp_y=numbers(said.get("openslide.mpp-y")),
        magnification=numbers(said.get("openslide.objective-power")),
    )


def _of_perkinelmer(root: Element, _sizes: tuple[Size, Size]) -> _Said:
    """The objective, as in "20x"; the spacing stands in the resolution tags (PerkinElmer, "QPTIFF file format")."""
    return _Said(vendor="PerkinElmer", magnification=numbers(*(each.text for each in root.below("Objective"))))


XML_READERS: dict[str, Callable[[Element, tuple[Size, Size]], _Said]] = {
    "DataObject": _of_philips,
    "Metadata": _of_ventana,
    "OME": _of_ome,
    "PerkinElmer-QPI-ImageDescription": _of_perkinelmer,
    "iScan": _of_ventana,
    "image": _of_vips,
    "scn": _of_leica,
}
