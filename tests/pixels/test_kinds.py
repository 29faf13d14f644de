"""Every kind of slide, every level, every pixel: held to tifffile, to OpenSlide where it opens the file, and to a box
filter where the service makes a level itself.

What is copied must be the same in every decoder, to the bit. All three here are libjpeg's arithmetic with its exact DCT
and its interpolation of colour, as in tifffile: a wrong colour space, a lost table or a marker that misleads one of them
differs by dozens, and by 1 is already too much. What is encoded anew is compared with what one JPEG of the stated
quality does to tifffile's own pixels: nothing else may be lost on the way, whatever the picture. That is sharper than a
number of dB, which hard edges at half the colour's resolution alone push down to 27.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openslide
import pytest
import simplejpeg
from PIL import Image

from chalicelib.core.geometry import tile_address, tile_name
from chalicelib.core.jobs.model import Job, State
from tests.pixels.kinds import ANEW, CROP, DOWNSAMPLED, KINDS, LETTERS, PASSTHROUGH, REFUSED, file_of, ycbcr
from tests.pixels.kinds import slide as slide_of
from tests.pixels.kinds import truths as read_by_tifffile
from tests.pixels.measures import bias, difference, luma, psnr, ssim
from tests.pixels.stored import box
from tests.slides import Pixels
from tests.world import World

QUALITY = 90
# Of a level encoded anew: so much worse than one encoding of tifffile's pixels. Seen: 0.00 to 0.02.
ANEW_LOSS_DB = 0.1
# Of a made level, against a box filter of the level it is made from. Where its decoder halves it, by the DCT, it is not
# quite a box. Seen in brightness: up to 0.2 dB; in all three colours up to 1.1 dB, SSIM from 0.976 (24 x 35 px).
MADE_LOSS_DB, MADE_LOSS_LUMA_DB, MADE_SSIM = 1.5, 0.5, 0.97
# Where colour is stored at half or a quarter of the resolution it is interpolated at another place when halved than
# tifffile does at full size. The picture's saturated edges show that: seen 6.5 dB of 39 (4:1:1), 2.6 of 40 (4:4:0).
MADE_LOSS_COARSE_COLOUR_DB = 7.0
# OpenSlide spreads the halved colours of JPEG 2000 over their pixels in a way of its own. Seen: 0.25 dB.
SPREAD_LOSS_DB = 0.3
# Rounding, on the average, of grey levels; a halving that always rounds up is at 0.37 after four of them.
BIAS = 0.3
WHITE = 250


def by_pillow(jpeg: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def by_simplejpeg(jpeg: bytes) -> Pixels:
    return np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=False, fastupsample=False))


def by_imagecodecs(jpeg: bytes) -> Pixels:
    """Decode as tifffile does."""
    found = imagecodecs.jpeg8_decode(jpeg)
    return found if found.ndim == 3 else np.repeat(found[..., None], 3, 2)


DECODERS: tuple[Callable[[bytes], Pixels], ...] = (by_pillow, by_simplejpeg, by_imagecodecs)


class Published:
    """A slide as readers see it."""

    def __init__(self, data: bytes, **options: object) -> None:
        self.world = World(chunk_bytes=200_000)
        self.world.put(data)
        self.job: Job = self.world.finish(self.world.submit(**options))
        assert (self.job.state, self.job.error) == (State.DONE, None)
        self.tiles = self.world.tiles(self.job)

    @property
    def method(self) -> list[str]:
        return [level.method for level in self.job.levels]

    def level(self, number: int, decode: Callable[[bytes], Pixels] = by_imagecodecs, fill: int = 0) -> Pixels:
        """Return a level joined from its tiles; places without one are of grey `fill`."""
        level, size = self.job.levels[number], self.job.tile_size_px
        canvas = np.full((level.rows * size, level.columns * size, 3), fill, np.uint8)
        for column, row, jpeg in self.places(number):
            canvas[row * size : (row + 1) * size, column * size : (column + 1) * size] = decode(jpeg)
        return canvas[: level.height_px, : level.width_px]

    def places(self, number: int) -> Iterator[tuple[int, int, bytes]]:
        for name, jpeg in self.tiles.items():
            level, column, row = tile_address(name, levels=self.job.depth)
            if level == number:
                yield column, row, jpeg

    def chroma(self) -> str:
        """Return how the tiles that are encoded here keep colour, from the sampling factors of one of them."""
        number = next(level.level for level in self.job.levels if level.method in (ANEW, DOWNSAMPLED))
        jpeg = next(jpeg for _, _, jpeg in self.places(number))
        width, height, _, chroma = simplejpeg.decode_jpeg_header(jpeg)
        assert width == height == self.job.tile_size_px
        return str(chroma)

    def reencoded(self, number: int, pixels: Pixels) -> Pixels:
        """Return what one encoding at the stated quality makes of a level's pixels."""
        level, size = self.job.levels[number], self.job.tile_size_px
        canvas = np.full((level.rows * size, level.columns * size, 3), 255, np.uint8)
        canvas[: level.height_px, : level.width_px] = pixels
        for top in range(0, canvas.shape[0], size):
            for left in range(0, canvas.shape[1], size):
                tile = np.ascontiguousarray(canvas[top : top + size, left : left + size])
                jpeg = simplejpeg.encode_jpeg(tile, QUALITY, "RGB", self.chroma(), fastdct=False)
                canvas[top : top + size, left : left + size] = by_imagecodecs(jpeg)
        return canvas[: level.height_px, : level.width_px]


