"""No pixel of a label or of a photograph of the glass is published as the slide, whatever the layout of the file.

The slide of each file here is green: its green samples are at least 190. Labels and photographs are magenta and black:
theirs are 0. Published tiles are decoded one by one, so that a single pixel of the wrong image is seen, also in levels
that are made. What a file publishes is compared with the picture of its slide as well.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import imagecodecs
import numpy as np
import pytest

from chalicelib.core.jobs.model import Job, State
from tests.pixels import stored
from tests.pixels.kinds import DEFLATE, TABLES, rgb, ycbcr
from tests.pixels.measures import psnr
from tests.pixels.stored import Way, box, halved, image, plain
from tests.pixels.test_kinds import LETTERS, Published, by_imagecodecs
from tests.pixels.writer import ASCII, DESCRIPTION, LONG, SUBFILE_TYPE, Image, Tags, tiff
from tests.slides import APERIO, Pixels, picture
from tests.world import World

LEAST_GREEN = 128  # halfway between the slide, whose JPEGs ring by 60 at most, and every other image
LOSS_DB = 25.0  # halved levels at half the chroma lose up to 4 dB more; a label is below 10


def slide(width_px: int, height_px: int) -> Pixels:
    pixels = picture(width_px, height_px).copy()
    pixels[..., 1] = 190 + pixels[..., 1] // 4
    return pixels


def photograph(width_px: int, height_px: int) -> Pixels:
    """Return bars of magenta and black, as of a label's code."""
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    pixels[:, np.arange(width_px) % 8 < 4] = (255, 0, 255)
    return pixels


def named(description: str, kind: int | None = None) -> Tags:
    tags: dict[int, Any] = {} if kind is None else {SUBFILE_TYPE: (LONG, [kind])}
    return tags | ({DESCRIPTION: (ASCII, description)} if description else {})


def marked(kind: int) -> Tags:
    return {SUBFILE_TYPE: (LONG, [kind])}


def deflated(tile: tuple[int, int] | None = (256, 256), rows: int = 16) -> Way:
    return Way(encode=plain(stored.deflated), compression=DEFLATE, tile=tile, rows=rows)


JPEG_256 = ycbcr("420", tile=(256, 256), **TABLES)
STRIPS = ycbcr("420", tile=None, rows=16)
GT450 = "Aperio Leica Biosystems GT450 v1.0.1 \n{}x{} [0,0,{}x{}] (256x256) JPEG/YCC Q=91|AppMag = 40|MPP = 0.263158"


