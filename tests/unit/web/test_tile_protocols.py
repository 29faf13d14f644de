"""Three protocols that number the tiles of one pyramid. The tests repeat the computations of DZI and IIIF readers."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import ceil, log2
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.geometry import level_count, tile_address
from chalicelib.core.web.tile_protocols import (
    NoSuchTileError,
    PyramidShape,
    TileRequest,
    dzi_document,
    dzi_last_level,
    dzi_tile,
    iiif_document,
    iiif_tile,
    slidehook_tile,
)

TILE = bytes(range(12))


def shape_of(width_px: int, height_px: int, tile_size_px: int) -> PyramidShape:
    depth = level_count(width_px, height_px, tile_size_px)
    return PyramidShape(width_px=width_px, height_px=height_px, tile_size_px=tile_size_px, depth=depth, published=depth)


SCAN = shape_of(2220, 2967, 240)
BASE_ONLY = replace(SCAN, published=1)
ONE_TILE = shape_of(100, 30, 256)

SHAPES = st.builds(shape_of, st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 240, 256, 512]))


def dzi_levels(width: int, height: int) -> list[tuple[int, int]]:
    """Return the sizes of the levels of a DZI in order, as readers compute them: halved, rounded up, down to 1 x 1."""
    sizes = [(width, height)]
    while sizes[-1] != (1, 1):
        width, height = ceil(width / 2), ceil(height / 2)
        sizes.append((width, height))
    return sizes[::-1]


@given(SHAPES)
def test_dzi_reader_finds_every_tile_with_its_size(shape: PyramidShape) -> None:
    levels = dzi_levels(shape.width_px, shape.height_px)
    assert dzi_last_level(shape) == len(levels) - 1 == ceil(log2(max(shape.width_px, shape.height_px)))
    side = shape.tile_size_px
    for number, (width, height) in enumerate(levels):
        columns, rows = ceil(width / side), ceil(height / side)
        for column, row in ((0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1)):
            request = dzi_tile(shape, str(number), f"{column}_{row}.jpg")
            expected = min(side, width - column * side), min(side, height - row * side)
            assert (request.width_px, request.height_px) == expected
            assert request.whole == (expected == (side, side))
            below_root = len(levels) - 1 - number - (shape.depth - 1)
            assert request.halvings == max(0, below_root)
            if below_root <= 0:
                assert tile_address(request.name, levels=shape.depth) == (len(levels) - 1 - number, column, row)
        for beyond in (f"{columns}_0.jpg", f"0_{rows}.jpg"):
            with pytest.raises(NoSuchTileError):
                dzi_tile(shape, str(number), beyond)
    with pytest.raises(NoSuchTileError, match=f"there is no level {len(levels)}"):
        dzi_tile(shape, str(len(levels)), "0_0.jpg")


@given(SHAPES)
def test_iiif_reader_finds_every_tile_with_its_size(shape: PyramidShape) -> None:
    info = json.loads(json.dumps(iiif_document(shape, "https://here/iiif/slide")))
    side = info["tiles"][0]["width"]
    assert info["tiles"][0]["height"] == side
    for factor in info["tiles"][0]["scaleFactors"]:
        columns, rows = ceil(info["width"] / (side * factor)), ceil(info["height"] / (side * factor))
        for n, m in ((0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1)):
            # Image API 3.0, 8: "Image tiles".
            x, y = n * side * factor, m * side * factor
            w, h = min(side * factor, info["width"] - x), min(side * factor, info["height"] - y)
            ws, hs = (w + factor - 1) // factor, (h + factor - 1) // factor
            request = iiif_tile(shape, f"{x},{y},{w},{h}", f"{ws},{hs}")
            assert (request.width_px, request.height_px, request.halvings) == (ws, hs, 0)
            level, column, row = tile_address(request.name, levels=shape.depth)
            # At the edge, requests for a single pixel may be equal at two levels. The finer level is returned.
            assert level == factor.bit_length() - 1 or ws == 1 or hs == 1
            assert (column << level, row << level) == (n * factor, m * factor)
            if (w, h) == (info["width"], info["height"]):
                assert iiif_tile(shape, "full", f"{ws},{hs}") == request
    for size in info["sizes"]:
        request = iiif_tile(shape, "full", f"{size['width']},{size['height']}")
        assert (request.width_px, request.height_px) == (size["width"], size["height"])
    largest = info["sizes"][-1]
    assert iiif_tile(shape, "full", "max") == iiif_tile(shape, "full", f"{largest['width']},{largest['height']}")


@given(SHAPES)
def test_slidehook_tiles_are_whole(shape: PyramidShape) -> None:
    for level in range(shape.depth):
        grid = shape.grid(level)
        request = slidehook_tile(shape, str(level), f"{grid.columns - 1}_{grid.rows - 1}.jpg")
        assert (request.whole, request.halvings) == (True, 0)
        assert tile_address(request.name, levels=shape.depth) == (level, grid.columns - 1, grid.rows - 1)


def test_dzi_document_describes_the_real_scan() -> None:
    found = ET.fromstring(dzi_document(SCAN, 'https://here/slides/"&_files/'))
    assert found.tag == "{http://schemas.microsoft.com/deepzoom/2008}Image"
    assert found.attrib == {
        "Format": "jpg", "Overlap": "0", "TileSize": "240", "Url": 'https://here/slides/"&_files/',
    }  # fmt: skip
    assert [(child.tag.partition("}")[2], child.attrib) for child in found] == [
        ("Size", {"Width": "2220", "Height": "2967"})
    ]


def test_iiif_document_describes_the_real_scan() -> None:
    assert iiif_document(SCAN, "https://here/iiif/slide") == {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": "https://here/iiif/slide",
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level0",
        "width": 2220,
        "height": 2967,
        "sizes": [{"width": 35, "height": 47}, {"width": 70, "height": 93}, {"width": 139, "height": 186}],
        "tiles": [{"width": 240, "height": 240, "scaleFactors": [1, 2, 4, 8, 16]}],
    }


def test_base_only_slide_has_tiles_and_no_iiif_sizes() -> None:
    info = iiif_document(BASE_ONLY, "https://here/iiif/slide")
    assert (info["sizes"], info["tiles"]) == ([], [{"width": 240, "height": 240, "scaleFactors": [1]}])
    assert iiif_tile(BASE_ONLY, "0,0,240,240", "240,240") == iiif_tile(SCAN, "0,0,240,240", "max")
    assert dzi_tile(BASE_ONLY, "12", "0_0.jpg").whole
    with pytest.raises(NoSuchTileError, match="1 of 5 levels were published"):
        dzi_document(BASE_ONLY, "")
    requests: list[Callable[[], object]] = [
        lambda: iiif_tile(BASE_ONLY, "full", "139,186"),
        lambda: iiif_tile(BASE_ONLY, "full", "max"),
        lambda: dzi_tile(BASE_ONLY, "11", "0_0.jpg"),
        lambda: dzi_tile(BASE_ONLY, "0", "0_0.jpg"),
        lambda: slidehook_tile(BASE_ONLY, "1", "0_0.jpg"),
    ]
    for request in requests:
        with pytest.raises(NoSuchTileError):
            request()


def test_slide_of_one_tile_has_one_tile_in_each_protocol() -> None:
    request = TileRequest(name="t.jpg", width_px=100, height_px=30, whole=False)
    assert dzi_tile(ONE_TILE, "7", "0_0.jpg") == request
    assert iiif_tile(ONE_TILE, "full", "max") == iiif_tile(ONE_TILE, "0,0,100,30", "100,30") == request
    assert iiif_document(ONE_TILE, "")["sizes"] == [{"width": 50, "height": 15}, {"width": 100, "height": 30}]


@pytest.mark.parametrize(
    ("region", "size"),
    [
        ("square", "max"), ("pct:0,0,50,50", "max"), ("0,0,240", "max"), ("-1,0,240,240", "max"), ("", ""),
        ("0,0,240,240", "240,"), ("0,0,240,240", ",240"), ("0,0,240,240", "!240,240"), ("0,0,240,240", "^max"),
        ("0,0,240,240", "120,120"), ("1,0,240,240", "240,240"), ("0,0,241,240", "241,240"),
        ("0,0,480,480", "480,480"), ("00,0,240,240", "240,240"), ("2160,2880,240,240", "240,240"),
        ("2220,0,0,240", "0,240"), ("2400,0,240,240", "240,240"), ("full", "2220,2967"), ("full", "18,24"), ("full", "555,742"),
    ],
)  # fmt: skip
def test_iiif_request_outside_the_document_is_refused(region: str, size: str) -> None:
    with pytest.raises(NoSuchTileError):
        iiif_tile(SCAN, region, size)


def test_iiif_accepts_encoded_commas() -> None:
    assert iiif_tile(SCAN, "240%2C0%2C240%2C240", "240%2c240") == iiif_tile(SCAN, "240,0,240,240", "240,240")


@pytest.mark.parametrize(
    ("level", "place"),
    [("12", "0_0.png"), ("12", "00_0.jpg"), ("012", "0_0.jpg"), ("-1", "0_0.jpg"), ("12", "0-0.jpg"), ("x", "0_0.jpg"),
     ("12", "0_0.jpg\n"), ("12", "9999999999_0.jpg"), ("\u0661", "0_0.jpg")],
)  # fmt: skip
def test_tile_path_has_exactly_one_spelling(level: str, place: str) -> None:
    for number in (dzi_tile, slidehook_tile):
        with pytest.raises(NoSuchTileError):
            number(SCAN, level, place)


def test_tile_without_a_name_in_shallow_image_is_refused() -> None:
    shallow = replace(SCAN, depth=2, published=2)
    with pytest.raises(NoSuchTileError, match=r"no tile \(9, 12\) at level 0 of 2"):
        slidehook_tile(shallow, "0", "9_12.jpg")


def test_etag_is_recognised_only_for_its_tile_request() -> None:
    whole, cut = TileRequest(name="trts.jpg"), TileRequest(name="trts.jpg", width_px=60, height_px=87, whole=False)
    assert whole.tag(TILE) == '"trts.000102030405060708090a0b"'
    assert cut.tag(TILE) == '"trts.000102030405060708090a0b.60x87"'
    for request in (whole, cut):
        assert request.tiles_of(request.tag(TILE)) == [TILE]
        assert request.tiles_of(f'"other", W/{request.tag(TILE)}') == [TILE]
    assert whole.tiles_of(cut.tag(TILE)) == cut.tiles_of(whole.tag(TILE)) == []
    assert TileRequest(name="trtt.jpg").tiles_of(whole.tag(TILE)) == []
    assert whole.tiles_of('"trts.xyz"') == whole.tiles_of("*") == whole.tiles_of("") == []
