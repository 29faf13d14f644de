import io
from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tifffile

from chalicelib.core.errors import LimitError, TruncatedError, UnsupportedError
from chalicelib.core.geometry import Grid
from chalicelib.core.plan.pyramid import Pyramid, check_tile_size, plan_pyramid, segments_of
from chalicelib.core.tiff.directory import Ifd, read_ifds
from tests.slides import Slide, write


def ifds_of(slide: Slide) -> tuple[tuple[Ifd, ...], int]:
    data = write(slide)
    return read_ifds(io.BytesIO(data), size_bytes=len(data)), len(data)


def plan(slide: Slide, *, tile_size: int | None = None, base_only: bool = False) -> Pyramid:
    ifds, size_bytes = ifds_of(slide)
    return plan_pyramid(ifds, size_bytes=size_bytes, tile_size=tile_size, base_only=base_only)


def made(pyramid: Pyramid) -> list[str]:
    return [level.method for level in pyramid.levels]


def test_stored_levels_are_passed_through_and_others_made() -> None:
    pyramid = plan(Slide(levels=(0, 2)))
    assert made(pyramid) == ["passthrough", "downsampled", "passthrough", "downsampled", "downsampled"]
    assert [level.tiles for level in pyramid.levels] == [88, 24, 6, 2, 1]
    assert (pyramid.depth, pyramid.tile_size_px) == (5, 64)
    assert (pyramid.levels[2].width_px, pyramid.levels[2].height_px) == (175, 125)


def test_base_only_keeps_names_of_whole_pyramid() -> None:
    pyramid = plan(Slide(levels=(0, 1)), base_only=True)
    assert (made(pyramid), pyramid.depth) == (["passthrough"], 5)


@pytest.mark.parametrize("slide", [Slide(levels=(0, 1, 2), floor=True), Slide(levels=(0, 1, 2), subifds=True)])
def test_level_sizes_may_be_rounded_up_or_down(slide: Slide) -> None:
    assert made(plan(slide))[:3] == ["passthrough"] * 3


def test_padding_to_whole_tiles_is_not_published() -> None:
    pyramid = plan(Slide(width_px=640, height_px=512, levels=(0, 1, 2, 3), padded=True))
    assert made(pyramid) == ["passthrough"] * 4 + ["downsampled"]
    assert [(level.columns, level.rows) for level in pyramid.levels] == [(10, 8), (5, 4), (3, 2), (2, 1), (1, 1)]


def test_columns_beyond_the_level_are_skipped() -> None:
    ifds, _ = ifds_of(Slide(width_px=129, height_px=128))
    level = Grid(width_px=128, height_px=128, tile_size_px=64)
    assert list(segments_of(ifds[0], level)) == [(0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 0, 3), (1, 1, 0, 4)]


def test_segments_of_separate_planes_come_plane_by_plane() -> None:
    ifds, _ = ifds_of(Slide(width_px=128, height_px=64))
    level = Grid(width_px=128, height_px=64, tile_size_px=64)
    planes = list(segments_of(replace(ifds[0], planar=2), level))
    assert planes == [(0, 0, 0, 0), (1, 0, 0, 1), (0, 0, 1, 2), (1, 0, 1, 3), (0, 0, 2, 4), (1, 0, 2, 5)]


def test_level_that_lacks_last_column_is_made() -> None:
    # 257 halves to 129, which are three columns of 64. Rounded down it is 128: two columns.
    pyramid = plan(Slide(width_px=257, height_px=256, levels=(0, 1), floor=True))
    assert made(pyramid) == ["passthrough", "downsampled", "downsampled", "downsampled"]
    assert pyramid.levels[1].columns == 3


def test_associated_images_are_not_levels() -> None:
    slide = Slide(levels=(0, 1), associated=True, colour="rgb", tables=True)
    ifds, size_bytes = ifds_of(slide)
    assert len(ifds) == 5
    pyramid = plan_pyramid(ifds, size_bytes=size_bytes, tile_size=None, base_only=False)
    assert made(pyramid) == ["passthrough", "passthrough", "downsampled", "downsampled", "downsampled"]


@pytest.mark.parametrize("change", [{"subfile_type": 9}, {"description": "Aperio Image Library v1\r\nmacro 350x250"}])
def test_tiled_label_or_macro_is_not_a_level(change: dict[str, Any]) -> None:
    ifds, size_bytes = ifds_of(Slide(levels=(0, 1)))
    pyramid = plan_pyramid(
        [ifds[0], replace(ifds[1], **change)], size_bytes=size_bytes, tile_size=None, base_only=False
    )
    assert made(pyramid)[1] == "downsampled"


