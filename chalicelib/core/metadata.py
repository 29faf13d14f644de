"""What a slide's file says beside its pixels: spacing, magnification, vendor, colour profile.

Only numbers and a vendor's name from a fixed list are taken. Descriptions hold names, dates, barcodes and whole label
images; no text of a file ever leaves this module. What is missing, absurd or contradictory is None: no slide is
refused for it.

Sources: Aperio's "Digital Slides and Third-Party Data Interchange" (MPP in micrometres, AppMag), Philips' TIFF with
DICOM attributes in XML (PixelSpacing 0028,0030 in millimetres), OME-XML (PhysicalSizeX with its unit, micrometres by
default), Ventana's iScan XML (ScanRes in micrometres), Leica's SCN XML (view sizes in nanometres), TIFF 6.0 (resolution
tags in dots per inch or centimetre), ICC.1 (profile header).
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.core.tiff import Ifd

# From electron to lens-less microscopes: nothing that is called a slide scanner lies outside. Screens and printers do:
# 72 dots an inch are 353 micrometres.
MIN_MPP, MAX_MPP = 0.01, 20.0
MAX_MAGNIFICATION = 400.0
# The two directions of a scanner's stage differ by less.
MAX_ANISOTROPY = 4.0
MAX_ICC_BYTES = 1024 * 1024
ICC_SIGNATURE = slice(36, 40)
MICROMETRES = {
    "pm": 1e-6, "Å": 1e-4, "nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6,
}  # fmt: skip
INCH, CENTIMETRE = 2, 3
PER_UNIT = {INCH: 25_400.0, CENTIMETRE: 10_000.0}
# What is searched of a text: attributes stand at its beginning, and Philips' goes on for megabytes of label image.
SEARCHED = 512 * 1024
NUMBER = r"\s*\"?\s*([0-9]{1,9}(?:\.[0-9]{0,18})?(?:[eE][+-]?[0-9]{1,3})?)"

Pair = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFacts:
    """`mpp_x`, `mpp_y` are micrometres per pixel of the base level, `magnification` is the objective's power, `vendor`
    one of a fixed list of names. `icc_profile` is empty if there is none."""

    mpp_x: float | None = None
    mpp_y: float | None = None
    magnification: float | None = None
    vendor: str | None = None
    icc_profile: bytes = b""


def slide_facts(ifds: Sequence[Ifd], base: Ifd, *, width_px: int, height_px: int) -> SlideFacts:
    """Return what the images of a file tell of its slide, whose base has `width_px` x `height_px`. Never raises."""
    text = (base.description or ifds[0].description)[:SEARCHED]
    every = "\n".join(each[:SEARCHED] for each in (ifds[0].description, ifds[0].xmp, base.xmp, text))
    vendor = _vendor(every, base)
    reader = READERS.get(vendor or "", _nothing)
    mpp, magnification = reader(every, base, (width_px, height_px))
    if None in _sane(mpp):
        mpp = _of_ome(every)
    if None in _sane(mpp):
        mpp = _of_resolution(base)
    x, y = _sane(mpp)
    return SlideFacts(
        mpp_x=x,
        mpp_y=y,
        magnification=_within(magnification, 0.1, MAX_MAGNIFICATION) or _ome_magnification(every),
        vendor=vendor,
        icc_profile=_icc(base.icc_profile or ifds[0].icc_profile),
    )


# -- vendors ---------------------------------------------------------------------------------------------------------

MARKS: tuple[tuple[str, str], ...] = (
    ("Aperio", r"\AAperio"),
    ("Philips", r"PIM_DP_|Philips|PHILIPS"),
    ("Ventana", r"<iScan\b"),
    ("Leica", r"<scn\b|leica-microsystems\.com/scn"),
    ("Trestle", r"\AMedScan|Objective Power="),
    ("3DHISTECH", r"3DHISTECH|3DHistech"),
    ("Hamamatsu", r"\AHamamatsu"),
    ("Olympus", r"Olympus"),
)


def _vendor(text: str, base: Ifd) -> str | None:
    if base.is_ndpi or base.make.startswith("Hamamatsu"):
        return "Hamamatsu"
    named = f"{base.make}\n{base.model}\n{base.software}"[:4096]
    return next((name for name, mark in MARKS if re.search(mark, text) or re.search(mark, named)), None)


def _nothing(_text: str, _base: Ifd, _size_px: tuple[int, int]) -> tuple[Pair, float | None]:
    return (None, None), None


def _of_aperio(text: str, _base: Ifd, _size_px: tuple[int, int]) -> tuple[Pair, float | None]:
    mpp = _number(rf"\|\s*MPP\s*={NUMBER}", text)
    return (mpp, mpp), _number(rf"\|\s*AppMag\s*={NUMBER}", text)


def _of_philips(text: str, _base: Ifd, _size_px: tuple[int, int]) -> tuple[Pair, float | None]:
    """DICOM's pixel spacing is (between rows, between columns): y first."""
    found = re.search(
        r"DICOM_PIXEL_SPACING\"[^>]{0,200}>\s*(?:&quot;|\")\s*([0-9.eE+-]{1,24})\s*(?:&quot;|\")\s*(?:&quot;|\")"
        r"\s*([0-9.eE+-]{1,24})",
        text,
    )
    if found is None:
        return (None, None), None
    y, x = _float(found[1]), _float(found[2])
    return (x * 1e3 if x else None, y * 1e3 if y else None), _number(rf"OBJECTIVE_POWER\"[^>]{{0,200}}>{NUMBER}", text)


