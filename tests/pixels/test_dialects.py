"""Whole levels put together from what a reader of each dialect asks for by its own arithmetic, and held to the source.

Sizes, columns and rows are computed here as those readers do: DZI halves and rounds up down to one pixel; IIIF takes
them from info.json (Image API 3.0, chapter 8); ours has them in the slide's description. Both sides are decoded by one
decoder, so that what is copied, or cut without loss, must be the same to the bit. Where colour is stored coarser than
brightness, the last column and row of a level may differ by what a decoder interpolates there.
"""

import io
import json
from collections.abc import Callable, Iterator
from math import ceil
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tifffile
from chalice.test import Client
from PIL import Image

from tests.pixels.measures import difference, luma, psnr
from tests.pixels.stored import halved
from tests.pixels.test_kinds import PASSTHROUGH, Published, by_imagecodecs, cut_to
from tests.scan import real_scan
from tests.slides import Pixels, Slide, write
from tests.world import TOKEN

SETTINGS = (
    "SLIDEHOOK_INCOMING_BUCKET", "SLIDEHOOK_WORK_BUCKET", "SLIDEHOOK_JOBS_TABLE", "SLIDEHOOK_JOBS_QUEUE",
    "SLIDEHOOK_CHUNKS_QUEUE", "SLIDEHOOK_MONGO_URI",
)  # fmt: skip
DZI = "{http://schemas.microsoft.com/deepzoom/2008}"
# What interpolation of coarse colour may change at a cut. Seen: up to 30, in a level whose every pixel has a colour of
# its own. Brightness stays.
CUT, CUT_LUMA = 40, 2

SLIDES: dict[str, Callable[[], bytes]] = {
    # A real scan, RGB in tiles of 240; four of its five levels are made.
    "scan": lambda: real_scan().read_bytes(),
    # Stored levels are rounded down at every halving: each lacks the last column and row that readers count.
    "rounded down": lambda: write(Slide(width_px=1003, height_px=717, levels=(0, 1, 2), floor=True, tile_size_px=64)),
    "512": lambda: write(Slide(width_px=1300, height_px=1025, levels=(0, 1), tile_size_px=512, colour="ycbcr444")),
    "coarse colour": lambda: write(Slide(width_px=501, height_px=243, tile_size_px=128)),
    "grey": lambda: write(Slide(width_px=300, height_px=513, tile_size_px=256, colour="grey")),
    "one tile": lambda: write(Slide(width_px=101, height_px=30, tile_size_px=256, colour="rgb")),
    "whole tiles": lambda: write(Slide(width_px=512, height_px=256, tile_size_px=256, colour="rgb")),
}
COARSE = {"rounded down", "coarse colour"}  # and whatever is made