def ome(*images: tuple[str, int, int, int]) -> Tags:
    """Return the description of an OME-TIFF with images of (name, width, height, place in the main chain)."""
    listed = "".join(
        f'<Image ID="Image:{place}"{f" Name={json.dumps(name)}" if name else ""}><Pixels ID="Pixels:{place}" SizeX="{width}"'
        f' SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1" Type="uint8" DimensionOrder="XYCZT"><TiffData IFD="{place}"'
        ' PlaneCount="1"/></Pixels></Image>'
        for name, width, height, place in images
    )
    return named(f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{listed}</OME>')


# -- how a file comes out ----------------------------------------------------------------------------------------------


def published_job(data: bytes, **options: object) -> tuple[World, Job]:
    world = World(chunk_bytes=200_000)
    world.put(data)
    return world, world.finish(world.submit(**options))


def assert_only_green(world: World) -> None:
    """Assert that whatever is stored, of any job in any state, has no pixel of a label or photograph."""
    for tiles in world.memory_archive.tiles.values():
        for name, tile in tiles.items():
            assert by_imagecodecs(tile.jpeg)[..., 1].min() > LEAST_GREEN, name


def assert_published(data: bytes, truth: Pixels, letters: str, **options: object) -> Job:
    """Assert that a file publishes its slide, whose levels are made as the letters say, and nothing else."""
    found = Published(data, **options)
    assert found.method == [LETTERS[letter] for letter in letters]
    assert_only_green(found.world)
    for number in range(len(letters)):
        pixels = found.level(number)
        assert psnr(pixels, truth) > LOSS_DB
        truth = box(truth)
    return found.job


def assert_refused(data: bytes, sentence: str) -> None:
    world, job = published_job(data)
    assert (job.state, job.error and job.error.code) == (State.FAILED, "unsupported")
    assert job.error is not None
    assert sentence in job.error.message
    assert "does not convert this file" in job.error.hint
    assert world.memory_archive.tiles == {}


SECOND, NONE = "has a second slide in it", "has no image that is certain to be the slide"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A file, and how it comes out: the picture of its slide with the letters of its levels, or a sentence."""

    build: Callable[[], bytes]
    truth: tuple[int, int] = (0, 0)
    letters: str = ""
    refused: str = ""

    def check(self) -> None:
        if self.refused:
            assert_refused(self.build(), self.refused)
        else:
            assert_published(self.build(), slide(*self.truth), self.letters)


# -- the four layouts that leaked --------------------------------------------------------------------------------------

OME_SIZE = (1450, 1000)


def converted_svs(*names: str, label: tuple[int, int] = (192, 240), way: Way | None = None) -> bytes:
    """What bfconvert makes of an Aperio SVS: the base with level 1:4 in SubIFDs, then the label, whose tile is as large
    as the label itself."""
    base, associated = slide(*OME_SIZE), photograph(*label)
    base_name, label_name = names
    return tiff([
        image(
            base, deflated(), ome((base_name, *OME_SIZE, 0), (label_name, *label, 1)),
            inside=(image(halved(base, 2), deflated(), marked(1)),),
        ),
        image(associated, way or deflated(label)),
    ])  # fmt: skip


GT450_SIZE = (340, 300)


def gt450_region(label: Image, *, base_kind: int = 0) -> bytes:
    """A region that was cut out of a GT 450 slide, with fewer pixels than the label."""
    width, height = GT450_SIZE
    words = named(GT450.format(width, height, width, height), base_kind)
    macro = image(photograph(400, 150), STRIPS, marked(9))
    return tiff([image(slide(width, height), JPEG_256, words), label, macro])


def named_macro(tags: Tags, way: Way = JPEG_256, **options: Any) -> bytes:
    """A photograph in tiles that the file names, beside a scanned region with fewer pixels."""
    words = named(f"{APERIO}46000x32914 [100,100 500x400] (256x256) JPEG/RGB Q=70|AppMag = 20|MPP = 0.499")
    return tiff([
        image(slide(500, 400), JPEG_256, words),
        image(photograph(1280, 431), way, tags, **options),
    ])  # fmt: skip


def leica_image(number: int, size: tuple[int, int], view: tuple[int, int, int, int], first: int) -> str:
    width, height = size
    across, down, left, top = view
    return (
        f'<image name="image_{number}"><pixels sizeX="{width}" sizeY="{height}">'
        f'<dimension sizeX="{width}" sizeY="{height}" r="0" ifd="{first}"/>'
        f'<dimension sizeX="{width // 2}" sizeY="{height // 2}" r="1" ifd="{first + 1}"/></pixels>'
        f'<view sizeX="{across}" sizeY="{down}" offsetX="{left}" offsetY="{top}" spacingZ="0"/></image>'
    )


def leica(*regions: tuple[int, int], xml: bool = True) -> bytes:
    """A Leica SCN: the macro photograph of the whole glass and its level, then each region and its level."""
    macro, glass = (808, 2334), (26564529, 76734400)
    images = leica_image(0, macro, (*glass, 0, 0), 0) + "".join(
        leica_image(number, size, (550_000, 550_000, 3_000_000, 5_000_000 * number), 2 * number)
        for number, size in enumerate(regions, 1)
    )
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection name="c" sizeX="{glass[0]}" sizeY="{glass[1]}">{images}</collection></scn>'
    )
    files = []
    for pixels in (photograph(*macro), *(slide(*size) for size in regions)):
        first = named(text) if xml and not files else {}
        files += [image(pixels, JPEG_256, first), image(box(pixels), JPEG_256, marked(1))]
    return tiff(files, big=True)


LEAKED = {
    "label named in OME-XML": Layout(
        build=lambda: converted_svs("slide.svs", "label image"), truth=OME_SIZE, letters="rmrm"
    ),
    "GT 450 label without a name": Layout(
        build=lambda: gt450_region(image(photograph(600, 800), STRIPS, marked(1))), truth=GT450_SIZE, letters="pm"
    ),
    "named macro in tiles": Layout(
        build=lambda: named_macro(named(f"{APERIO}macro 1280x431", 9)), truth=(500, 400), letters="pm"
    ),
    "Leica region smaller than the macro": Layout(
        build=lambda: leica((900, 900)), truth=(900, 900), letters="ppm"
    ),
}  # fmt: skip


# -- a label of the size of a level ------------------------------------------------------------------------------------

WIDTH, HEIGHT = 1024, 768  # the base; level 1 is 512 x 384, level 2 is 256 x 192
FORMED = ycbcr("420", tile=(128, 128), **TABLES)


def associated(label: Image, *, numbers: Sequence[int] = (0, 1), way: Way = FORMED, kind: int = 1) -> bytes:
    """A pyramid in the main chain without any words, and an image beside it."""
    base = slide(WIDTH, HEIGHT)
    levels = [image(halved(base, number), way, marked(kind if number else 0)) for number in numbers]
    return tiff([*levels, label])


def like_level_two(way: Way, kind: int = 1, *, size: tuple[int, int] = (256, 192), description: str = "") -> Image:
    return image(photograph(*size), way, named(description, kind))


SIZED = {
    "of another tile size": like_level_two(replace(FORMED, tile=(64, 64))),
    "of another tile shape": like_level_two(replace(FORMED, tile=(128, 64))),
    "of another compression": like_level_two(deflated((128, 128))),
    "of another colour": like_level_two(rgb(tile=(128, 128))),
    "in one tile of its size": like_level_two(replace(FORMED, tile=(256, 192))),
    "in strips": like_level_two(STRIPS),
    "in one strip": like_level_two(replace(STRIPS, rows=2**32 - 1)),
    "rounded and not marked": like_level_two(deflated((128, 128)), 0, size=(255, 193)),
    "not marked, in one tile": like_level_two(replace(FORMED, tile=(256, 192)), 0),
    "padded to whole tiles": like_level_two(deflated((128, 128)), size=(256, 256)),
    "named, stored like the base": like_level_two(FORMED, description="Label"),
    "named in capitals": like_level_two(FORMED, description="LABELIMAGE"),
    "named as Ventana does": like_level_two(FORMED, description="Label_Image"),
    "named as a thumbnail": like_level_two(FORMED, description="thumbnail"),
    "named as a macro by its type": like_level_two(FORMED, 9),
    "with a name among words": like_level_two(FORMED, description="Specimen label of case 7"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZED)
def test_label_of_the_size_of_a_level_is_not_published(name: str) -> None:
    assert_published(associated(SIZED[name]), slide(WIDTH, HEIGHT), "ppmm")


def test_label_in_one_tile_of_the_base_size_is_not_a_level() -> None:
    base = slide(1024, 1024)
    data = tiff([
        image(base, JPEG_256),
        image(halved(base, 1), JPEG_256, marked(1)),
        image(photograph(256, 256), JPEG_256, marked(1)),
    ])  # fmt: skip
    assert_published(data, base, "ppm")


def test_label_of_the_size_of_a_level_in_strips_is_not_published() -> None:
    base = slide(700, 500)
    data = tiff([image(base, STRIPS), image(photograph(350, 250), STRIPS, marked(1))])
    assert_published(data, base, "rmm")


def test_of_two_images_for_one_level_the_described_one_is_published() -> None:
    base = slide(WIDTH, HEIGHT)
    described = image(halved(base, 2), FORMED, named("level=2 mag=10 quality=80", 1))
    images = [image(base, FORMED), image(halved(base, 1), FORMED, marked(1)), like_level_two(FORMED), described]
    assert_published(tiff(images), base, "pppm")


def test_levels_of_a_named_macro_are_not_levels_of_the_slide() -> None:
    base = slide(WIDTH, HEIGHT)
    macro = [image(photograph(512, 384), FORMED, named("macro")), image(photograph(256, 192), FORMED, marked(1))]
    assert_published(tiff([image(base, FORMED), *macro]), base, "pmmm")


def test_a_pyramid_whose_levels_are_stored_otherwise_is_made() -> None:
    """A true pyramid that is not recognised costs time only."""
    base = slide(WIDTH, HEIGHT)
    levels = [image(halved(base, number), deflated(), marked(1)) for number in (1, 2, 3)]
    assert_published(tiff([image(base, FORMED), *levels]), base, "pmmm")


# -- which image is the slide ------------------------------------------------------------------------------------------


NAMES = {
    "Aperio": named(f"{APERIO}macro 1280x431"),
    "Aperio without line feed": named("Aperio Image Library v11.2.1 \rmacro 1280x431"),
    "Aperio with a last empty line": named(f"{APERIO}macro 1280x431\r\n"),
    "Aperio in capitals": named(f"{APERIO}MACRO 1280X431"),
    "one word": named("Macro"),
    "Philips": named("MACROIMAGE"),
    "Philips XML": named(
        '<?xml version="1.0"?><DataObject ObjectType="DPScannedImage"><Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D"'
        ' Element="0x1004" PMSVR="IString">MACROIMAGE</Attribute></DataObject>'
    ),
    "PerkinElmer": named(
        "<PerkinElmer-QPI-ImageDescription><ImageType>Overview</ImageType></PerkinElmer-QPI-ImageDescription>"
    ),
    "by type only": marked(9),
    "in a sentence": named("The macro photograph of this glass"),
    "in camel case": named("SlideMacroImage"),
    "as a barcode": named("Barcode"),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_named_macro_in_tiles_is_never_the_slide(name: str) -> None:
    assert_published(named_macro(NAMES[name]), slide(500, 400), "pm")


def test_named_macro_with_levels_of_its_own_is_never_the_slide() -> None:
    for words in (f"{APERIO}macro 1280x431", "The macro photograph of this glass"):
        inside = (image(photograph(640, 216), JPEG_256, marked(1)),)
        assert_published(named_macro(named(words), inside=inside), slide(500, 400), "pm")


MACRO = (1280, 431)
SLIDES = {
    "OME macro with levels": Layout(
        build=lambda: tiff([
            image(slide(500, 400), deflated(), ome(("region", 500, 400, 0), ("macro image", *MACRO, 1))),
            image(photograph(*MACRO), deflated(), inside=(image(photograph(640, 216), deflated(), marked(1)),)),
        ]),
        truth=(500, 400), letters="rm",
    ),
    "OME macro without its place": Layout(
        build=lambda: tiff([
            image(slide(500, 400), deflated(), named(
                '<OME><Image Name="a"><Pixels SizeX="500" SizeY="400"><TiffData/></Pixels></Image>'
                '<Image Name="Macro Image"><Pixels SizeX="1280" SizeY="431"><TiffData/></Pixels></Image></OME>'
            )),
            image(photograph(*MACRO), deflated()),
        ]),
        truth=(500, 400), letters="rm",
    ),
    "OME label without a name": Layout(
        build=lambda: converted_svs("slide.svs", ""), refused=SECOND,
    ),
    "OME label without a name, stored like the base": Layout(
        build=lambda: converted_svs("slide.svs", "", label=(363, 250), way=deflated()), refused=SECOND,
    ),
    "GT 450 label in tiles": Layout(
        build=lambda: gt450_region(image(photograph(600, 800), JPEG_256, marked(1))), truth=GT450_SIZE, letters="pm",
    ),
    "GT 450 label in tiles, not marked": Layout(
        build=lambda: gt450_region(image(photograph(600, 800), JPEG_256, marked(0))), refused=SECOND,
    ),
    "GT 450 label in strips, not marked": Layout(
        build=lambda: gt450_region(image(photograph(600, 800), STRIPS, marked(0))), truth=GT450_SIZE, letters="pm",
    ),
    "label of the shape of the base, twice as large": Layout(
        build=lambda: gt450_region(image(photograph(680, 600), deflated((128, 128)))), refused=SECOND,
    ),
    "label of the shape of the base, half as large again": Layout(
        build=lambda: gt450_region(image(photograph(510, 450), JPEG_256)), refused=SECOND,
    ),
    "marked label of the shape of the base, twice as large": Layout(
        build=lambda: gt450_region(image(photograph(680, 600), deflated((128, 128)), marked(1))),
        truth=GT450_SIZE, letters="pm",
    ),
    "label twice as large as a region with levels": Layout(
        build=lambda: tiff([
            image(photograph(1360, 1200), deflated()),
            *(image(halved(slide(680, 600), number), JPEG_256) for number in (0, 1)),
        ]),
        refused=SECOND,
    ),
    "label with levels beside a region of other storage": Layout(
        build=lambda: tiff([
            *(image(halved(photograph(1360, 1200), number), deflated()) for number in (0, 1)),
            image(slide(340, 280), JPEG_256),
        ]),
        refused=SECOND,
    ),
    "only a label in strips and a macro": Layout(
        build=lambda: tiff([image(photograph(600, 800), STRIPS, marked(1)), image(photograph(400, 150), STRIPS, marked(9))]),
        refused=NONE,
    ),
    "only a named label": Layout(
        build=lambda: tiff([image(photograph(600, 800), JPEG_256, named(f"{APERIO}label 600x800"))]), refused=NONE,
    ),
    "strips beside a named macro in tiles": Layout(
        build=lambda: tiff([image(photograph(600, 800), STRIPS), image(photograph(400, 150), JPEG_256, named("macro"))]),
        refused=NONE,
    ),
    "strips, and a larger label in strips": Layout(
        build=lambda: tiff([image(slide(340, 300), STRIPS), image(photograph(600, 800), STRIPS)]), refused=SECOND,
    ),
    "strips, and a larger marked label in strips": Layout(
        build=lambda: tiff([image(slide(340, 300), STRIPS), image(photograph(600, 800), STRIPS, marked(1))]),
        truth=(340, 300), letters="rm",
    ),
    "Leica without XML": Layout(build=lambda: leica((900, 900), xml=False), refused=SECOND),
    "Leica with two regions": Layout(build=lambda: leica((900, 900), (420, 420)), refused=SECOND),
    "two pyramids of nearly the same shape": Layout(
        build=lambda: tiff([
            image(halved(slide(*size), number), JPEG_256, marked(number))
            for size in ((1000, 750), (700, 650)) for number in (0, 1)
        ]),
        refused=SECOND,
    ),
    "a small second pyramid": Layout(
        build=lambda: tiff([
            image(halved(slide(*size), number), FORMED, marked(number))
            for size in ((1024, 768), (330, 330)) for number in (0, 1)
        ]),
        refused=SECOND,
    ),
    "a second pyramid that is all marked as reduced": Layout(
        build=lambda: tiff([
            *(image(halved(slide(1024, 768), number), FORMED, marked(number)) for number in (0, 1)),
            *(image(halved(slide(330, 330), number), FORMED, marked(1)) for number in (0, 1)),
        ]),
        refused=SECOND,
    ),
    "a second pyramid of the size of a level, in SubIFDs": Layout(
        build=lambda: tiff([
            image(slide(*size), FORMED, inside=(image(halved(slide(*size), 1), FORMED, marked(1)),))
            for size in ((1024, 768), (512, 384))
        ]),
        refused=SECOND,
    ),
    "a second pyramid of the size of a level": Layout(
        build=lambda: tiff([
            image(halved(slide(*size), number), FORMED) for size in ((1024, 768), (512, 384)) for number in (0, 1)
        ]),
        refused="has 2 images of the size of level 1, images 1 and 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEAKED)
def test_layout_that_published_a_label_publishes_the_slide(name: str) -> None:
    LEAKED[name].check()


@pytest.mark.parametrize("name", SLIDES)
def test_the_slide_is_published_or_the_file_is_refused(name: str) -> None:
    SLIDES[name].check()


# -- what still works --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["Label-free SRS microscopy", "Zeiss macro scanner, 20x", "ImageJ=1.53\nmy label"])
def test_slide_described_with_a_name_among_words_is_published(words: str) -> None:
    base = slide(WIDTH, HEIGHT)
    inside = tuple(image(halved(base, number), FORMED, marked(1)) for number in (1, 2))
    assert_published(tiff([image(base, FORMED, named(words), inside=inside)]), base, "pppm")
    chain = [image(base, FORMED, named(words)), *inside]
    assert_published(tiff([*chain, image(photograph(90, 100), STRIPS, named("label"))]), base, "pppm")
    assert_published(tiff([image(base, FORMED, named(words))]), base, "pmmm")


def test_associated_images_are_published_under_their_own_names_when_asked() -> None:
    label, macro = image(photograph(600, 800), STRIPS, marked(1)), image(photograph(400, 150), STRIPS, marked(9))
    words = named(GT450.format(1024, 768, 1024, 768), 0)
    data = tiff([image(slide(WIDTH, HEIGHT), JPEG_256, words), label, macro])
    world, job = published_job(data)
    place = (job.destination.image_store, job.image)
    assert job.slide.associated == ()
    assert [world.memory_archive.associated_image(*place, name) for name in ("label", "macro", "thumbnail")] == [
        None
    ] * 3
    world, job = published_job(data, associated=True)
    assert job.slide.associated == ("label", "macro")
    found = world.memory_archive.associated_image(job.destination.image_store, job.image, "label")
    assert found is not None
    assert imagecodecs.jpeg8_decode(found).shape == (800, 600, 3)
    assert_only_green(world)


def test_label_without_a_name_is_not_published_as_thumbnail() -> None:
    data = tiff([image(slide(WIDTH, HEIGHT), JPEG_256), image(photograph(600, 800), STRIPS, marked(1))])
    assert published_job(data, associated=True)[1].slide.associated == ()
    data = tiff([image(slide(WIDTH, HEIGHT), JPEG_256), image(box(slide(WIDTH, HEIGHT)), STRIPS)])
    assert published_job(data, associated=True)[1].slide.associated == ("thumbnail",)
