import numpy as np
import simplejpeg

from chalicelib.core.imaging.raster import Pixels, blank, encoded, extended, halved, pixel_bytes, pixels_of, white
from tests.slides import picture

T = 32


def box(pixels: Pixels) -> Pixels:
    """Return the reference: the average of 2 x 2 in floating point. Halves are rounded down and up alternately."""
    height, width, _ = pixels.shape
    means = pixels.reshape(height // 2, 2, width // 2, 2, 3).astype(float).mean((1, 3))
    halved_pixels: Pixels = np.floor(means + np.resize((0.25, 0.5), width // 2)[:, None]).astype(np.uint8)
    return halved_pixels


def test_halving_keeps_brightness() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3)).astype(np.uint8)
    assert abs(halved(pixels).mean() - pixels.mean()) < 0.02


def test_halving_averages_four_pixels() -> None:
    assert np.array_equal(halved(picture(64, 48)), box(picture(64, 48)))
    assert halved(np.array([[[0], [1]] * 2, [[1], [0]] * 2], np.uint8)).tolist() == [[[0], [1]]]


def test_extended_repeats_the_edge() -> None:
    pixels = picture(T, T)
    assert extended(pixels, (T, T)) is pixels
    wide = extended(pixels, (5, 7))
    assert np.array_equal(wide[:7, :5], pixels[:7, :5])
    assert (wide[:7, 5:] == pixels[:7, 4:5]).all()
    assert (wide[7:] == wide[6:7]).all()
    assert extended(pixels, (0, 7)) is pixels


def test_made_tile_is_white_beyond_the_slide() -> None:
    tile = simplejpeg.decode_jpeg(encoded(np.zeros((64, 64, 3), np.uint8), (16, 32), "444"), "RGB")
    assert tile[:32, :16].max() <= 2
    assert tile[34:].min() >= 253
    assert tile[:, 18:].min() >= 253
    assert encoded(picture(64, 64), (64, 64), "420") == encoded(picture(64, 64), (64, 64), "420")


def test_pixel_bytes_survive_round_trip() -> None:
    pixels = picture(16, 16)
    assert len(pixel_bytes(pixels)) == 16 * 16 * 3
    assert np.array_equal(pixels_of(pixel_bytes(pixels), 16), pixels)


def test_blank_tile_is_white_and_deterministic() -> None:
    assert (simplejpeg.decode_jpeg(blank(240)) == 255).all()
    assert simplejpeg.decode_jpeg(blank(240)).shape == (240, 240, 3)
    assert blank(64) == blank(64)
    assert white(2, 3).tolist() == [[[255] * 3] * 3] * 2