@pytest.mark.parametrize("words", ["Label-free SRS microscopy", "Zeiss macro scanner, 20x", "ImageJ=1.53\nmy label"])
def test_slide_may_have_label_words_in_its_description(words: str) -> None:
    ifds, size_bytes = ifds_of(Slide(levels=(0, 1, 2)))
    described = [replace(ifds[0], description=words), *ifds[1:]]
    pyramid = plan_pyramid(described, size_bytes=size_bytes, tile_size=None, base_only=False)
    assert (pyramid.width_px, pyramid.height_px) == (700, 500)
    assert made(pyramid)[:3] == ["passthrough"] * 3


def test_large_photograph_of_the_glass_is_not_the_slide() -> None:
    ifds, size_bytes = ifds_of(Slide(levels=(0, 1)))
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((1000, 1400, 3), np.uint8), photometric="rgb", description="macro 1400x1000")
    file.seek(0)
    photograph = replace(read_ifds(file, size_bytes=len(file.getvalue()))[0], index=2)
    pyramid = plan_pyramid([*ifds, photograph], size_bytes=size_bytes, tile_size=None, base_only=False)
    assert (pyramid.width_px, pyramid.height_px) == (700, 500)


def test_image_of_another_shape_is_not_a_level() -> None:
    ifds, size_bytes = ifds_of(Slide(levels=(0, 1)))
    squashed = replace(ifds[1], index=2, width_px=200, subfile_type=1)
    pyramid = plan_pyramid([ifds[0], squashed, ifds[1]], size_bytes=size_bytes, tile_size=None, base_only=False)
    assert pyramid.levels[1].ifd is ifds[1]


def test_sparse_tiles_are_counted_and_not_published() -> None:
    level = plan(Slide(sparse=frozenset({(0, 1, 1), (0, 10, 7)}))).levels[0]
    assert (level.tiles, level.sparse) == (86, 2)


def test_level_without_stored_tiles_is_made() -> None:
    pyramid = plan(Slide(width_px=128, height_px=128, levels=(0, 1), sparse=frozenset({(1, 0, 0)})))
    assert (made(pyramid), pyramid.levels[1].tiles) == (["passthrough", "downsampled"], 1)


def test_level_sparser_than_finer_level_is_made() -> None:
    consistent = {(0, column, row) for column in (2, 3) for row in (2, 3)} | {(1, 1, 1)}
    pyramid = plan(Slide(width_px=512, height_px=512, levels=(0, 1), sparse=frozenset(consistent)))
    assert (made(pyramid)[1], pyramid.levels[1].sparse) == ("passthrough", 1)
    corrupt = consistent - {(0, 3, 3)}
    pyramid = plan(Slide(width_px=512, height_px=512, levels=(0, 1), sparse=frozenset(corrupt)))
    assert (made(pyramid)[1], pyramid.levels[1].sparse) == ("downsampled", 0)


def test_base_without_tiles_is_refused() -> None:
    every = frozenset((0, column, row) for column in range(2) for row in range(1))
    with pytest.raises(UnsupportedError, match="has no tiles"):
        plan(Slide(width_px=128, height_px=64, sparse=every))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"compression": 6}, "compressed with old-style JPEG, which is not published"),
        ({"compression": 12345}, "compression 12345"),
        ({"photometric": 5}, "stored as CMYK; grey, palette, RGB and YCbCr"),
        ({"photometric": 12345}, "photometric interpretation 12345"),
        ({"samples": 4}, "JPEG of 4 samples a pixel; 1 and 3 are published"),
        ({"samples": 5}, "5 samples a pixel, where 3 are expected"),
        ({"bits": 16}, r"16 bits a sample \(unsigned\)"),
        ({"bits": 0}, "differing bits a sample"),
        ({"compression": 1, "photometric": 2, "bits": 32, "sample_format": 3}, r"32 bits a sample \(floating-point\)"),
        ({"compression": 5, "photometric": 2, "predictor": 3}, "predictor 3; none and horizontal"),
        ({"compression": 5}, "YCbCr compressed with LZW"),
        ({"compression": 5, "photometric": 3, "samples": 1}, "a palette that is not one of 256 colours"),
        ({"compression": 33005, "photometric": 2, "planar": 2}, r"JPEG 2000 \(RGB\) in separate planes"),
        ({"tile_width_px": 16384, "tile_height_px": 16384}, "tiles of 768 MiB each; at most 64 MiB"),
        ({"is_tiled": False, "width_px": 140_000, "tile_width_px": 140_000}, "strips of 140000 px"),
        ({"is_ndpi": True}, "Hamamatsu's NDPI"),
    ],
)
def test_unsupported_file_is_refused_with_reason_and_advice(change: dict[str, Any], reason: str) -> None:
    ifds, size_bytes = ifds_of(Slide())
    with pytest.raises(UnsupportedError, match=reason) as refused:
        plan_pyramid([replace(ifds[0], **change)], size_bytes=size_bytes, tile_size=None, base_only=False)
    assert "--bindir" in refused.value.advice