class Reader:
    """A published slide behind the app's doors."""

    def __init__(self, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in SETTINGS:
            monkeypatch.setenv(name, "unused")
        import app

        self.published = Published(data)
        monkeypatch.setattr(app, "services", self.published.world)
        self._app = app.app
        assert self.published.job.published is not None
        self.view = self.published.job.published.view

    def get(self, path: str) -> tuple[int, bytes]:
        with Client(self._app) as client:
            answer = client.http.get(path, headers={"Host": "slides.example", "Authorization": f"Bearer {TOKEN}"})
        return answer.status_code, answer.body

    def tile(self, path: str) -> Pixels:
        status, body = self.get(path)
        assert status == 200, path
        return by_imagecodecs(body)

    def joined(self, size: tuple[int, int], side: int, path: Callable[[int, int, int, int], str]) -> Pixels:
        """Return a level of `size` put together; `path` is asked with column, row, and the width and height that a
        tile there must have."""
        width, height = size
        canvas = np.zeros((height, width, 3), np.uint8)
        for row in range(ceil(height / side)):
            for column in range(ceil(width / side)):
                expected = min(side, width - column * side), min(side, height - row * side)
                pixels = self.tile(path(column, row, *expected))
                assert pixels.shape[1::-1] == expected, (column, row)
                canvas[row * side : row * side + expected[1], column * side : column * side + expected[0]] = pixels
        return canvas


@pytest.fixture(params=SLIDES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def reader(name: str, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(SLIDES[name](), monkeypatch)


def hold(found: Pixels, truth: Pixels, *, coarse: bool) -> None:
    """Hold a level to the truth: to the bit, but for the rim where colour is coarse."""
    off = difference(found, truth)
    assert off[:-1, :-1].max(initial=0) == 0
    assert off.max() <= (CUT if coarse else 0)
    # Y of RGB that was clipped is not Y: what is near black or white is left out.
    unclipped = (np.minimum(found, truth).min(2) > 2) & (np.maximum(found, truth).max(2) < 253)
    assert np.abs(luma(found) - luma(truth))[unclipped].max(initial=0) < CUT_LUMA


def hold_to_source(reader: Reader, name: str, number: int, found: Pixels) -> None:
    """Hold a level to what is stored of it, and, if it was copied, to the file as tifffile reads it."""
    coarse = name in COARSE or reader.published.method[number] != PASSTHROUGH
    hold(found, reader.published.level(number), coarse=coarse)
    if reader.published.method[number] == PASSTHROUGH:
        truth = source_level(SLIDES[name](), number)
        hold(cut_to(found, truth), cut_to(truth, found), coarse=coarse)


def source_level(data: bytes, number: int) -> Pixels:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tiled = [page for page in file.pages if page.is_tiled]
        pixels = tiled[number].asarray()
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


def test_levels_from_dzi_have_the_pixels_of_the_source(reader: Reader, name: str) -> None:
    root = ET.fromstring(reader.get(f"/slides/{reader.view}.dzi")[1])
    found_size = root.find(f"{DZI}Size")
    assert found_size is not None
    size, side = (int(found_size.attrib["Width"]), int(found_size.attrib["Height"])), int(root.attrib["TileSize"])
    tiles = root.attrib["Url"].removeprefix("http://slides.example")
    sizes = list(dzi_sizes(*size))
    depth = reader.published.job.depth
    levels = [
        reader.joined(each, side, lambda x, y, _w, _h, level=level: f"{tiles}{level}/{x}_{y}.jpg")
        for level, each in zip(range(len(sizes) - 1, -1, -1), sizes, strict=True)
    ]
    for number in range(depth):
        hold_to_source(reader, name, number, levels[number])
    smallest = reader.published.level(depth - 1)
    for times, found in enumerate(levels[depth:], start=1):
        truth = halved(smallest, times)
        assert found.shape == truth.shape
        assert psnr(found, truth) > 24
    for level, (width, height) in zip(range(len(sizes) - 1, -1, -1), sizes, strict=True):
        for beyond in (f"{ceil(width / side)}_0", f"0_{ceil(height / side)}"):
            assert reader.get(f"{tiles}{level}/{beyond}.jpg")[0] == 404
    assert reader.get(f"{tiles}{len(sizes)}/0_0.jpg")[0] == 404


def dzi_sizes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Yield the size of each level of a DZI, the largest first."""
    yield width, height
    while (width, height) != (1, 1):
        width, height = ceil(width / 2), ceil(height / 2)
        yield width, height


def test_levels_from_iiif_have_the_pixels_of_the_source(reader: Reader, name: str) -> None:
    info = json.loads(reader.get(f"/iiif/{reader.view}/info.json")[1])
    width, height, side = info["width"], info["height"], info["tiles"][0]["width"]
    base = info["id"].removeprefix("http://slides.example")
    factors = info["tiles"][0]["scaleFactors"]
    assert len(factors) == reader.published.job.depth
    for number, factor in enumerate(factors):

        def path(n: int, m: int, ws: int, hs: int, factor: int = factor) -> str:
            x, y = n * side * factor, m * side * factor
            w, h = min(side * factor, width - x), min(side * factor, height - y)
            region = "full" if (w, h) == (width, height) else f"{x},{y},{w},{h}"
            size = "max" if (ws, hs) == (width, height) else f"{ws},{hs}"
            return f"{base}/{region}/{size}/0/default.jpg"

        hold_to_source(reader, name, number, reader.joined((ceil(width / factor), ceil(height / factor)), side, path))
    for each in info["sizes"]:
        pixels = reader.tile(f"{base}/full/{each['width']},{each['height']}/0/default.jpg")
        assert pixels.shape[1::-1] == (each["width"], each["height"])
    beyond = ceil(width / side) * side
    assert reader.get(f"{base}/{beyond},0,{side},{side}/{side},{side}/0/default.jpg")[0] == 400


def test_levels_from_our_own_tiles_are_those_that_are_stored(reader: Reader, name: str) -> None:
    """As OpenSeadragon draws them: of a whole tile the part that lies inside the level."""
    slide = json.loads(reader.get(f"/slides/{reader.view}")[1])
    side = slide["tile_size_px"]
    for level in slide["levels"]:
        canvas = np.zeros((level["rows"] * side, level["columns"] * side, 3), np.uint8)
        for row in range(level["rows"]):
            for column in range(level["columns"]):
                path = slide["tiles"].format(level=level["level"], column=column, row=row)
                canvas[row * side : (row + 1) * side, column * side : (column + 1) * side] = reader.tile(path)
        canvas = canvas[: level["height_px"], : level["width_px"]]
        assert np.array_equal(canvas, reader.published.level(level["level"]))
        if reader.published.method[level["level"]] == PASSTHROUGH:
            truth = source_level(SLIDES[name](), level["level"])
            assert np.array_equal(cut_to(canvas, truth), truth)


def test_a_browsers_decoder_sees_a_cut_tile_as_it_sees_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan's tiles are RGB, which only a marker tells: it must be there after the cut."""
    reader = Reader(SLIDES["scan"](), monkeypatch)
    _, whole = reader.get(f"/slides/{reader.view}/0/9_12.jpg")
    _, cut = reader.get(f"/slides/{reader.view}_files/12/9_12.jpg")
    seen = [np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in (whole, cut)]
    assert seen[1].shape == (87, 60, 3)
    assert np.array_equal(seen[0][:87, :60], seen[1])


def test_the_slide_that_is_rounded_down_lacks_what_readers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SLIDES["rounded down"]()
    reader = Reader(data, monkeypatch)
    assert reader.published.method[:3] == [PASSTHROUGH] * 3
    assert source_level(data, 2).shape[:2] == (179, 250)
    assert (reader.published.job.levels[2].height_px, reader.published.job.levels[2].width_px) == (180, 251)
