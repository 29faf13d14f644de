"""How far published pixels are from the truth."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tests.slides import Pixels

SIDE = 8
# Of an 8-bit image (Wang, Bovik, Sheikh, Simoncelli, 2004).
STEADY, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def difference(one: Pixels, other: Pixels) -> npt.NDArray[np.int64]:
    """Return the largest difference of each pixel's three samples."""
    assert one.shape == other.shape
    return np.asarray(np.abs(one.astype(np.int64) - other).max(axis=2), np.int64)


def luma(pixels: Pixels) -> npt.NDArray[np.float64]:
    """Return the brightness Y of each pixel (T.871)."""
    found: npt.NDArray[np.float64] = pixels.astype(np.float64) @ (0.299, 0.587, 0.114)
    return found


def psnr(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Return the peak signal to noise ratio in dB; 99 of what is the same."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def bias(one: Pixels, other: Pixels) -> float:
    """Return by how much one is brighter or darker on the average, in the worst of the three samples."""
    return float(np.abs((one.astype(np.float64) - other).mean(axis=(0, 1))).max())


def ssim(one: Pixels, other: Pixels) -> float:
    """Return the structural similarity of two images' brightness, over windows of 8 x 8 px."""
    x, y = luma(one), luma(other)
    mean_x, mean_y = _means(x), _means(y)
    square_x, square_y = _means(x * x) - mean_x**2, _means(y * y) - mean_y**2
    shared = _means(x * y) - mean_x * mean_y
    same = (2 * mean_x * mean_y + STEADY) * (2 * shared + CONTRAST)
    return float((same / ((mean_x**2 + mean_y**2 + STEADY) * (square_x + square_y + CONTRAST))).mean())


def _means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    means = (sums[SIDE:, SIDE:] - sums[:-SIDE, SIDE:] - sums[SIDE:, :-SIDE] + sums[:-SIDE, :-SIDE]) / SIDE**2
    return np.asarray(means, np.float64)
