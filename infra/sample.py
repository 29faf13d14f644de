"""A slide to try the system with: a synthetic stained section as a tiled JPEG pyramid.

The same bytes each time, so that a second `make run` is the same job.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from tqdm import tqdm

WIDTH_PX, HEIGHT_PX, TILE_PX, LEVELS = 4096, 3072, 256, 5
MPP = 0.5
_SEED = 20240229
_BAND_PX = 256
_QUALITY = 85
_PINK = np.array([226, 160, 196], dtype=np.float32)
_PURPLE = np.array([96, 56, 138], dtype=np.float32)
_GLASS = np.array([243, 242, 244], dtype=np.float32)

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


def ensure_sample(folder: Path) -> Path:
    """Return the sample's path in `folder`, drawing it with a progress bar if it is not there."""
    path = folder / f"sample-{WIDTH_PX}x{HEIGHT_PX}.tif"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        write(unfinished, draw())
        unfinished.replace(path)
    return path


def draw() -> Pixels:
    """Return the base level: tissue on glass, with nuclei."""
    random = np.random.default_rng(_SEED)
    tissue = _blobs(random, cell_px=512) + 0.4 * _blobs(random, cell_px=128)
    fibres = _blobs(random, cell_px=24)
    nuclei = _blobs(random, cell_px=12)
    image = np.empty((HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    bands = range(0, HEIGHT_PX, _BAND_PX)
    for top in tqdm(bands, desc="drawing a sample slide", unit="band"):
        rows = slice(top, top + _BAND_PX)
        image[rows] = _stain(tissue[rows], fibres[rows], nuclei[rows], random)
    return image


def _blobs(random: np.random.Generator, *, cell_px: int) -> Plane:
    """Return smooth noise between -1 and 1 whose spots are about `cell_px` wide."""
    grid = random.uniform(-1, 1, (HEIGHT_PX // cell_px + 2, WIDTH_PX // cell_px + 2)).astype(np.float32)
    down = _stretch(grid, HEIGHT_PX, cell_px)
    return _stretch(down.T, WIDTH_PX, cell_px).T


def _stretch(grid: Plane, length: int, cell_px: int) -> Plane:
    position = np.arange(length, dtype=np.float32) / cell_px
    index = position.astype(np.intp)
    part = (position - index)[:, None]
    eased = part * part * (3 - 2 * part)
    stretched: Plane = (grid[index] * (1 - eased) + grid[index + 1] * eased).astype(np.float32)
    return stretched


def _stain(tissue: Plane, fibres: Plane, nuclei: Plane, random: np.random.Generator) -> Pixels:
    inside = np.clip(tissue * 3 + 1.2, 0, 1)[..., None]
    purple = np.clip((nuclei + 0.25 * fibres - 0.35) * 3, 0, 1)[..., None]
    eosin = _PINK + 18 * fibres[..., None]
    colour = _GLASS * (1 - inside) + (eosin * (1 - purple) + _PURPLE * purple) * inside
    grain = random.normal(0, 2.5, tissue.shape).astype(np.float32)[..., None]
    pixels: Pixels = np.clip(colour + grain, 0, 255).astype(np.uint8)
    return pixels


def write(path: Path, base: Pixels) -> None:
    """Write `base` and its coarser levels as a BigTIFF of JPEG tiles, YCbCr, one IFD a level."""
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        image = base
        for level in tqdm(range(LEVELS), desc="writing its levels", unit="level"):
            tiff.write(
                image,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": _QUALITY},
                subfiletype=1 if level else 0,
                resolution=(1e4 / (MPP * 2**level), 1e4 / (MPP * 2**level)),
                resolutionunit="CENTIMETER",
                description=f"Synthetic slide, {MPP} micrometres a pixel" if level == 0 else None,
                software="slidehook",
                metadata=None,
                maxworkers=1,
            )
            image = _halved(image)


def _halved(image: Pixels) -> Pixels:
    """Return the mean of every 2 x 2 pixels; the sample's sides divide evenly."""
    height, width, channels = image.shape
    blocks = image.reshape(height // 2, 2, width // 2, 2, channels)
    mean: Pixels = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return mean
