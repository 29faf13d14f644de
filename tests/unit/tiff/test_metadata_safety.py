"""Hostile texts give no facts, no text of a file is copied, and facts are sane for any input."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.tiff.directory import Ifd
from chalicelib.core.tiff.metadata.facts import VENDORS, SlideFacts, slide_facts
from tests.unit.tiff.metadata_samples import APERIO, IFD, ISCAN, LEICA, VIPS, aperio, facts, icc, mpp, ome, philips

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
