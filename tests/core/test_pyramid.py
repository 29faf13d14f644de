import io
from array import array
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from chalicelib.core.errors import LimitError, NotTiledError, TruncatedError, UnsupportedError
from chalicelib.core.geometry import Grid
from chalicelib.core.pyramid import Pyramid, check_tile_size, plan_pyramid, stored_tiles
from chalicelib.core.tiff import Ifd, read_ifds
from tests.slides import Slide, write


def ifds_of(slide: Slide) -> tuple[tuple[Ifd, ...], int]:
    data = write(slide)
    return read_ifds(io.BytesIO(data), size_bytes=len(data)), len(data)


def plan(slide: Slide, *, tile_size: int | None = None, base_only: bool = False) -> Pyramid:
    ifds, size_bytes = ifds_of(slide)
    return plan_pyramid(ifds, size_bytes=size_bytes, tile_size=tile_size, base_only=base_only)


def made(pyramid: Pyramid) -> list[str]:
    return [level.made for level in pyramid.levels]


def test_levels_that_the_file_has_are_passed_through_and_the_others_made() -> None:
    pyramid = plan(Slide(levels=(0, 2)))
    assert made(pyramid) == ["passthrough", "made", "passthrough", "made", "made"]
    assert [level.tiles for level in pyramid.levels] == [88, 24, 6, 2, 1]
    assert (pyramid.depth, pyramid.tile_size_px) == (5, 64)
    assert (pyramid.levels[2].width_px, pyramid.levels[2].height_px) == (175, 125)


def test_base_only_publishes_the_base_under_the_names_of_the_whole_pyramid() -> None:
    pyramid = plan(Slide(levels=(0, 1)), base_only=True)
    assert (made(pyramid), pyramid.depth) == (["passthrough"], 5)


@pytest.mark.parametrize("slide", [Slide(levels=(0, 1, 2), floor=True), Slide(levels=(0, 1, 2), subifds=True)])
def test_sizes_may_be_rounded_either_way(slide: Slide) -> None:
    assert made(plan(slide))[:3] == ["passthrough"] * 3


def test_padding_to_whole_tiles_is_not_published() -> None:
    pyramid = plan(Slide(width_px=640, height_px=512, levels=(0, 1, 2, 3), padded=True))
    assert made(pyramid) == ["passthrough"] * 4 + ["made"]
    assert [(level.columns, level.rows) for level in pyramid.levels] == [(10, 8), (5, 4), (3, 2), (2, 1), (1, 1)]


def test_columns_that_a_file_stores_beyond_the_level_are_passed_over() -> None:
    ifds, _ = ifds_of(Slide(width_px=129, height_px=128))
    level = Grid(width_px=128, height_px=128, tile_size_px=64)
    assert list(stored_tiles(level, ifds[0])) == [(0, 0, 0), (1, 0, 1), (0, 1, 3), (1, 1, 4)]


def test_a_level_that_lacks_its_last_column_by_rounding_is_made_anew() -> None:
    # 258 halves to 129: three columns of 64. Rounded down twice, 258 >> 1 is 129 still, but 257 >> 1 is 128: two.
    pyramid = plan(Slide(width_px=257, height_px=256, levels=(0, 1), floor=True))
    assert made(pyramid) == ["passthrough", "made", "made", "made"]
    assert pyramid.levels[1].columns == 3


def test_associated_images_are_no_levels() -> None:
    slide = Slide(levels=(0, 1), associated=True, colour="rgb", tables=True)
    ifds, size_bytes = ifds_of(slide)
    assert len(ifds) == 5
    pyramid = plan_pyramid(ifds, size_bytes=size_bytes, tile_size=None, base_only=False)
    assert made(pyramid) == ["passthrough", "passthrough", "made", "made", "made"]


@pytest.mark.parametrize("change", [{"subfile_type": 9}, {"description": "Aperio Image Library v1\r\nmacro 350x250"}])
def test_a_tiled_image_that_calls_itself_a_label_or_macro_is_no_level(change: dict) -> None:
    ifds, size_bytes = ifds_of(Slide(levels=(0, 1)))
    pyramid = plan_pyramid(
        [ifds[0], replace(ifds[1], **change)], size_bytes=size_bytes, tile_size=None, base_only=False
    )
    assert made(pyramid)[1] == "made"


def test_an_image_of_another_shape_is_no_level_and_the_first_of_two_equals_counts() -> None:
    ifds, size_bytes = ifds_of(Slide(levels=(0, 1)))
    squashed = replace(ifds[1], width_px=200)
    again = replace(ifds[1], index=7)
    pyramid = plan_pyramid([ifds[0], squashed, ifds[1], again], size_bytes=size_bytes, tile_size=None, base_only=False)
    assert pyramid.levels[1].ifd is ifds[1]


def test_sparse_tiles_are_counted_and_not_published() -> None:
    level = plan(Slide(sparse=frozenset({(0, 1, 1), (0, 10, 7)}))).levels[0]
    assert (level.tiles, level.sparse) == (86, 2)


