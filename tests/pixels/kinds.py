"""Every kind of slide that is published, and every kind that is refused: one small file each.

A kind says how each level of it must come to be, and which image of its file is the truth of each level.
"""

import lzma
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from tests.pixels import stored
from tests.pixels.stored import APP0, APP14, DHT, DQT, Way, box, halved, image, leaving_out, plain, scene
from tests.pixels.writer import (
    ASCII,
    BITS,
    COLOUR_MAP,
    COMPRESSION,
    DESCRIPTION,
    EXTRA_SAMPLES,
    FILL_ORDER,
    HEIGHT,
    LONG,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SHORT,
    SOFTWARE,
    SUBFILE_TYPE,
    SUBSAMPLING,
    WIDTH,
    Image,
    tiff,
)
from tests.slides import APERIO, Pixels

PASSTHROUGH, CROP, ANEW, DOWNSAMPLED = "passthrough", "lossless-crop", "re-encoded", "downsampled"
LETTERS = {"p": PASSTHROUGH, "c": CROP, "r": ANEW, "m": DOWNSAMPLED}
SIZE = (1100, 750)  # of which no tile is a divisor; halved 275 x 188 and 138 x 94, both rounded up
COLOUR, BLACK_IS_ZERO, WHITE_IS_ZERO, PALETTE, YCBCR = 2, 1, 0, 3, 6
REDUCED = {SUBFILE_TYPE: (LONG, [1])}
NONE, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD, WEBP = 1, 5, 7, 8, 32946, 32773, 50000, 50001


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`method` has a letter for each published level, finest first: (p)assthrough, lossless-(c)rop, (r)e-encoded,
    and m for downsampled.
    `images` names the image of the file, in the order of tifffile's pages with SubIFDs behind their parent, of each
    level that the file holds. `truth` turns what tifffile reads of it into RGB. `coarse_colour` says that JPEG tiles
    keep colour at a part of their resolution. OpenSlide opens no strips, no classic big endian files, and JPEG 2000 from
    Aperio only."""

    build: Callable[[], bytes]
    method: str
    images: Mapping[int, int] = field(default_factory=lambda: {0: 0, 1: 1, 2: 2})
    options: Mapping[str, Any] = field(default_factory=dict)
    truth: Callable[[Any], Pixels] | None = None
    coarse_colour: bool = False
    sparse: Mapping[int, frozenset[tuple[int, int]]] = field(default_factory=dict)
    opened_by_openslide: bool = True


@cache
def pyramid(size: tuple[int, int], numbers: tuple[int, ...], *, down: bool = False) -> tuple[Pixels, ...]:
    """Return the levels of a picture, halved as often as `numbers` say."""
    base = scene(*size)
    return tuple(halved(base, number, down=down) for number in numbers)


def slide(
    way: Way,
    *,
    size: tuple[int, int] = SIZE,
    numbers: tuple[int, ...] = (0, 1, 2),
    down: bool = False,
    big: bool = False,
) -> bytes:
    """Return the plain file of a pyramid: one image a level, finest first, the coarser ones marked as reduced."""
    levels = pyramid(size, numbers, down=down)
    return tiff(
        [image(level, way, REDUCED if index else {}) for index, level in enumerate(levels)], order=way.order, big=big
    )


def kind(way: Way, method: str, **options: Any) -> Kind:
    """Return a kind whose file is the plain pyramid of a way of storing."""
    size, numbers, down = options.pop("size", SIZE), options.pop("numbers", (0, 1, 2)), options.pop("down", False)
    options.setdefault("images", {number: index for index, number in enumerate(numbers) if method[number] != "m"})
    options.setdefault("opened_by_openslide", way.tile is not None and way.order == "<")
    return Kind(build=lambda: slide(way, size=size, numbers=numbers, down=down), method=method, **options)


def alone(way: Way, **options: Any) -> Kind:
    """Return a kind with one level in tiles of 128 px: most of those that are halved are whole."""
    return kind(replace(way, tile=(128, 128)), "pmmmm", numbers=(0,), **options)


# -- JPEG --------------------------------------------------------------------------------------------------------------

TABLES = {"tables": frozenset({DQT, DHT}), "dropped": frozenset({DQT, DHT, APP0, APP14})}


def ycbcr(subsampling: str = "420", **options: Any) -> Way:
    factors = {"444": [1, 1], "422": [2, 1], "440": [1, 2], "420": [2, 2], "411": [4, 1]}[subsampling]
    way = Way(encode=stored.jpeg(subsampling), compression=JPEG, photometric=YCBCR, dropped=frozenset({APP0}))
    return replace(way, **{"tags": {SUBSAMPLING: (SHORT, factors)}, **options})


def rgb(**options: Any) -> Way:
    return replace(Way(encode=stored.aperio_rgb, compression=JPEG, photometric=COLOUR), **options)


def grey_jpeg(**options: Any) -> Way:
    way = Way(encode=stored.jpeg("Gray"), compression=JPEG, photometric=BLACK_IS_ZERO, samples=stored.grey)
    return replace(way, **options)


JPEG_KINDS = {
    "JPEG 4:2:0": kind(ycbcr(), "pppm", coarse_colour=True),
    "JPEG 4:2:0, shared tables": kind(ycbcr(**TABLES), "pppm", coarse_colour=True),
    "JPEG 4:2:2": kind(ycbcr("422", **TABLES), "pppm", coarse_colour=True),
    "JPEG 4:4:0": kind(ycbcr("440"), "pppm", coarse_colour=True),
    "JPEG 4:1:1": kind(ycbcr("411"), "pppm", coarse_colour=True),
    "JPEG 4:4:4": kind(ycbcr("444", **TABLES), "pppm"),
    "JPEG with JFIF inside": kind(ycbcr(dropped=frozenset()), "pppm", coarse_colour=True),
    "JPEG, tables twice": kind(
        ycbcr(tables=frozenset({DQT, DHT}), dropped=frozenset({DHT, APP0})), "pppm", coarse_colour=True
    ),
    "JPEG, codes inside": kind(ycbcr(tables=frozenset({DQT}), dropped=frozenset({DQT})), "pppm", coarse_colour=True),
    "JPEG RGB, nothing says so": kind(rgb(), "pppm"),
    "JPEG RGB, shared tables": kind(rgb(**TABLES), "pppm"),
    "JPEG RGB, Adobe marker inside": kind(rgb(encode=stored.adobe_rgb), "pppm"),
    "JPEG grey": kind(grey_jpeg(), "pppm"),
    "JPEG grey, shared tables": kind(grey_jpeg(**TABLES), "pppm"),
    "JPEG progressive": kind(ycbcr(encode=stored.pillow_jpeg(progressive=True)), "pppm", coarse_colour=True),
    "JPEG with restarts": kind(
        ycbcr(encode=stored.pillow_jpeg(restart_marker_blocks=7), **TABLES), "pppm", coarse_colour=True
    ),
    "JPEG with comments": kind(
        ycbcr("444", encode=stored.with_comment(stored.jpeg("444")), dropped=frozenset()), "pppm"
    ),
    "JPEG of 240": kind(ycbcr(tile=(240, 240), **TABLES), "pppm", coarse_colour=True),
    "JPEG RGB of 512": kind(rgb(tile=(512, 512), **TABLES), "ppp"),
    "JPEG of 1024": kind(ycbcr(tile=(1024, 1024)), "pp", numbers=(0, 1), coarse_colour=True),
    "JPEG of 1024, larger than the slide": kind(ycbcr(tile=(1024, 1024)), "p", numbers=(0,), size=(700, 500)),
    "JPEG of 512 x 256": kind(ycbcr(tile=(512, 256), **TABLES), "cccm", coarse_colour=True),
    "JPEG RGB of 256 x 512": kind(rgb(tile=(256, 512)), "cccm"),
    "JPEG of 240 x 336": kind(ycbcr(tile=(240, 336)), "rrrm"),
    "JPEG RGB of 240 x 336": kind(rgb(tile=(240, 336), **TABLES), "rrrm"),
    "JPEG big endian": kind(ycbcr(order=">", **TABLES), "pppm", coarse_colour=True),
    "JPEG, the base alone": alone(ycbcr("444")),
    "JPEG 4:2:0, the base alone": alone(ycbcr("420"), coarse_colour=True),
    "JPEG 4:2:2, the base alone": alone(ycbcr("422"), coarse_colour=True),
    "JPEG 4:4:0, the base alone": alone(ycbcr("440"), coarse_colour=True),
    "JPEG 4:1:1, the base alone": alone(ycbcr("411"), coarse_colour=True),
    "JPEG grey, the base alone": alone(grey_jpeg()),
    "JPEG, base and third level": kind(rgb(**TABLES), "pmpm", numbers=(0, 2)),
    "JPEG rounded down": kind(ycbcr("444"), "pppp", numbers=(0, 1, 2, 3), size=(1103, 751), down=True),
    "JPEG rounded up": kind(ycbcr("444"), "pppp", numbers=(0, 1, 2, 3), size=(1103, 751)),
    "JPEG in strips": kind(ycbcr(tile=None, **TABLES), "rmmm"),
    "JPEG RGB in strips": kind(rgb(tile=None, rows=40), "rmmm"),
    "JPEG in one strip": kind(ycbcr("444", tile=None, rows=2**32 - 1), "rmmm"),
    # tifffile reads planes of JPEG only with a JFIF marker in each tile.
    "JPEG of separate planes": kind(
        Way(
            encode=stored.jpeg("Gray"), compression=JPEG, separate=True,
            tables=frozenset({DQT, DHT}), dropped=frozenset({DQT, DHT}),
        ),
        "rrrm",
    ),
}  # fmt: skip


# -- levels and vendors ------------------------------------------------------------------------------------------------


def levels_upside_down() -> bytes:
    base, *coarser = [image(level, ycbcr("444")) for level in pyramid(SIZE, (0, 1, 2))]
    return tiff([*reversed(coarser), base])


def levels_of_other_tiles(*, inside: bool = False) -> bytes:
    """Each level is stored in another way. As SubIFDs the file proves that they are levels."""
    ways = (ycbcr("444", tile=(512, 512)), rgb(tile=(256, 256)), grey_or_plain())
    base, *coarser = pyramid(SIZE, (0, 1, 2))
    images = [image(level, way) for level, way in zip(coarser, ways[1:], strict=True)]
    if inside:
        return tiff([image(base, ways[0], inside=tuple(images))])
    return tiff([image(base, ways[0]), *images])


def plain_strips() -> Way:
    return Way(encode=plain(), compression=NONE, tile=None, rows=13)


def strips_inside(way: Way) -> bytes:
    base, *coarser = pyramid(SIZE, (0, 1, 2))
    return tiff([image(base, way, inside=tuple(image(level, way, REDUCED) for level in coarser))])


def grey_or_plain() -> Way:
    return Way(encode=plain(stored.deflated), compression=DEFLATE)


def no_halving() -> bytes:
    base = pyramid(SIZE, (0,))[0]
    return tiff([image(each, rgb()) for each in (base, base[::3, ::3], halved(base, 2), base[::2, ::2][:-9, :-9])])


def ome() -> bytes:
    xml = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"/></OME>'
    base, *coarser = pyramid(SIZE, (0, 1, 2))
    inside = tuple(image(level, ycbcr("444"), REDUCED) for level in coarser)
    return tiff([image(base, ycbcr("444"), {DESCRIPTION: (ASCII, xml)}, inside=inside)], order=">", big=True)


APERIO_SIZE = (2900, 2100)


def aperio(way: Way) -> bytes:
    """Base, thumbnail, levels 1:4 and 1:16, label and macro, in Aperio's order and with its descriptions."""
    width, height = APERIO_SIZE
    base, quarter, sixteenth = pyramid(APERIO_SIZE, (0, 2, 4))
    described = f"{APERIO}{width}x{height} [0,0 {width}x{height}] ({{}}) JPEG/RGB Q=90"
    strips = ycbcr("444", tile=None)
    associated = [scene(387, 463, 1), scene(700, 300, 2)]
    return tiff([
        image(base, way, {DESCRIPTION: (ASCII, described.format("240x240") + "|AppMag = 20|MPP = 0.5")}),
        image(sixteenth, strips, {DESCRIPTION: (ASCII, f"{APERIO}{width}x{height} -> 182x132 - |AppMag = 20")}),
        image(quarter, way, {DESCRIPTION: (ASCII, described.format("240x240") + " -> 725x525")}),
        image(sixteenth, way, {DESCRIPTION: (ASCII, described.format("240x240") + " -> 182x132")}),
        image(associated[0], strips, {DESCRIPTION: (ASCII, f"{APERIO}label 387x463"), SUBFILE_TYPE: (LONG, [1])}),
        image(associated[1], strips, {DESCRIPTION: (ASCII, f"{APERIO}macro 700x300"), SUBFILE_TYPE: (LONG, [9])}),
    ])  # fmt: skip