def cut_to(pixels: Pixels, other: Pixels) -> Pixels:
    """Return pixels cut to what another image of a level has of it: some are padded, some rounded down."""
    return pixels[: other.shape[0], : other.shape[1]]


@lru_cache(maxsize=8)
def published(kind: str) -> Published:
    """Return the published slide of a kind, which several tests look at."""
    return Published(file_of(kind), **KINDS[kind].options)


def together(kinds: Iterable[str]) -> list[Any]:
    """Return parameters of which all tests of one kind run on the same worker: it publishes the slide once."""
    return [pytest.param(kind, marks=pytest.mark.xdist_group(f"kind {kind}")) for kind in kinds]


@pytest.fixture(params=together(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_level_comes_to_be_in_the_best_way_its_storage_allows(kind: str) -> None:
    found = published(kind)
    assert found.method == [LETTERS[letter] for letter in KINDS[kind].method]
    assert found.job.tiles_bad == 0
    for level in found.job.levels:
        size = found.job.tile_size_px
        assert level.columns == -(-level.width_px // size)
        places = {(column, row) for column, row, _ in found.places(level.level)}
        left_out = KINDS[kind].sparse.get(level.level, frozenset())
        assert places == {(x, y) for x in range(level.columns) for y in range(level.rows)} - left_out
        assert level.sparse == len(left_out)


def test_each_stored_level_has_the_pixels_that_tifffile_reads(kind: str) -> None:
    found = published(kind)
    truths = read_by_tifffile(kind)
    for number, truth in truths.items():
        level = found.job.levels[number]
        for column, row in KINDS[kind].sparse.get(number, ()):
            side = found.job.tile_size_px
            truth[row * side : (row + 1) * side, column * side : (column + 1) * side] = 0
        made = {PASSTHROUGH: hold_copied, CROP: hold_cut, ANEW: hold_anew}[level.method]
        made(found, number, truth, coarse_colour=KINDS[kind].coarse_colour)


def hold_copied(found: Published, number: int, truth: Pixels, *, coarse_colour: bool) -> None:
    for decode in DECODERS:
        pixels = found.level(number, decode)
        assert difference(cut_to(pixels, truth), cut_to(truth, pixels)).max() == 0, decode


def hold_cut(found: Published, number: int, truth: Pixels, *, coarse_colour: bool) -> None:
    """Cut tiles are exact, but for the colour of the pixels along a cut if colour is stored at half resolution: there
    a decoder interpolates it across the edge. Brightness is exact everywhere."""
    for decode in DECODERS:
        pixels = found.level(number, decode)
        off = difference(pixels, truth)
        if coarse_colour:
            side = found.job.tile_size_px
            inside = np.ones(side, bool)
            inside[[0, -1]] = False
            rows, columns = (inside[np.arange(length) % side] for length in off.shape)
            off = off[rows][:, columns]
        assert off.max() == 0, decode
    # Y of RGB that was clipped is not Y: what is near black or white is left out.
    ours, theirs = luma(found.level(number)), luma(truth)
    unclipped = (np.minimum(found.level(number), truth).min(2) > 2) & (
        np.maximum(found.level(number), truth).max(2) < 253
    )
    assert np.abs(ours - theirs)[unclipped].max() < 2


def hold_anew(found: Published, number: int, truth: Pixels, *, coarse_colour: bool) -> None:
    pixels = found.level(number)
    truth = cut_to(truth, pixels)
    assert pixels.shape == truth.shape
    assert psnr(pixels, truth) > psnr(found.reencoded(number, truth), truth) - ANEW_LOSS_DB
    assert bias(pixels, truth) < BIAS


def test_each_made_level_is_a_box_filter_of_the_next_finer_one(kind: str) -> None:
    found = published(kind)
    truths = read_by_tifffile(kind)
    truth = truths[0]
    for number, level in enumerate(found.job.levels):
        if level.method != DOWNSAMPLED:
            truth = truths[number][: level.height_px, : level.width_px]
            continue
        truth = box(truth)
        pixels = found.level(number)
        assert pixels.shape == truth.shape
        best = found.reencoded(number, truth)
        loss = MADE_LOSS_COARSE_COLOUR_DB if KINDS[kind].coarse_colour else MADE_LOSS_DB
        assert psnr(pixels, truth) > psnr(best, truth) - loss
        assert psnr(luma(pixels), luma(truth)) > psnr(luma(best), luma(truth)) - MADE_LOSS_LUMA_DB
        assert ssim(pixels, truth) > MADE_SSIM
        assert bias(pixels, truth) < BIAS


def test_what_is_encoded_here_is_white_beyond_the_slide(kind: str) -> None:
    found = published(kind)
    size = found.job.tile_size_px
    for level in (each for each in found.job.levels if each.method in (ANEW, DOWNSAMPLED)):
        for column, row, jpeg in found.places(level.level):
            # A JPEG's blocks ring, and colour reaches 16 px and, interpolated, one more.
            right = -(-min(size, level.width_px - column * size) // 16) * 16 + 1
            bottom = -(-min(size, level.height_px - row * size) // 16) * 16 + 1
            pixels = by_imagecodecs(jpeg)
            assert pixels[:, right:].min(initial=255) >= WHITE
            assert pixels[bottom:].min(initial=255) >= WHITE


@pytest.mark.parametrize("kind", together(name for name, each in KINDS.items() if each.opened_by_openslide))
def test_each_stored_level_has_the_pixels_that_openslide_shows(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    path.write_bytes(file_of(kind))
    found = published(kind)
    compared = 0
    with openslide.OpenSlide(path) as slide:
        for index, size in enumerate(slide.level_dimensions):
            number = next((n for n, truth in read_by_tifffile(kind).items() if truth.shape[1::-1] == size), None)
            if number is None:
                continue
            shown = slide.read_region((0, 0), index, size)
            truth = np.asarray(Image.alpha_composite(Image.new("RGBA", size, "white"), shown).convert("RGB"))
            pixels = found.level(number, by_pillow, fill=255)
            truth = cut_to(truth, pixels)
            if found.job.levels[number].method == PASSTHROUGH:
                assert difference(cut_to(pixels, truth), truth).max() == 0
            else:
                assert psnr(pixels, truth) > psnr(found.reencoded(number, truth), truth) - SPREAD_LOSS_DB
            compared += 1
    assert compared


SOURCES = {
    "256": lambda: slide_of(ycbcr("420", tile=(256, 256))),
    "512": lambda: slide_of(ycbcr("444", tile=(512, 512))),
    "240": lambda: slide_of(ycbcr("422", tile=(240, 240))),
}
RETILED = {
    ("256", 128): CROP, ("256", 256): PASSTHROUGH, ("256", 512): ANEW,
    ("512", 128): CROP, ("512", 256): CROP, ("512", 512): PASSTHROUGH,
    ("240", 128): ANEW, ("240", 256): ANEW, ("240", 512): ANEW,
}  # fmt: skip


@pytest.mark.parametrize(("source", "tile_size"), RETILED)
def test_tiles_of_another_size_hold_the_same_pixels(source: str, tile_size: int) -> None:
    data = SOURCES[source]()
    found, own = Published(data, tile_size=tile_size), Published(data)
    assert found.job.tile_size_px == tile_size
    for number in range(3):
        assert found.job.levels[number].method == RETILED[source, tile_size]
        made = {PASSTHROUGH: hold_copied, CROP: hold_cut, ANEW: hold_anew}[found.job.levels[number].method]
        # The file's own tiles are held to tifffile above.
        made(found, number, own.level(number), coarse_colour=source != "512")


@pytest.mark.parametrize("kind", ["JPEG, the base alone", "Aperio YCbCr", "strips", "planes", "JPEG of 512 x 256"])
def test_tiles_are_the_same_however_the_work_is_cut(kind: str) -> None:
    found = []
    for chunk_bytes in (5_000, 100_000, 100_000_000):
        world = World(chunk_bytes=chunk_bytes)
        world.put(file_of(kind))
        found.append(world.tiles(world.finish(world.submit())))
    assert found[0] == found[1] == found[2]


def test_a_copied_tile_keeps_its_scan_to_the_byte(kind: str) -> None:
    found = published(kind)
    data = file_of(kind)
    for level in (each for each in found.job.levels if each.method == PASSTHROUGH):
        for _, _, jpeg in found.places(level.level):
            assert jpeg[jpeg.index(b"\xff\xda") :] in data


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_published_is_refused_with_a_sentence_that_says_what_it_is(name: str) -> None:
    build, sentence = REFUSED[name]
    world = World()
    world.put(build())
    job = world.finish(world.submit())
    assert job.state is State.FAILED
    assert job.error is not None
    assert job.error.code in ("unsupported", "over_limit")
    assert sentence in job.error.message
    assert "--bindir" in job.error.hint
    assert world.memory_archive.tiles == {}


def test_the_coarsest_tile_of_each_kind_has_the_name_of_the_root(kind: str) -> None:
    found = published(kind)
    assert tile_name(found.job.depth - 1, 0, 0, levels=found.job.depth) == "t.jpg"
    assert "t.jpg" in found.tiles