def test_a_level_whose_tiles_are_all_left_out_is_made_so_that_the_thumbnail_exists() -> None:
    pyramid = plan(Slide(width_px=128, height_px=128, levels=(0, 1), sparse=frozenset({(1, 0, 0)})))
    assert (made(pyramid), pyramid.levels[1].tiles) == (["passthrough", "made"], 1)


def test_a_tile_too_large_for_a_document_of_the_database_is_refused() -> None:
    ifds, _ = ifds_of(Slide())
    for size_bytes, taken in ((16_000_000, True), (16_000_001, False), (5 << 30, False)):
        counts = array("Q", ifds[0].byte_counts)
        counts[12] = size_bytes
        slide = [replace(ifds[0], byte_counts=counts)]
        if taken:
            plan_pyramid(slide, size_bytes=6 << 30, tile_size=None, base_only=True)
            continue
        with pytest.raises(LimitError, match=rf"tile \(1, 1\) of level 0 is stored in {size_bytes} bytes"):
            plan_pyramid(slide, size_bytes=6 << 30, tile_size=None, base_only=True)


def test_a_base_without_any_tile_is_refused() -> None:
    every = frozenset((0, column, row) for column in range(2) for row in range(1))
    with pytest.raises(UnsupportedError, match="has no tiles"):
        plan(Slide(width_px=128, height_px=64, sparse=every))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"compression": 5}, "compressed with LZW; only JPEG"),
        ({"compression": 33003}, "JPEG 2000"),
        ({"compression": 12345}, "compression 12345"),
        ({"photometric": 3}, "photometric 3"),
        ({"samples": 4}, "4 samples a pixel"),
        ({"bits": 16}, "16 bits a sample"),
        ({"planar": 2}, "separate planes"),
        ({"tile_height_px": 128}, "64 x 128 px; only square"),
        ({"tile_width_px": 32, "tile_height_px": 32}, "tiles of 32 px; 64 to 4096"),
        ({"tile_width_px": 65, "tile_height_px": 65}, "tiles of 65 px; an odd size cannot be halved"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_name_and_a_way_out(change: dict, reason: str) -> None:
    ifds, size_bytes = ifds_of(Slide())
    with pytest.raises(UnsupportedError, match=reason) as refused:
        plan_pyramid([replace(ifds[0], **change)], size_bytes=size_bytes, tile_size=None, base_only=False)
    assert "--bindir" in refused.value.advice


@pytest.mark.parametrize(
    ("compression", "name"),
    [("lzw", "LZW"), ("deflate", "deflate"), ("none", "none"), (33005, r"JPEG 2000 \(RGB\)"), ("zstd", "zstd")],
)
def test_a_file_in_another_compression_is_refused_by_its_name(compression: str | int, name: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"700 x 500 px\) is compressed with {name}; only JPEG"):
        plan(Slide(compression=compression, colour="rgb"))


def test_another_tile_size_than_the_files_is_refused_for_now() -> None:
    assert plan(Slide(), tile_size=64).tile_size_px == 64
    with pytest.raises(UnsupportedError, match="tiles are 64 px and 256 px were asked for") as refused:
        plan(Slide(), tile_size=256)
    assert "64" in refused.value.advice


def test_strips_are_refused() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((300, 300, 3), np.uint8), photometric="rgb", rowsperstrip=16)
    data = file.getvalue()
    with pytest.raises(NotTiledError, match=r"300 x 300 px\) is stored in strips"):
        plan_pyramid(
            read_ifds(io.BytesIO(data), size_bytes=len(data)), size_bytes=len(data), tile_size=None, base_only=False
        )


def test_a_tile_beyond_the_end_of_the_file_is_named() -> None:
    ifds, _ = ifds_of(Slide())
    end = max(offset + size for offset, size in zip(ifds[0].offsets, ifds[0].byte_counts, strict=True))
    with pytest.raises(
        TruncatedError, match=rf"tile \(10, 7\) of level 0 ends at byte {end}, and the file at byte {end - 1}"
    ):
        plan_pyramid(ifds, size_bytes=end - 1, tile_size=None, base_only=False)


def test_absurd_slides_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ifds, size_bytes = ifds_of(Slide())
    monkeypatch.setattr("chalicelib.core.pyramid.MAX_TILES", 100)
    with pytest.raises(LimitError, match="more than 100 tiles"):
        plan_pyramid(ifds, size_bytes=size_bytes, tile_size=None, base_only=False)
    huge = replace(ifds[0], width_px=2_000_000, height_px=2_000_000)
    with pytest.raises(LimitError, match="2000000 x 2000000 px"):
        plan_pyramid([huge], size_bytes=size_bytes, tile_size=None, base_only=False)


@pytest.mark.parametrize("size", [0, -1, 100_000, 250, 48, 63])
def test_a_tile_size_that_is_none_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 16 from 64 to 4096 pixels"):
        check_tile_size(size)


def test_usual_tile_sizes_are_taken() -> None:
    assert [check_tile_size(size) for size in (64, 240, 256, 512, 1024, 4096)] == [64, 240, 256, 512, 1024, 4096]