PHILIPS_SPARSE = {0: frozenset({(0, 0), (2, 2), (3, 2)}), 1: frozenset({(1, 1)})}


def philips() -> bytes:
    """Levels padded to whole tiles, with blank tiles left out."""
    way = ycbcr(tile=(256, 256), **TABLES)
    images = []
    for number, level in enumerate(pyramid((1280, 768), (0, 1, 2))):
        height, width = (-(-side // 256) * 256 for side in level.shape[:2])
        padded = np.pad(level, ((0, height - level.shape[0]), (0, width - level.shape[1]), (0, 0)), constant_values=255)
        tags = {SOFTWARE: (ASCII, "Philips DP v1.0"), SUBFILE_TYPE: (LONG, [int(number > 0)])}
        places = [row * (width // 256) + column for column, row in PHILIPS_SPARSE.get(number, ())]
        images.append(leaving_out(image(padded, way, tags), places))
    return tiff(images)


def lost_tiles() -> bytes:
    """A coarser level that leaves a tile out of which the finer one has content, as of broken Aperio files."""
    first, second, third = (image(level, ycbcr("444")) for level in pyramid(SIZE, (0, 1, 2)))
    return tiff([first, leaving_out(second, [1]), third])


LEVEL_KINDS = {
    "BigTIFF": Kind(
        build=lambda: slide(ycbcr(**TABLES), big=True),
        method="pppm",
        coarse_colour=True,
    ),
    "BigTIFF big endian, OME with SubIFDs": Kind(build=ome, method="pppm"),
    "levels upside down": Kind(build=levels_upside_down, method="pppm", images={0: 2, 1: 1, 2: 0}),
    "levels of other tiles": Kind(build=levels_of_other_tiles, method="pmm", images={0: 0}),
    "levels of other tiles in SubIFDs": Kind(build=lambda: levels_of_other_tiles(inside=True), method="prr"),
    "strips in SubIFDs": Kind(build=lambda: strips_inside(plain_strips()), method="rrrm", opened_by_openslide=False),
    "strips of JPEG in SubIFDs": Kind(
        build=lambda: strips_inside(ycbcr("444", tile=None, rows=2**32 - 1)), method="rrrm", opened_by_openslide=False
    ),
    "no halving": Kind(build=no_halving, method="pmpm", images={0: 0, 2: 2}),
    "Aperio RGB": Kind(
        build=lambda: aperio(rgb(tile=(240, 240), **TABLES)),
        method="pmpmp",
        images={0: 0, 2: 2, 4: 3},
    ),
    "Aperio YCbCr": Kind(
        build=lambda: aperio(ycbcr("422", tile=(240, 240), **TABLES)),
        method="pmpmp",
        images={0: 0, 2: 2, 4: 3},
        coarse_colour=True,
    ),
    "Philips": Kind(build=philips, method="pppm", sparse=PHILIPS_SPARSE, coarse_colour=True),
    "a coarser level has lost tiles": Kind(build=lost_tiles, method="pmpm", images={0: 0, 2: 2}),
}


# -- what is encoded anew ----------------------------------------------------------------------------------------------


def way(encode: Callable[[Any], bytes], compression: int, **options: Any) -> Way:
    return Way(encode=encode, compression=compression, **options)


def differences(pack: Callable[[bytes], Any], compression: int, **options: Any) -> Way:
    order = options.get("order", "<")
    tags = {PREDICTOR: (SHORT, [2]), **options.pop("tags", {})}
    return way(plain(pack, predictor=True, order=order), compression, tags=tags, **options)


def ycbcr_to_rgb(values: Any) -> Pixels:
    """Return YCbCr of the full range (T.871) as RGB."""
    luma, blue, red = (values[..., index].astype(np.float64) for index in range(3))
    blue, red = blue - 128, red - 128
    colours = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    return np.clip(np.rint(np.stack(colours, axis=2)), 0, 255).astype(np.uint8)


def over_white(values: Any) -> Pixels:
    colours, alpha = values[..., :3].astype(np.float64), values[..., 3:].astype(np.float64) / 255
    return np.rint(colours * alpha + 255 * (1 - alpha)).astype(np.uint8)


def over_white_already(values: Any) -> Pixels:
    colours, alpha = values[..., :3].astype(np.float64), values[..., 3:].astype(np.float64)
    return np.clip(colours + 255 - alpha, 0, 255).astype(np.uint8)


def by_palette(values: Any) -> Pixels:
    return np.rint(stored.swatches().T[values] / 257).astype(np.uint8)


def turned_white(values: Any) -> Pixels:
    return np.repeat(255 - values[..., None], 3, 2)


GREY = {"photometric": BLACK_IS_ZERO, "samples": stored.grey}
FILLED_LOW = {FILL_ORDER: (SHORT, [2])}
PACKED = imagecodecs.packbits_encode
J2K = {"opened_by_openslide": False}
BY_APERIO = {"tags": {DESCRIPTION: (ASCII, f"{APERIO}1100x750 (256x256) J2K Q=70")}}

DECODED_KINDS = {
    "uncompressed": kind(way(plain(), NONE), "rrrm"),
    "uncompressed big endian": kind(way(plain(order=">"), NONE, order=">"), "rrrm"),
    "LZW": kind(way(plain(imagecodecs.lzw_encode), LZW), "rrrm"),
    "LZW with differences": kind(differences(imagecodecs.lzw_encode, LZW), "rrrm"),
    "LZW, bits reversed": kind(
        way(plain(lambda data: stored.reversed_bits(imagecodecs.lzw_encode(data))), LZW, tags=FILLED_LOW), "rrrm"
    ),
    "deflate": kind(way(plain(stored.deflated), DEFLATE), "rrrm"),
    "deflate with differences": kind(differences(stored.deflated, DEFLATE), "rrrm"),
    "deflate by its old number": kind(way(plain(stored.deflated), OLD_DEFLATE), "rrrm"),
    "PackBits": kind(way(plain(PACKED), PACKBITS), "rrrm"),
    "zstd": kind(way(plain(imagecodecs.zstd_encode), ZSTD), "rrrm"),
    "zstd with differences": kind(differences(imagecodecs.zstd_encode, ZSTD), "rrrm"),
    "WebP": kind(way(stored.webp, WEBP), "rrrm", opened_by_openslide=False),
    "JPEG 2000 RGB (33005)": kind(way(stored.jpeg_2000(mct=True), 33005, **BY_APERIO), "rrrm"),
    "JPEG 2000 RGB without transform (33005)": kind(way(stored.jpeg_2000(), 33005, **BY_APERIO), "rrrm"),
    "JPEG 2000 YCbCr (33003)": kind(
        way(
            stored.jpeg_2000(), 33003, photometric=YCBCR, samples=stored.full_ycbcr,
            tags={**BY_APERIO["tags"], SUBSAMPLING: (SHORT, [1, 1])},
        ),
        "rrrm", truth=ycbcr_to_rgb,
    ),
    "JPEG 2000 YCbCr that says RGB (33003)": kind(
        way(stored.jpeg_2000(), 33003, samples=stored.full_ycbcr, **BY_APERIO), "rrrm", truth=ycbcr_to_rgb
    ),
    "JPEG 2000 (34712)": kind(way(stored.jpeg_2000(mct=True), 34712), "rrrm", **J2K),
    "JPEG 2000 in boxes (34712)": kind(way(stored.jpeg_2000("jp2", mct=True), 34712), "rrrm", **J2K),
    "JPEG 2000 grey (34712)": kind(way(stored.jpeg_2000(), 34712, **GREY), "rrrm", **J2K),
    "JPEG 2000 16 bits (34712)": kind(way(stored.jpeg_2000(), 34712, samples=stored.wide), "rrrm", **J2K),
    "tiles of 64": kind(way(plain(stored.deflated), DEFLATE, tile=(64, 64)), "rrrrrm", numbers=(0, 1, 2, 3, 4)),
    "tiles of 48 x 160": kind(way(plain(stored.deflated), DEFLATE, tile=(48, 160)), "rrrm"),
    "tiles of 512 x 256": kind(way(plain(), NONE, tile=(512, 256)), "rrrm"),
    "tiles of 1024": kind(way(plain(stored.deflated), DEFLATE, tile=(1024, 1024)), "rr", numbers=(0, 1)),
    "strips": kind(way(plain(), NONE, tile=None, rows=13), "rmmm"),
    "strips of one row": kind(way(plain(), NONE, tile=None, rows=1), "rmmm"),
    "one strip": kind(way(plain(), NONE, tile=None, rows=750), "rmmm"),
    "one strip of any height": kind(way(plain(stored.deflated), DEFLATE, tile=None, rows=2**32 - 1), "rmmm"),
    "strips of LZW with differences": kind(differences(imagecodecs.lzw_encode, LZW, tile=None, rows=300), "rmmm"),
    "strips of PackBits": kind(way(plain(PACKED), PACKBITS, tile=None, rows=7), "rmmm"),
    "planes": kind(way(plain(), NONE, separate=True), "rrrm"),
    "planes of LZW with differences": kind(differences(imagecodecs.lzw_encode, LZW, separate=True), "rrrm"),
    "planes in strips": kind(way(plain(stored.deflated), DEFLATE, separate=True, tile=None, rows=100), "rmmm"),
    "grey": kind(way(plain(stored.deflated), DEFLATE, **GREY), "rrrm"),
    "grey, white is zero": kind(
        way(plain(), NONE, photometric=WHITE_IS_ZERO, samples=stored.inverted), "rrrm", truth=turned_white
    ),
    "palette": kind(
        way(
            plain(imagecodecs.lzw_encode), LZW, photometric=PALETTE, samples=stored.indexed,
            tags={COLOUR_MAP: (SHORT, stored.swatches().ravel().tolist())},
        ),
        "rrrm", truth=by_palette,
    ),
    "16 bits": kind(way(plain(stored.deflated), DEFLATE, samples=stored.wide), "rrrm"),
    "16 bits big endian with differences": kind(
        differences(imagecodecs.lzw_encode, LZW, samples=stored.wide, order=">"), "rrrm"
    ),
    "16 bits of grey in strips": kind(
        way(
            plain(order=">"), NONE, photometric=BLACK_IS_ZERO, tile=None, rows=50, order=">",
            samples=lambda pixels: stored.wide(pixels)[..., 1:2],
        ),
        "rmmm",
    ),
    "16 bits in planes": kind(way(plain(), NONE, samples=stored.wide, separate=True), "rrrm"),
    "RGBA": kind(
        way(plain(stored.deflated), DEFLATE, samples=stored.translucent, tags={EXTRA_SAMPLES: (SHORT, [2])}),
        "rrrm", truth=over_white,
    ),
    "RGBA multiplied already": kind(
        way(plain(), NONE, samples=stored.premultiplied, tags={EXTRA_SAMPLES: (SHORT, [1])}),
        "rrrm", truth=over_white_already,
    ),
    "RGBA with differences in planes": kind(
        differences(stored.deflated, DEFLATE, samples=stored.translucent, separate=True, tags={EXTRA_SAMPLES: (SHORT, [2])}),
        "rrrm", truth=over_white,
    ),
    # Which OpenSlide, or libtiff, takes for alpha.
    "RGB and a sample that means nothing": kind(
        way(plain(), NONE, samples=stored.translucent, tags={EXTRA_SAMPLES: (SHORT, [0])}),
        "rrrm", truth=lambda values: values[..., :3], opened_by_openslide=False,
    ),
}  # fmt: skip

# The only one without `truth`: openjpeg's users turn components of differing sizes into RGB as they join them.
DECODED_KINDS["JPEG 2000 YCbCr 4:2:2 (33003)"] = kind(
    way(stored.jpeg_2000_422, 33003, samples=stored.full_ycbcr, tags={DESCRIPTION: (ASCII, f"{APERIO}1100x750 (256x256) J2K/YUV16 Q=70")}),
    "rrrm",
)  # fmt: skip

KINDS: dict[str, Kind] = {**JPEG_KINDS, **LEVEL_KINDS, **DECODED_KINDS}


# -- what is refused ---------------------------------------------------------------------------------------------------


def refused_image(changes: Mapping[int, tuple[int, Sequence[int]]], **options: Any) -> bytes:
    """Return an uncompressed file whose tags say something else; nobody should get as far as its pixels."""
    stored_way = replace(way(plain(), NONE), **options)
    return tiff([image(scene(300, 200), stored_way, changes)])


def channels() -> bytes:
    return tiff([image(scene(300, 200, seed), way(plain(), NONE, **GREY)) for seed in range(3)])


def two_regions() -> bytes:
    return tiff([image(scene(*size), ycbcr(tile=(64, 64))) for size in ((900, 600), (640, 620))])


def fours(pixels: Pixels) -> Any:
    return np.concatenate((pixels, pixels[..., :1]), axis=2)


def twelve_bits(samples: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(samples.astype(np.uint16) * 16, 90, bitspersample=12))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "1 bit": (lambda: refused_image({BITS: (SHORT, [1])}, **GREY), "1 bits a sample"),
    "4 bits of palette": (
        lambda: refused_image({BITS: (SHORT, [4]), COLOUR_MAP: (SHORT, [0] * 48)}, **{**GREY, "photometric": PALETTE}),
        "4 bits a sample",
    ),
    "32 bits of float": (
        lambda: refused_image({BITS: (SHORT, [32] * 3), SAMPLE_FORMAT: (SHORT, [3] * 3)}), "32 bits a sample (floating"
    ),
    "signed 8 bits": (lambda: refused_image({SAMPLE_FORMAT: (SHORT, [2] * 3)}), "(signed)"),
    "differing bits": (lambda: refused_image({BITS: (SHORT, [5, 6, 5])}), "differing bits"),
    "CMYK": (lambda: refused_image({}, samples=fours, photometric=5), "CMYK"),
    "CMYK in JPEG": (
        lambda: refused_image(
            {}, samples=fours, photometric=5, compression=JPEG,
            encode=lambda samples: bytes(imagecodecs.jpeg8_encode(samples, 90, colorspace="CMYK", outcolorspace="CMYK")),
        ),
        "CMYK",
    ),
    "CIELab": (lambda: refused_image({}, photometric=8), "CIELab"),
    "JPEG of 12 bits": (
        lambda: refused_image({BITS: (SHORT, [12] * 3)}, compression=JPEG, photometric=YCBCR, encode=twelve_bits),
        "12 bits a sample",
    ),
    "JPEG of 12 bits that says 8": (
        lambda: refused_image({}, compression=JPEG, photometric=YCBCR, encode=twelve_bits), "12 bits"
    ),
    "lossless JPEG": (
        lambda: refused_image(
            {}, compression=JPEG, encode=lambda samples: bytes(imagecodecs.ljpeg_encode(samples[..., 0])),
            photometric=BLACK_IS_ZERO, samples=stored.grey,
        ),
        "SOF3",
    ),
    "old JPEG": (lambda: refused_image({}, compression=6, photometric=YCBCR), "old-style JPEG"),
    "JPEG XL": (lambda: refused_image({}, compression=50002), "JPEG XL"),
    "LERC": (lambda: refused_image({}, compression=34887), "LERC"),
    "LZMA": (lambda: refused_image({}, compression=34925, encode=plain(lzma.compress)), "LZMA"),
    "CCITT": (lambda: refused_image({BITS: (SHORT, [1])}, compression=4, **GREY), "CCITT"),
    "floating-point differences": (
        lambda: refused_image({PREDICTOR: (SHORT, [3])}, compression=DEFLATE, encode=plain(stored.deflated)),
        "predictor 3",
    ),
    "raw YCbCr": (
        lambda: refused_image({SUBSAMPLING: (SHORT, [1, 1])}, photometric=YCBCR, samples=stored.full_ycbcr), "YCbCr"
    ),
    "grey with alpha": (
        lambda: refused_image({EXTRA_SAMPLES: (SHORT, [2])}, photometric=BLACK_IS_ZERO, samples=lambda p: p[..., :2]),
        "2 samples a pixel",
    ),
    "five samples": (
        lambda: refused_image({}, samples=lambda pixels: np.concatenate((pixels, pixels[..., :2]), 2)), "5 samples"
    ),
    "a palette of 16 colours": (
        lambda: refused_image({COLOUR_MAP: (SHORT, [0] * 48)}, **{**GREY, "photometric": PALETTE}), "palette"
    ),
    "a palette without colours": (lambda: refused_image({}, **{**GREY, "photometric": PALETTE}), "palette"),
    "channels": (channels, "3 images of 300 x 200 px"),
    "two regions": (two_regions, "second slide"),
    "strips of a million columns": (
        lambda: refused_image({WIDTH: (LONG, [1_000_000]), HEIGHT: (LONG, [2])}, tile=None, rows=2), "1000000 px"
    ),
    "a strip of everything": (
        lambda: refused_image(
            {WIDTH: (LONG, [100_000]), HEIGHT: (LONG, [90_000]), ROWS_PER_STRIP: (LONG, [90_000])}, tile=None, rows=2**30
        ),
        "MiB each",
    ),
    "another kind of JPEG 2000": (lambda: refused_image({COMPRESSION: (SHORT, [33004])}), "33004"),
}  # fmt: skip


def file_of(name: str) -> bytes:
    """Return the file of a kind, written once."""
    return _built(name)


@cache
def _built(name: str) -> bytes:
    return KINDS[name].build()


def truths(name: str) -> dict[int, Pixels]:
    """Return the pixels that tifffile reads of each level the file holds, as RGB with 8 bits."""
    import io

    found = KINDS[name]
    with tifffile.TiffFile(io.BytesIO(file_of(name))) as file:
        pages = [each for page in file.pages for each in (page, *(page.pages or ()))]  # type: ignore[union-attr]
        return {level: _as_rgb(pages[index], found) for level, index in found.images.items()}


def _as_rgb(page: Any, found: Kind) -> Pixels:
    pixels = page.asarray()
    if int(page.planarconfig) == 2:
        pixels = np.moveaxis(pixels, 0, 2)
    if found.truth is not None:
        return found.truth(pixels)
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257).astype(np.uint8)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)


__all__ = ["KINDS", "REFUSED", "Image", "box", "file_of", "truths"]
