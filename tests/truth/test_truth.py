"""Copied tiles held to the truth: every published tile, in three decoders, against tifffile and OpenSlide."""

import io
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import pytest
import simplejpeg
import tifffile
from PIL import Image

from chalicelib.core.job import Job
from tests.journey.conftest import shared
from tests.slides import Pixels, Slide, write
from tests.steps.test_inputs import assembled, published
from tests.world import World


def by_pillow(jpeg: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def by_simplejpeg(jpeg: bytes) -> Pixels:
    return np.asarray(simplejpeg.decode_jpeg(jpeg, "RGB", fastdct=False, fastupsample=False))


def by_imagecodecs(jpeg: bytes) -> Pixels:
    decoded = imagecodecs.jpeg8_decode(jpeg)
    return decoded if decoded.ndim == 3 else np.repeat(decoded[..., None], 3, 2)


DECODERS: tuple[Callable[[bytes], Pixels], ...] = (by_pillow, by_simplejpeg, by_imagecodecs)
KINDS = {
    "YCbCr 4:2:0": Slide(levels=(0, 1, 2)),
    "YCbCr 4:2:0 with tables": Slide(levels=(0, 1, 2), tables=True),
    "YCbCr 4:4:4": Slide(levels=(0, 1), colour="ycbcr444", tables=True),
    "RGB": Slide(levels=(0, 1), colour="rgb"),
    "Aperio RGB": Slide(levels=(0, 2), colour="rgb", tables=True, associated=True, tile_size_px=240),
    "Aperio YCbCr": Slide(levels=(0, 1, 2), tables=True, associated=True, tile_size_px=256),
    "grey": Slide(levels=(0, 1), colour="grey"),
    "SubIFDs": Slide(levels=(0, 1, 2), subifds=True),
    "BigTIFF": Slide(levels=(0, 1), bigtiff=True),
    "big endian": Slide(levels=(0, 1), byteorder=">", tables=True),
    "BigTIFF, big endian": Slide(levels=(0, 1), byteorder=">", bigtiff=True, colour="rgb"),
    "large tiles": Slide(width_px=1500, height_px=1100, tile_size_px=1024),
    "512 px tiles": Slide(width_px=1500, height_px=1100, tile_size_px=512, tables=True),
    "padded levels": Slide(width_px=640, height_px=512, levels=(0, 1, 2, 3), padded=True),
    "rounded down": Slide(width_px=701, height_px=501, levels=(0, 1, 2), floor=True),
}


def tiled_pages(data: bytes) -> list[Pixels]:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        pages = [each for page in tiff.pages for each in (page, *(page.pages or ()))]  # type: ignore[union-attr]
        found = [each.asarray() for each in pages if each.is_tiled]  # type: ignore[union-attr]
    return [pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2) for pixels in found]


def copied(job: Job) -> list[int]:
    return [level.level for level in job.levels if level.made == "passthrough"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decode", DECODERS)
def test_every_copied_tile_has_the_pixels_that_tifffile_reads(kind: str, decode: Callable[[bytes], Pixels]) -> None:
    slide, data = KINDS[kind], write(KINDS[kind])
    world, job = published(data)
    pages = tiled_pages(data)
    assert copied(job) == list(slide.levels)
    for level, expected in zip(slide.levels, pages, strict=True):
        found = assembled(world.tiles(job), job, level, decode)
        height, width = min(found.shape[0], expected.shape[0]), min(found.shape[1], expected.shape[1])
        assert np.abs(found[:height, :width].astype(int) - expected[:height, :width]).max() == 0


def against_openslide(path: Path, world: World, job: Job) -> int:
    """Compare each copied level; return how many there were."""
    compared = 0
    with openslide.OpenSlide(path) as slide:
        for index in range(slide.level_count):
            level = round(np.log2(slide.level_downsamples[index]))
            if level not in copied(job):
                continue
            size = slide.level_dimensions[index]
            expected = np.asarray(slide.read_region((0, 0), index, size).convert("RGB"))
            found = assembled(world.tiles(job), job, level, by_pillow)
            height, width = min(found.shape[0], size[1]), min(found.shape[1], size[0])
            assert np.array_equal(found[:height, :width], expected[:height, :width])
            compared += 1
    return compared


@pytest.mark.parametrize("kind", ["Aperio RGB", "Aperio YCbCr", "512 px tiles"])
def test_every_copied_level_has_the_pixels_that_openslide_shows(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(write(KINDS[kind]))
    world, job = published(path.read_bytes())
    assert against_openslide(path, world, job) == len(KINDS[kind].levels)


def test_the_real_scan_is_exact_in_every_decoder_and_in_openslide() -> None:
    path = shared("CMU-1-Small-Region.svs")
    world, job = published(path.read_bytes())
    expected = tifffile.imread(path, key=0)
    for decode in DECODERS:
        assert np.array_equal(assembled(world.tiles(job), job, 0, decode), expected)
    assert against_openslide(path, world, job) == 1
