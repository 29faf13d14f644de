import numpy as np
import pytest
import simplejpeg

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.geometry import Grid
from chalicelib.core.raster import (
    Pixels,
    encoded,
    extended,
    halved,
    halved_jpeg,
    joined,
    pixel_bytes,
    pixels_of,
    reduce_block,
    white_tile,
)
from tests.slides import picture

T = 32


def psnr(one: Pixels, other: Pixels) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def box(pixels: Pixels) -> Pixels:
    """The reference: the average of 2 x 2, in floating point, rounded half up."""
    height, width, _ = pixels.shape
    return np.floor(pixels.reshape(height // 2, 2, width // 2, 2, 3).astype(float).mean((1, 3)) + 0.5).astype(np.uint8)


def test_halving_is_the_average_of_four_pixels() -> None:
    assert np.array_equal(halved(picture(64, 48)), box(picture(64, 48)))
    assert halved(np.array([[[0], [1]], [[1], [0]]], np.uint8)).tolist() == [[[1]]]


@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_a_whole_tile_is_halved_by_the_decoder_as_well_as_in_pixels(subsampling: str) -> None:
    jpeg = simplejpeg.encode_jpeg(picture(256, 256), 95, "RGB", subsampling)
    small = halved_jpeg(jpeg, (256, 256), 256)
    assert small.shape == (128, 128, 3)
    assert psnr(small, box(picture(256, 256))) > 38


def test_what_lies_beyond_the_slide_does_not_bleed_into_it() -> None:
    pixels = picture(64, 64)
    for filling in (0, 255):
        pixels[33:] = filling
        pixels[:, 21:] = filling
        jpeg = simplejpeg.encode_jpeg(pixels, 100, "RGB", "444")
        small = halved_jpeg(jpeg, (21, 33), 64)
        inside = picture(64, 64)[:33, :21]
        whole = np.pad(inside, ((0, 1), (0, 1), (0, 0)), "edge")
        assert np.abs(small[:17, :11].astype(int) - box(whole).astype(int)).max() <= 4


def test_a_tile_that_cannot_be_decoded_or_has_another_size_is_damaged() -> None:
    jpeg = simplejpeg.encode_jpeg(picture(64, 64), 90, "RGB", "444")
    for whole in (True, False):
        inside = (128, 128) if whole else (20, 20)
        with pytest.raises(CorruptTileError, match="holds 64 x 64 px"):
            halved_jpeg(jpeg, inside, 128)
    with pytest.raises(CorruptTileError, match="cannot be decoded"):
        halved_jpeg(jpeg[:200], (64, 64), 64)


def test_the_edge_is_repeated_outwards() -> None:
    pixels = picture(T, T)
    assert extended(pixels, (T, T)) is pixels
    wide = extended(pixels, (5, 7))
    assert np.array_equal(wide[:7, :5], pixels[:7, :5])
    assert (wide[:7, 5:] == pixels[:7, 4:5]).all()
    assert (wide[7:] == wide[6:7]).all()


def test_a_made_tile_is_white_beyond_the_slide() -> None:
    tile = simplejpeg.decode_jpeg(encoded(np.zeros((64, 64, 3), np.uint8), (16, 32), "444"), "RGB")
    assert tile[:32, :16].max() <= 2
    assert tile[34:].min() >= 253
    assert tile[:, 18:].min() >= 253
    assert encoded(picture(64, 64), (64, 64), "420") == encoded(picture(64, 64), (64, 64), "420")


def test_four_halves_are_one_tile_and_a_missing_one_is_white() -> None:
    halves = [np.full((T // 2, T // 2, 3), value, np.uint8) for value in (10, 20, 30)]
    tile = joined((halves[0], halves[1], None, halves[2]), T)
    assert [int(tile[row, column, 0]) for row, column in ((0, 0), (0, T - 1), (T - 1, 0), (T - 1, T - 1))] == [
        10,
        20,
        255,
        30,
    ]
    assert white_tile(4).tolist() == [[[255] * 3] * 4] * 4


def test_pixels_are_handed_on_as_plain_bytes() -> None:
    pixels = picture(16, 16)
    assert len(pixel_bytes(pixels)) == 16 * 16 * 3
    assert np.array_equal(pixels_of(pixel_bytes(pixels), 16), pixels)


def whole_levels(pixels: Pixels, count: int) -> list[Pixels]:
    """The reference: every level by halving the whole picture, its last column and row repeated where it is odd."""
    levels = [pixels]
    for _ in range(count):
        height, width, _ = levels[-1].shape
        levels.append(box(np.pad(levels[-1], ((0, height % 2), (0, width % 2), (0, 0)), "edge")))
    return levels


@pytest.mark.parametrize(("width", "height"), [(128, 128), (100, 70), (97, 33), (33, 129), (65, 64)])
def test_a_block_reduced_tile_by_tile_equals_the_picture_halved_as_a_whole(width: int, height: int) -> None:
    pixels = picture(width, height)
    count = 3
    reference = whole_levels(pixels, count)
    grids = [
        Grid(width_px=-(-width >> level), height_px=-(-height >> level), tile_size_px=T) for level in range(count + 1)
    ]

    def half(column: int, row: int) -> Pixels:
        part = pixels[row * T : (row + 1) * T, column * T : (column + 1) * T]
        tile = np.zeros((T, T, 3), np.uint8)
        tile[: part.shape[0], : part.shape[1]] = part
        return halved(extended(tile, (part.shape[1], part.shape[0])))

    found: dict[tuple[int, int, int], Pixels] = {}

    def emit(level: int, column: int, row: int, tile: Pixels) -> None:
        assert (level, column, row) not in found
        found[level, column, row] = tile

    for row in range(-(-height >> count) // T + 1):
        for column in range(-(-width >> count) // T + 1):
            reduce_block((count, column, row), from_level=0, contents=grids.__getitem__, halved_source=half, emit=emit)
    assert {level for level, _, _ in found} == {1, 2, 3}
    for (level, column, row), tile in found.items():
        wide, high = grids[level].inside_px(column, row)
        expected = reference[level][row * T : row * T + high, column * T : column * T + wide]
        assert np.array_equal(tile[:high, :wide], expected)
    assert len(found) == sum(grid.tiles for grid in grids[1:])