def _of_ventana(text: str, _base: Ifd, _size_px: tuple[int, int]) -> tuple[Pair, float | None]:
    mpp = _number(rf"\bScanRes\s*={NUMBER}", text)
    return (mpp, mpp), _number(rf"\bMagnification\s*={NUMBER}", text)


def _of_leica(text: str, _base: Ifd, size_px: tuple[int, int]) -> tuple[Pair, float | None]:
    """The view that belongs to the base: its image lists pixels of that size beside a size in nanometres."""
    for image in re.findall(r"<image\b.{0,20000}?</image>", text, re.DOTALL)[:16]:
        pixels = re.search(r"<pixels\b[^>]{0,400}?sizeX=\"(\d{1,9})\"[^>]{0,400}?sizeY=\"(\d{1,9})\"", image)
        view = re.search(r"<view\b[^>]{0,400}?sizeX=\"(\d{1,12})\"[^>]{0,400}?sizeY=\"(\d{1,12})\"", image)
        if pixels and view and (int(pixels[1]), int(pixels[2])) == size_px:
            mpp = int(view[1]) / size_px[0] / 1e3, int(view[2]) / size_px[1] / 1e3
            return mpp, _number(rf"<objective>{NUMBER}", image)
    return (None, None), None


def _of_hamamatsu(_text: str, base: Ifd, _size_px: tuple[int, int]) -> tuple[Pair, float | None]:
    return _of_resolution(base), base.ndpi_magnification


def _of_trestle(text: str, _base: Ifd, _size_px: tuple[int, int]) -> tuple[Pair, float | None]:
    return (None, None), _number(rf"Objective Power\s*={NUMBER}", text)


READERS: dict[str, Callable[[str, Ifd, tuple[int, int]], tuple[Pair, float | None]]] = {
    "Aperio": _of_aperio,
    "Hamamatsu": _of_hamamatsu,
    "Leica": _of_leica,
    "Philips": _of_philips,
    "Trestle": _of_trestle,
    "Ventana": _of_ventana,
}


# -- what all have in common -----------------------------------------------------------------------------------------


def _of_ome(text: str) -> Pair:
    pixels = re.search(r"<(?:OME:)?Pixels\b[^>]{0,4000}>", text)
    if pixels is None:
        return None, None

    def size(axis: str) -> float | None:
        value = _number(rf"\bPhysicalSize{axis}={NUMBER}", pixels[0])
        unit = re.search(rf"\bPhysicalSize{axis}Unit=\"([^\"]{{1,16}})\"", pixels[0])
        factor = MICROMETRES.get(unit[1]) if unit else 1.0
        return value * factor if value is not None and factor is not None else None

    return size("X"), size("Y")


def _ome_magnification(text: str) -> float | None:
    return _within(_number(rf"\bNominalMagnification={NUMBER}", text), 0.1, MAX_MAGNIFICATION)


def _of_resolution(ifd: Ifd) -> Pair:
    """TIFF's resolution, where it has a unit. Those of printers and screens lie outside what is sane."""
    length = PER_UNIT.get(ifd.resolution_unit)

    def spacing(dots: float | None) -> float | None:
        return length / dots if length and dots and dots > 0 else None

    return spacing(ifd.x_resolution), spacing(ifd.y_resolution)


def _sane(mpp: Pair) -> Pair:
    x, y = (_within(each, MIN_MPP, MAX_MPP) for each in mpp)
    if x is None or y is None or not 1 / MAX_ANISOTROPY <= x / y <= MAX_ANISOTROPY:
        return None, None
    return x, y


def _within(value: float | None, least: float, most: float) -> float | None:
    return value if value is not None and math.isfinite(value) and least <= value <= most else None


def _number(pattern: str, text: str) -> float | None:
    found = re.search(pattern, text)
    return _float(found[1]) if found else None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _icc(profile: bytes) -> bytes:
    """Return a colour profile if it is one: its header says how long it is, and bears the signature."""
    sized = int.from_bytes(profile[:4], "big") == len(profile) <= MAX_ICC_BYTES
    return profile if sized and profile[ICC_SIGNATURE] == b"acsp" else b""
