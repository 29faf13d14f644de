"""Published pixels of every kind of slide equal those that tifffile reads from the file."""

import io
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile

from chalicelib.core.geometry import tile_address
from chalicelib.core.imaging import lossless_crop as crop
from chalicelib.core.jobs.model import Job, State
from tests.slides import Colour, Pixels, Slide, jpeg_tile, picture, split_tables, write
from tests.world import World

pytestmark = pytest.mark.usefixtures("small_blocks")

WIDTH, HEIGHT = 700, 500
# The loss of JPEG at quality 90 in these pictures, which grow sharper from level to level. Wrong colours, a shift by one
# pixel or another level are below 25. The coarsest levels are mostly white.
LOSS_DB, MADE_LOSS_DB = 35.0, 27.0


def file_of(levels: list[Any], *, byteorder: Any = None, subifds: bool = False, **options: Any) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=byteorder) as writer:
        for index, pixels in enumerate(levels):
            sub: dict[str, Any] = {}
            if subifds:
                sub = {"subifds": len(levels) - 1} if index == 0 else {"subfiletype": 1}
            writer.write(pixels, metadata=None, contiguous=False, **options, **sub)
    return file.getvalue()


def halvings(pixels: Any, count: int) -> list[Any]:
    levels = [pixels]
    for _ in range(1, count):
        finer = levels[-1].reshape(levels[-1].shape[0] // 2, 2, levels[-1].shape[1] // 2, 2, -1)
        levels.append(np.squeeze(finer.mean((1, 3)).round().astype(pixels.dtype)))
    return levels


RGB = picture(WIDTH, HEIGHT)
GREY = RGB[..., 0]
TILED: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb"}
WIDE = RGB.astype(np.uint16) * 257


def separate(levels: list[Any]) -> list[Any]:
    return [np.ascontiguousarray(np.moveaxis(level, 2, 0)) for level in levels]


KINDS: dict[str, Callable[[], bytes]] = {
    "uncompressed": lambda: file_of(halvings(RGB, 3), **TILED),
    "uncompressed big endian": lambda: file_of(halvings(RGB, 3), byteorder=">", **TILED),
    "LZW": lambda: file_of(halvings(RGB, 3), compression="lzw", predictor=True, **TILED),
    "deflate": lambda: file_of(halvings(RGB, 2), compression="deflate", predictor=True, **TILED),
    "zstd": lambda: file_of(halvings(RGB, 2), compression="zstd", **TILED),
    "WebP": lambda: file_of(halvings(RGB, 2), compression="webp", compressionargs={"lossless": True}, **TILED),
    "JPEG 2000": lambda: file_of(halvings(RGB, 3), compression=33005, **TILED),
    "wide tiles": lambda: file_of(halvings(RGB, 2), tile=(48, 160), photometric="rgb"),
    "tiles of 240": lambda: file_of(halvings(RGB, 2), tile=(240, 240), photometric="rgb", compression="lzw"),
    "strips": lambda: file_of(halvings(RGB, 3), rowsperstrip=13, photometric="rgb"),
    "strips of LZW": lambda: file_of(halvings(RGB, 3), rowsperstrip=16, photometric="rgb", compression="lzw"),
    "one strip": lambda: file_of(halvings(RGB, 1), rowsperstrip=HEIGHT, photometric="rgb", compression="deflate"),
    "strips of JPEG": lambda: file_of(
        halvings(RGB, 2), rowsperstrip=16, photometric="ycbcr", compression="jpeg", compressionargs={"level": 95}
    ),
    "separate planes": lambda: file_of(separate(halvings(RGB, 2)), planarconfig="separate", compression="lzw", **TILED),
    "separate planes in strips": lambda: file_of(
        separate(halvings(RGB, 2)), planarconfig="separate", rowsperstrip=20, photometric="rgb"
    ),
    "separate planes of JPEG": lambda: file_of(
        separate(halvings(RGB, 2)), planarconfig="separate", compression="jpeg", compressionargs={"level": 95}, **TILED
    ),
    "grey": lambda: file_of(halvings(GREY, 2), tile=(64, 64), photometric="minisblack", compression="lzw"),
    "inverted grey": lambda: file_of(halvings(GREY, 2), tile=(64, 64), photometric="miniswhite"),
    "16 bits": lambda: file_of(halvings(WIDE, 2), compression="deflate", predictor=True, **TILED),
    "16 bits of grey": lambda: file_of(
        halvings(WIDE[..., 0], 2), tile=(64, 64), photometric="minisblack", byteorder=">"
    ),
    "alpha that means nothing": lambda: file_of(
        halvings(np.concatenate((RGB, RGB[..., :1]), 2), 2), extrasamples=["unspecified"], **TILED
    ),
    "SubIFDs": lambda: file_of(halvings(RGB, 3), subifds=True, compression="lzw", **TILED),
}


@cache
def kind_of(name: str) -> bytes:
    """Return the file of a kind."""
    return KINDS[name]()


def published(data: bytes, **options: Any) -> tuple[World, Job]:
    world = World(chunk_bytes=200_000)
    world.put(data)
    job = world.finish(world.submit(**options))
    assert (job.state, job.error) == (State.DONE, None)
    return world, job


def assembled(tiles: dict[str, bytes], job: Job, level: int, decode: Any = None) -> Pixels:
    """Return a level joined from its tiles. Fails if a tile is missing."""
    summary, size = job.levels[level], job.tile_size_px
    canvas = np.zeros((summary.rows * size, summary.columns * size, 3), np.uint8)
    count = 0
    for name, jpeg in tiles.items():
        at, column, row = tile_address(name, levels=job.depth)
        if at == level:
            pixels = decode(jpeg) if decode else simplejpeg.decode_jpeg(jpeg, "RGB")
            assert pixels.shape[:2] == (size, size)
            canvas[row * size : (row + 1) * size, column * size : (column + 1) * size] = pixels.reshape(size, size, -1)
            count += 1
    assert count == summary.columns * summary.rows
    return canvas[: summary.height_px, : summary.width_px]


def read_levels(data: bytes) -> Iterator[Pixels]:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        for page in tiff.pages:
            for each in (page, *(page.pages or ())):
                pixels = each.asarray()
                if pixels.dtype == np.uint16:
                    pixels = (pixels // 257).astype(np.uint8)
                if int(each.photometric) == 0:
                    pixels = 255 - pixels
                if pixels.ndim == 2:
                    pixels = np.repeat(pixels[..., None], 3, 2)
                yield np.moveaxis(pixels, 0, 2) if pixels.shape[0] == 3 else pixels[..., :3]


def psnr(one: Pixels, other: Pixels) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def box(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return np.asarray(padded.reshape(-(-height // 2), 2, -(-width // 2), 2, 3).astype(float).mean((1, 3)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile_size", [None, 128])
def test_slide_of_each_kind_is_published_with_its_pixels(kind: str, tile_size: int | None) -> None:
    data = kind_of(kind)
    world, job = published(data, **({"tile_size": tile_size} if tile_size else {}))
    tiles, levels = world.tiles(job), list(read_levels(data))
    # Only the size of an image in strips indicates that it is a level, which is not sufficient.
    proven = 1 if "strip" in kind else len(levels)
    assert [level.method for level in job.levels[:proven]] == ["re-encoded"] * proven
    assert all(level.method == "downsampled" for level in job.levels[proven:])
    for number, expected in enumerate(levels):
        found = assembled(tiles, job, number)
        assert found.shape == expected.shape
        assert psnr(found, expected) > LOSS_DB
    for number in range(len(levels), len(job.levels)):
        assert psnr(assembled(tiles, job, number), box(assembled(tiles, job, number - 1))) > MADE_LOSS_DB
    assert job.tiles_bad == 0


def jpeg_slide(tile_width: int, tile_height: int, colour: Colour, *, tables: bool = False) -> bytes:
    """Return a base of JPEG tiles of any shape."""
    tiles = []
    for top in range(0, HEIGHT, tile_height):
        for left in range(0, WIDTH, tile_width):
            part = RGB[top : top + tile_height, left : left + tile_width]
            missing = ((0, tile_height - part.shape[0]), (0, tile_width - part.shape[1]), (0, 0))
            tile = jpeg_tile(np.pad(part, missing, "edge"), colour)
            tiles.append(split_tables(tile)[1] if tables else tile)
    options: dict[str, Any] = {"photometric": "rgb", "compressionargs": {"outcolorspace": "rgb"}}
    if colour != "rgb":
        options = {"photometric": "ycbcr", "subsampling": (2, 2) if colour == "ycbcr" else (1, 1)}
    if tables:
        options["jpegtables"] = split_tables(jpeg_tile(picture(tile_width, tile_height), colour))[0]
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(
            iter(tiles), shape=RGB.shape, dtype="uint8", tile=(tile_height, tile_width), compression="jpeg",
            metadata=None, **options,
        )  # fmt: skip
    return file.getvalue()


@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.parametrize("colour", ["rgb", "ycbcr444", "ycbcr"])
@pytest.mark.parametrize(("width", "height", "tile_size"), [(256, 256, 128), (128, 256, None), (256, 64, 64)])
def test_larger_jpeg_tiles_are_cropped_losslessly(
    width: int, height: int, tile_size: int | None, colour: Colour, tables: bool
) -> None:
    data = jpeg_slide(width, height, colour, tables=tables)
    world, job = published(data, **({"tile_size": tile_size} if tile_size else {}))
    assert [level.method for level in job.levels] == ["lossless-crop"] + ["downsampled"] * (len(job.levels) - 1)
    (expected,) = read_levels(data)
    tiles = world.tiles(job)
    difference = np.abs(assembled(tiles, job, 0, imagecodecs.jpeg8_decode).astype(int) - expected).max(2)
    if colour != "ycbcr":
        assert difference.max() == 0
    # Decoders interpolate subsampled colour across the cut.
    size = job.tile_size_px
    for row in range(0, HEIGHT - size, size):
        for column in range(0, WIDTH - size, size):
            assert difference[row + 1 : row + size - 1, column + 1 : column + size - 1].max() == 0
    assert psnr(assembled(tiles, job, 1), box(assembled(tiles, job, 0))) > MADE_LOSS_DB


@pytest.mark.parametrize(("width", "height"), [(240, 336), (64, 64)])
@pytest.mark.parametrize("colour", ["rgb", "ycbcr"])
def test_jpeg_tiles_that_cannot_be_cropped_are_reencoded(width: int, height: int, colour: Colour) -> None:
    data = jpeg_slide(width, height, colour, tables=True)
    world, job = published(data, tile_size=256)
    (expected,) = read_levels(data)
    assert job.levels[0].method == "re-encoded"
    assert psnr(assembled(world.tiles(job), job, 0), expected) > 38


def test_tiles_are_reencoded_without_crop_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "candidates", list)
    crop._library.cache_clear()
    try:
        _, job = published(jpeg_slide(256, 256, "rgb"), tile_size=128)
    finally:
        crop._library.cache_clear()
    assert job.levels[0].method == "re-encoded"


def damaged(data: bytes, index: int) -> bytes:
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        offset = tiff.pages[0].dataoffsets[index]
    changed = bytearray(data)
    changed[offset : offset + 8] = b"\xff" * 8
    return bytes(changed)


@pytest.mark.parametrize("kind", ["LZW", "deflate", "strips of JPEG", "separate planes of JPEG", "JPEG 2000"])
def test_damaged_segment_is_white_and_listed_once(kind: str) -> None:
    sound, data = published(kind_of(kind)), damaged(kind_of(kind), 5)
    world, job = published(data)
    whole = assembled(sound[0].tiles(sound[1]), sound[1], 0)
    found = assembled(world.tiles(job), job, 0)
    assert job.tiles_bad == len(job.bad_tiles) == 1
    assert job.bad_tiles[0].level == 0
    # LZW has no checksum: data after the damage may decode to other pixels.
    assert kind == "LZW" or 0 < (np.abs(found.astype(int) - whole).max(2) > 60).mean() < 0.1


def test_damaged_large_tile_loses_all_its_crops() -> None:
    data = damaged(jpeg_slide(128, 128, "ycbcr"), 2)
    world, job = published(data, tile_size=64)
    assert (job.tiles_bad, job.levels[0].method) == (1, "lossless-crop")
    assert (assembled(world.tiles(job), job, 0)[:128, 256:384] == 255).all()
    world, job = published(data, tile_size=64, on_bad_tile="skip")
    assert len(world.tiles(job)) == job.tiles_total - 4


def test_tiles_beyond_end_of_file_are_white() -> None:
    variants: list[dict[str, int]] = [{}, {"tile_size": 64}, {"tile_size": 256}]
    for options in variants:
        data = jpeg_slide(128, 128, "ycbcr")
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            end = tiff.pages[0].dataoffsets[-1]
        world, job = published(data[: end + 10], **options)
        assert job.tiles_bad == 1
        assert "past the end of the file" in job.bad_tiles[0].reason
        assert assembled(world.tiles(job), job, 0)[400:, 660:].min() > 250


def test_associated_images_are_published_on_request_only() -> None:
    data = write(Slide(width_px=300, height_px=200, associated=True, colour="rgb", tables=True))
    world, job = published(data)
    place = (job.destination.image_store, job.image)
    assert job.slide.associated == ()
    assert [world.memory_archive.associated_image(*place, name) for name in ("label", "macro", "thumbnail", "icc")] == [
        None
    ] * 4
    world, job = published(data, associated=True)
    assert job.slide.associated == ("thumbnail", "label", "macro")
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        label = tiff.pages[2].asarray()
    found = world.memory_archive.associated_image(job.destination.image_store, job.image, "label")
    assert found is not None
    assert psnr(simplejpeg.decode_jpeg(found, "RGB"), label) > LOSS_DB


def test_slide_metadata_and_profile_are_kept() -> None:
    profile = bytearray(200)
    profile[:4], profile[36:40] = (200).to_bytes(4, "big"), b"acsp"
    data = file_of(
        [RGB], iccprofile=bytes(profile), description="Aperio Image Library v1\r\n1x1|AppMag = 40|MPP = 0.25", **TILED
    )
    world, job = published(data)
    assert (job.slide.mpp_x, job.slide.mpp_y, job.slide.magnification, job.slide.vendor) == (0.25, 0.25, 40, "Aperio")
    assert job.slide.icc_profile_bytes == 200
    assert world.memory_archive.associated_image(job.destination.image_store, job.image, "icc") == bytes(profile)


def test_undecodable_compression_is_refused_during_planning() -> None:
    data = bytearray(kind_of("JPEG 2000"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as tiff:
        for offset in tiff.pages[0].dataoffsets:
            data[offset : offset + 4] = b"none"
    world = World()
    world.put(bytes(data))
    job = world.finish(world.submit())
    assert job.error is not None
    assert (job.state, job.error.code) == (State.FAILED, "unsupported")
    assert "cannot be decoded: tile (10, 7): its bytes are no JPEG 2000 codestream" in job.error.message
