"""Selection of the slide and its levels among the images of a file. The tests use directories of large slides, without
their pixels."""

from array import array
from typing import Any

import pytest

from chalicelib.core.errors import UnsupportedError
from chalicelib.core.plan.slide_images import MAX_PHOTOGRAPH_PIXELS, SlideImages, base_image, slide_images
from chalicelib.core.tiff.directory import Ifd

LARGE, MIDDLE = (40_000, 30_000), (8_000, 6_000)  # above and below the size limit of a photograph
STRIPS = {"is_tiled": False}
DEFLATE = {"compression": 8, "photometric": 2}


def ifd(index: int, size: tuple[int, int], **fields: Any) -> Ifd:
    """Return an image in JPEG tiles of 512 px, or in strips of 16 rows."""
    width_px, height_px = size
    values: dict[str, Any] = {
        "is_tiled": True, "tile_width_px": 512, "tile_height_px": 512, "compression": 7, "photometric": 6, "samples": 3,
        "bits": 8, "planar": 1, "subfile_type": 0, "description": "", "subsampling": (2, 2), "jpeg_tables": b"",
    }  # fmt: skip
    if not fields.get("is_tiled", True):
        values |= {"tile_width_px": width_px, "tile_height_px": 16}
    values |= fields
    across, down = values["tile_width_px"], values["tile_height_px"]
    planes = values["samples"] if values["planar"] == 2 else 1
    table = array("Q", [8]) * (-(-width_px // across) * -(-height_px // down) * planes)
    return Ifd(index=index, width_px=width_px, height_px=height_px, offsets=table, byte_counts=table, **values)


def half(size: tuple[int, int], times: int = 1) -> tuple[int, int]:
    return -(-size[0] >> times), -(-size[1] >> times)


def found(*images: tuple[tuple[int, int], dict[str, Any]] | tuple[int, int]) -> SlideImages:
    """Return the slide of a file. Each image is (size, fields), or a size alone."""
    described = [each if isinstance(each[1], dict) else (each, {}) for each in images]
    return slide_images([ifd(index, size, **fields) for index, (size, fields) in enumerate(described)])


def indexes(images: SlideImages) -> tuple[int, dict[int, int]]:
    return images.base.index, {level: each.index for level, each in images.levels.items()}


def test_small_image_is_ignored_if_base_exceeds_photograph_size() -> None:
    assert LARGE[0] * LARGE[1] > MAX_PHOTOGRAPH_PIXELS > MIDDLE[0] * MIDDLE[1]
    assert indexes(found(LARGE, (1280, 431))) == (0, {})
    assert indexes(found(LARGE, ((1280, 431), DEFLATE), half(LARGE))) == (0, {1: 2})
    with pytest.raises(UnsupportedError, match=r"second slide in it, image 1 \(1280 x 431 px\), beside image 0"):
        found(MIDDLE, (1280, 431))


@pytest.mark.parametrize("other", [(12_000, 9_000), (20_001, 14_000)])
def test_large_image_with_large_base_is_a_second_slide(other: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedError, match="second slide"):
        found(LARGE, (other[0], other[1] - 100))


def test_small_pyramid_with_large_base_is_a_second_slide() -> None:
    for fields in ({}, {"subfile_type": 1}):
        with pytest.raises(UnsupportedError, match="second slide"):
            found(LARGE, half(LARGE), ((3000, 1700), fields), ((1500, 850), {"subfile_type": 1}))
    with pytest.raises(UnsupportedError, match="second slide"):
        found(LARGE, (3000, 1700), ((1500, 850), {"parent": 1}))


def test_differently_stored_levels_of_large_base_are_made() -> None:
    assert indexes(found(LARGE, *((half(LARGE, times), DEFLATE) for times in (1, 2, 3)))) == (0, {})


def test_differently_stored_levels_of_small_base_need_a_mark() -> None:
    levels = [half(MIDDLE, times) for times in (1, 2, 3)]
    with pytest.raises(UnsupportedError, match="second slide"):
        found(MIDDLE, *((size, DEFLATE) for size in levels))
    assert indexes(found(MIDDLE, *((size, DEFLATE | {"subfile_type": 1}) for size in levels))) == (0, {})


def test_pyramid_of_other_factors_is_one_slide() -> None:
    thirds = [(MIDDLE[0] // factor, MIDDLE[1] // factor) for factor in (2, 3, 6, 12)]
    assert indexes(found(MIDDLE, *thirds)) == (0, {1: 1})
    for factor in (1.5, 3.0):
        scaled = [(int(MIDDLE[0] / factor / part), int(MIDDLE[1] / factor / part)) for part in (1, 2)]
        assert indexes(found(MIDDLE, *((size, {"subfile_type": 1}) for size in scaled))) == (0, {})


def test_image_of_reduced_resolution_is_not_base_of_several_images() -> None:
    reduced = {"subfile_type": 1}
    assert indexes(found((MIDDLE, reduced), (900, 700))) == (1, {})
    # A level that was extracted from its file keeps its mark.
    assert indexes(found((MIDDLE, reduced))) == (0, {})
    assert indexes(found((half(MIDDLE), reduced), (MIDDLE, reduced))) == (1, {1: 0})
    with pytest.raises(UnsupportedError, match="no image that is certain to be the slide"):
        found((MIDDLE, reduced), ((900, 700), {"description": "label"}))


def test_strips_are_not_the_base_of_a_file_with_tiles() -> None:
    assert indexes(found((MIDDLE, STRIPS), (900, 700))) == (1, {})
    with pytest.raises(UnsupportedError, match="no image that is certain to be the slide"):
        found((MIDDLE, STRIPS), ((900, 700), {"subfile_type": 1}))


def test_base_can_be_a_subifd_of_its_thumbnail() -> None:
    thumbnail = ((250, 188), {"subfile_type": 1, **STRIPS})
    assert indexes(found(thumbnail, (MIDDLE, {"parent": 0}))) == (1, {})
    assert indexes(found((half(MIDDLE), {"subfile_type": 1}), (MIDDLE, {"parent": 0}))) == (1, {1: 0})


def test_subifds_of_the_base_are_its_levels_however_they_are_stored() -> None:
    own = {"tile_width_px": 1000, "tile_height_px": 750, "parent": 0}
    assert indexes(found(MIDDLE, (half(MIDDLE), {"parent": 0} | DEFLATE), (half(MIDDLE, 3), own))) == (0, {1: 1, 3: 2})
    # The main chain then contains other images, of any size.
    other = (half(MIDDLE, 2), {"subfile_type": 1})
    assert indexes(found(MIDDLE, (half(MIDDLE), {"parent": 0}), other)) == (0, {1: 1})


def test_subifd_has_the_name_of_its_parent() -> None:
    macro, child = (MIDDLE, {"description": "macro"}), (half(MIDDLE), {"parent": 1})
    assert indexes(found((900, 700), macro, child)) == (0, {})


def test_subifd_of_another_image_is_not_a_level() -> None:
    assert indexes(found(MIDDLE, (half(MIDDLE), STRIPS), (half(MIDDLE, 2), {"parent": 1}))) == (0, {})


def test_subifd_in_a_tile_of_its_own_is_not_padded() -> None:
    own = {"tile_width_px": 1104, "tile_height_px": 1104, "parent": 0}
    assert indexes(found(MIDDLE, ((1104, 1104), own))) == (0, {})


def test_image_of_the_size_of_a_level_with_subifds_is_a_second_slide() -> None:
    with pytest.raises(UnsupportedError, match="second slide"):
        found(MIDDLE, half(MIDDLE), (half(MIDDLE, 2), {"parent": 1}))


def test_images_of_the_main_chain_of_an_ome_tiff_are_not_levels() -> None:
    text = {"description": '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"></OME>'}
    assert indexes(found((MIDDLE, text), (half(MIDDLE), {"subfile_type": 1}))) == (0, {})
    with pytest.raises(UnsupportedError, match="second slide"):
        found((MIDDLE, text), half(MIDDLE))


# -- descriptions with a name among other words ------------------------------------------------------------------------

FREE, MY_MACRO = {"description": "Label-free microscopy"}, {"description": "The macro of case 7"}


def test_described_slide_has_levels_and_agrees_with_every_other_image() -> None:
    assert indexes(found((MIDDLE, FREE), half(MIDDLE))) == (0, {1: 1})
    assert indexes(found((MIDDLE, FREE), (half(MIDDLE), {"parent": 0}))) == (0, {1: 1})
    assert indexes(found((MIDDLE, FREE), half(MIDDLE), ((900, 700), STRIPS | MY_MACRO))) == (0, {1: 1})
    assert indexes(found((MIDDLE, FREE), (half(MIDDLE), FREE), ((250, 188), STRIPS))) == (0, {})
    # Alone in its file, it may have no levels.
    assert indexes(found((MIDDLE, FREE))) == (0, {})


def test_photograph_with_a_name_among_words_is_not_the_slide() -> None:
    assert indexes(found((MIDDLE, MY_MACRO), (half(MIDDLE), DEFLATE))) == (1, {})
    assert indexes(found((MIDDLE, MY_MACRO), (half(MIDDLE), {"parent": 0}), (900, 700))) == (2, {})


@pytest.mark.parametrize(
    "images",
    [
        # Two pyramids with such words; strips; an image of reduced resolution; strips of another shape.
        [(MIDDLE, MY_MACRO), (half(MIDDLE), {"parent": 0}), ((900, 700), FREE), ((450, 350), {"parent": 2})],
        [(MIDDLE, STRIPS | FREE), (half(MIDDLE), STRIPS | {"parent": 0})],
        [(MIDDLE, {"subfile_type": 1} | FREE), (half(MIDDLE), {"parent": 0})],
        [(MIDDLE, MY_MACRO), (half(MIDDLE), {"parent": 0}), ((900, 700), STRIPS)],
        # Two of one size: the largest other image is a level of both.
        [(MIDDLE, FREE), (MIDDLE, FREE), half(MIDDLE)],
    ],
)
def test_slide_with_uncertain_descriptions_is_refused(images: list[Any]) -> None:
    with pytest.raises(UnsupportedError, match="no image that is certain to be the slide"):
        found(*images)


def test_described_levels_are_used_with_any_storage_and_padding() -> None:
    level = half(MIDDLE, 3)  # 1000 x 750
    own = {"tile_width_px": 1000, "tile_height_px": 750}
    assert indexes(found(MIDDLE, (level, own | {"description": "level=3 mag=5 quality=80"}))) == (0, {3: 1})
    assert indexes(found(MIDDLE, (level, own | {"description": "level=2 mag=5 quality=80"}))) == (0, {})
    assert indexes(found(MIDDLE, ((1024, 1024), {"description": "level=3 mag=5"}))) == (0, {3: 1})


def test_padded_levels_require_whole_tile_base_or_philips_file() -> None:
    padded = ((1024, 1024), {"subfile_type": 1})
    assert indexes(found(MIDDLE, padded)) == (0, {})
    assert indexes(found((MIDDLE, {"software": "Philips DP v1.0"}), padded)) == (0, {3: 1})
    assert indexes(found((8192, 5632), ((1024, 1024), {"subfile_type": 1}))) == (0, {3: 1})
    # Labels are stored in a single tile of their own size.
    assert indexes(found((8192, 4096), ((512, 512), {"subfile_type": 1}))) == (0, {})


def test_two_images_of_one_level_are_levels_of_two_slides() -> None:
    with pytest.raises(UnsupportedError, match="has 2 images of the size of level 1, images 1 and 2"):
        found(MIDDLE, half(MIDDLE), half(MIDDLE), half(MIDDLE, 2))
    # Of two images within one tile neither is used.
    small = half(MIDDLE, 5)
    assert indexes(found(MIDDLE, half(MIDDLE), small, (small[0] + 1, small[1]))) == (0, {1: 1})


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"tile_width_px": 256}), ({}, {"tile_height_px": 256}), ({}, {"tile_width_px": 2000, "tile_height_px": 1500}),
        ({"photometric": 2}, {"compression": 8}), ({}, {"photometric": 2}), (DEFLATE, {"samples": 4}),
        (DEFLATE, {"bits": 16}), (DEFLATE, {"planar": 2}),
    ],
)  # fmt: skip
def test_undescribed_level_must_be_stored_like_the_base(base: dict[str, Any], change: dict[str, Any]) -> None:
    level = base | {"subfile_type": 1}
    assert indexes(found((MIDDLE, base), (half(MIDDLE, 2), level))) == (0, {2: 1})
    assert indexes(found((MIDDLE, base), (half(MIDDLE, 2), level | change))) == (0, {})


def test_base_is_found_whether_or_not_its_storage_is_supported() -> None:
    images = [ifd(0, (900, 700), description="Label Image"), ifd(1, MIDDLE, compression=6)]
    assert base_image(images) is images[1]
    with pytest.raises(UnsupportedError, match="old-style JPEG") as error:
        slide_images(images)
    assert error.value.convertible
    with pytest.raises(UnsupportedError, match="second slide") as error:
        base_image([*images, ifd(2, (900, 700), compression=6)])
    assert not error.value.convertible