@pytest.mark.parametrize("compression", ["lzw", "deflate", "none", 33005, "zstd"])
def test_file_in_other_compression_is_reencoded(compression: str | int) -> None:
    pyramid = plan(Slide(compression=compression, colour="rgb", levels=(0, 1)))
    assert made(pyramid) == ["re-encoded", "re-encoded", "downsampled", "downsampled", "downsampled"]


@pytest.mark.parametrize(
    ("tiles", "wanted", "way"),
    [
        ((64, 64), None, "passthrough"), ((64, 64), 64, "passthrough"), ((128, 128), 64, "lossless-crop"),
        ((128, 64), 64, "lossless-crop"), ((128, 128), 96, "re-encoded"), ((64, 64), 128, "re-encoded"),
    ],
)  # fmt: skip
def test_smaller_tile_size_is_cropped_where_tiles_allow(tiles: tuple[int, int], wanted: int | None, way: str) -> None:
    ifds, size_bytes = ifds_of(Slide(width_px=128, height_px=128, tile_size_px=128))
    ifd = replace(ifds[0], tile_width_px=tiles[0], tile_height_px=tiles[1])
    count = ifd.segment_columns * ifd.segment_rows
    ifd = replace(ifd, offsets=array("Q", [8] * count), byte_counts=array("Q", [9] * count))
    pyramid = plan_pyramid([ifd], size_bytes=size_bytes, tile_size=wanted, base_only=True)
    assert (pyramid.levels[0].method, pyramid.tile_size_px) == (way, wanted or 64)


@pytest.mark.parametrize(
    ("change", "way"),
    [
        # 80 is a multiple of 8 and of the 16 px blocks of 4:2:0, but not of 32 px blocks.
        ({"photometric": 6, "subsampling": (2, 2)}, "lossless-crop"),
        ({"photometric": 6, "subsampling": (4, 4)}, "re-encoded"),
        ({"photometric": 2}, "lossless-crop"),
        ({"planar": 2, "photometric": 2}, "re-encoded"),
    ],
)
def test_tiles_are_cropped_at_mcu_boundaries_only(change: dict[str, Any], way: str) -> None:
    ifds, size_bytes = ifds_of(Slide(width_px=160, height_px=160, tile_size_px=160))
    counts = array("Q", [9] * 3)
    ifd = replace(ifds[0], offsets=counts, byte_counts=counts, **change)
    pyramid = plan_pyramid([ifd], size_bytes=size_bytes, tile_size=80, base_only=True)
    assert pyramid.levels[0].method == way
    cannot = plan_pyramid([ifd], size_bytes=size_bytes, tile_size=80, base_only=True, can_crop=False)
    assert cannot.levels[0].method == "re-encoded"


@pytest.mark.parametrize(("width", "height"), [(32, 32), (66, 65), (4200, 4200)])
def test_unusual_tile_sizes_are_published_as_256_px(width: int, height: int) -> None:
    ifds, _ = ifds_of(Slide(width_px=128, height_px=128, tile_size_px=128))
    ifd = replace(ifds[0], tile_width_px=width, tile_height_px=height)
    count = ifd.segment_columns * ifd.segment_rows
    ifd = replace(ifd, offsets=array("Q", [8] * count), byte_counts=array("Q", [9] * count))
    pyramid = plan_pyramid([ifd], size_bytes=100, tile_size=None, base_only=True)
    assert (pyramid.tile_size_px, pyramid.levels[0].method) == (256, "re-encoded")


def test_strips_are_published_as_256_px_tiles() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for side in (600, 300):
            writer.write(np.zeros((side, side, 3), np.uint8), photometric="rgb", rowsperstrip=16, metadata=None)
    data = file.getvalue()
    ifds = read_ifds(io.BytesIO(data), size_bytes=len(data))
    pyramid = plan_pyramid(ifds, size_bytes=len(data), tile_size=None, base_only=False)
    # Only its size indicates that the second image is a level.
    assert (made(pyramid), pyramid.tile_size_px) == (["re-encoded", "downsampled", "downsampled"], 256)
    described = replace(ifds[1], description="level=1 mag=10")
    pyramid = plan_pyramid([ifds[0], described], size_bytes=len(data), tile_size=None, base_only=False)
    assert made(pyramid) == ["re-encoded", "re-encoded", "downsampled"]
    short = replace(ifds[0], offsets=ifds[0].offsets[:-1])
    with pytest.raises(TruncatedError, match="fewer strips than it has"):
        plan_pyramid([short], size_bytes=len(data), tile_size=None, base_only=False)


def test_several_full_size_images_are_refused() -> None:
    ifds, size_bytes = ifds_of(Slide())
    with pytest.raises(UnsupportedError, match="has 2 images of 700 x 500 px: channels or focal planes"):
        plan_pyramid([ifds[0], replace(ifds[0], index=1)], size_bytes=size_bytes, tile_size=None, base_only=False)


def test_second_region_is_refused() -> None:
    ifds, size_bytes = ifds_of(Slide())
    region = replace(ifds[0], index=1, width_px=400)
    with pytest.raises(UnsupportedError, match=r"second slide in it, image 1 \(400 x 500 px\)"):
        plan_pyramid([ifds[0], region], size_bytes=size_bytes, tile_size=None, base_only=False)


def test_tiles_sharing_large_byte_ranges_are_refused() -> None:
    ifds, _ = ifds_of(Slide())
    shared = replace(ifds[0], offsets=array("Q", [8] * 88), byte_counts=array("Q", [2_000_000] * 88))
    with pytest.raises(LimitError, match="share their bytes: apart they are 176000000 bytes, of a file of 3000000"):
        plan_pyramid([shared], size_bytes=3_000_000, tile_size=None, base_only=False)
    # A shared empty tile is small.
    empty = replace(ifds[0], offsets=array("Q", [8] * 88), byte_counts=array("Q", [700] * 88))
    assert plan_pyramid([empty], size_bytes=10_000, tile_size=None, base_only=False).levels[0].tiles == 88


def test_wide_strips_with_large_tiles_are_refused() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((64, 100_000, 3), np.uint8), photometric="rgb", rowsperstrip=16, compression="zlib")
    file.seek(0)
    (strips,) = read_ifds(file, size_bytes=len(file.getvalue()))
    with pytest.raises(LimitError, match="stored in strips: a row of tiles of 2048 px would take 588 MiB") as found:
        plan_pyramid([strips], size_bytes=len(file.getvalue()), tile_size=2048, base_only=False)
    assert found.value.advice == "Ask for a smaller tile_size."
    assert plan_pyramid([strips], size_bytes=len(file.getvalue()), tile_size=None, base_only=False).tile_size_px == 256


def ends(ifd: Ifd) -> list[int]:
    return sorted(offset + size for offset, size in zip(ifd.offsets, ifd.byte_counts, strict=True))


def test_few_tiles_beyond_end_of_file_are_bad_tiles() -> None:
    ifds, _ = ifds_of(Slide())
    few, many = ends(ifds[0])[-3], ends(ifds[0])[-20]
    pyramid = plan_pyramid(ifds, size_bytes=few, tile_size=None, base_only=False)
    assert (pyramid.levels[0].beyond, pyramid.levels[0].tiles) == (2, 88)
    with pytest.raises(TruncatedError, match=rf"19 of the 88 stored pieces .* behind the file's end, at byte {many}"):
        plan_pyramid(ifds, size_bytes=many, tile_size=None, base_only=False)
    with pytest.raises(TruncatedError, match="2 of the 88 stored pieces"):
        plan_pyramid(ifds, size_bytes=few, tile_size=None, base_only=False, on_bad_tile="fail")


def test_coarser_level_with_lost_tiles_is_made() -> None:
    ifds, _ = ifds_of(Slide(levels=(0, 1)))
    lost = ends(ifds[1])[-1] - 1
    assert made(plan_pyramid(ifds, size_bytes=lost, tile_size=None, base_only=False))[1] == "downsampled"


def test_slide_beyond_size_limits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ifds, size_bytes = ifds_of(Slide())
    monkeypatch.setattr("chalicelib.core.plan.pyramid.MAX_TILES", 100)
    with pytest.raises(LimitError, match="more than 100 tiles"):
        plan_pyramid(ifds, size_bytes=size_bytes, tile_size=None, base_only=False)
    huge = replace(ifds[0], width_px=2_000_000, height_px=2_000_000)
    with pytest.raises(LimitError, match="2000000 x 2000000 px"):
        plan_pyramid([huge], size_bytes=size_bytes, tile_size=None, base_only=False)


@pytest.mark.parametrize("size", [0, -1, 100_000, 250, 48, 63])
def test_check_tile_size_rejects_invalid_sizes(size: int) -> None:
    with pytest.raises(ValueError, match="must be a multiple of 16 from 64 to 4096 pixels"):
        check_tile_size(size)


def test_check_tile_size_accepts_usual_sizes() -> None:
    assert [check_tile_size(size) for size in (64, 240, 256, 512, 1024, 4096)] == [64, 240, 256, 512, 1024, 4096]
