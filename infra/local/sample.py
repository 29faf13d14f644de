"""A slide to try the system with: a synthetic stained section as a tiled JPEG pyramid.

The same bytes each time, so that a second `make run` is the same job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg
import tifffile

WIDTH_PX, HEIGHT_PX, TILE_PX, LEVELS = 4096, 3072, 256, 5
NAME = f"sample-{WIDTH_PX}x{HEIGHT_PX}.tif"
MPP = 0.5
_SEED = 20240229
# So many rows of a few planes fit into a core's cache: with 256 it takes almost twice as long.
_BAND_PX = 32
_QUALITY = 85
_PINK, _PURPLE, _GLASS = (226, 160, 196), (96, 56, 138), (243, 242, 244)

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


def ensure_sample(folder: Path) -> Path:
    """Return the sample's path in `folder`. It is drawn if it is not there, which takes a second or two."""
    path = folder / NAME
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        write(unfinished, draw())
        unfinished.replace(path)
    return path


def draw() -> Pixels:
    """Return the base level: tissue on glass, with nuclei."""
    random = np.random.default_rng(_SEED)
    coarse, fine, fibres, nuclei = (_Noise.drawn(random, cell_px=cell_px) for cell_px in (512, 128, 24, 12))
    image = np.empty((HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    for top in range(0, HEIGHT_PX, _BAND_PX):
        rows = slice(top, top + _BAND_PX)
        tissue = coarse.band(rows) + np.float32(0.4) * fine.band(rows)
        _stain(image[rows], tissue, fibres.band(rows), nuclei.band(rows), random)
    return image


@dataclass(frozen=True, slots=True)
class _Noise:
    """Smooth noise between -1 and 1, already stretched to the image's height: (rows, cells)."""

    stretched: Plane
    cell_px: int

    @classmethod
    def drawn(cls, random: np.random.Generator, *, cell_px: int) -> _Noise:
        """Return noise whose spots are about `cell_px` wide."""
        grid = random.uniform(-1, 1, (HEIGHT_PX // cell_px + 2, WIDTH_PX // cell_px + 2)).astype(np.float32)
        index, weight = _eased(HEIGHT_PX, cell_px)
        return cls(grid[index] + (grid[index + 1] - grid[index]) * weight[:, None], cell_px)

    def band(self, rows: slice) -> Plane:
        """Return these rows in full width."""
        index, weight = _eased(WIDTH_PX, self.cell_px)
        left: Plane = self.stretched[rows].take(index, axis=1)
        right: Plane = self.stretched[rows].take(index + 1, axis=1)
        right -= left
        right *= weight
        right += left
        return right


def _eased(length: int, cell_px: int) -> tuple[npt.NDArray[np.intp], Plane]:
    """Return for each pixel the cell that it lies in, and the weight of the next one, which rises smoothly."""
    position = np.arange(length, dtype=np.float32) / cell_px
    index = position.astype(np.intp)
    part: Plane = (position - index).astype(np.float32)
    return index, part * part * (3 - 2 * part)


def _stain(band: Pixels, tissue: Plane, fibres: Plane, nuclei: Plane, random: np.random.Generator) -> None:
    """Fill a band of the image, one colour after the other."""
    inside = np.clip(tissue * 3 + np.float32(1.2), 0, 1)
    purple = np.clip((nuclei + np.float32(0.25) * fibres - np.float32(0.35)) * 3, 0, 1)
    grain = random.standard_normal(tissue.shape, dtype=np.float32) * np.float32(2.5)
    for channel, (pink, violet, glass) in enumerate(zip(_PINK, _PURPLE, _GLASS, strict=True)):
        colour = fibres * 18 + pink
        colour += (violet - colour) * purple
        colour -= glass
        colour *= inside
        colour += glass
        colour += grain
        band[..., channel] = np.clip(colour, 0, 255, out=colour)


def write(path: Path, base: Pixels) -> None:
    """Write `base` and its coarser levels as a BigTIFF of JPEG tiles, YCbCr 4:2:0, one IFD a level."""
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        image = base
        for level in range(LEVELS):
            tiff.write(
                _tiles(image),
                shape=image.shape,
                dtype=image.dtype,
                tile=(TILE_PX, TILE_PX),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=1 if level else 0,
                resolution=(1e4 / (MPP * 2**level), 1e4 / (MPP * 2**level)),
                resolutionunit="CENTIMETER",
                description=f"Synthetic slide, {MPP} micrometres a pixel" if level == 0 else None,
                software="slidehook",
                metadata=None,
            )
            image = _halved(image)


def _tiles(image: Pixels) -> Iterator[bytes]:
    """Yield the tiles of a level as JPEG, row by row. A tile that the image does not fill is continued in its colour
    of the edge."""
    height, width, _ = image.shape
    padded = np.pad(image, ((0, -height % TILE_PX), (0, -width % TILE_PX), (0, 0)), "edge")
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            tile = np.ascontiguousarray(padded[top : top + TILE_PX, left : left + TILE_PX])
            yield bytes(simplejpeg.encode_jpeg(tile, _QUALITY, "RGB", "420"))


def _halved(image: Pixels) -> Pixels:
    """Return the mean of every 2 x 2 pixels; the sample's sides divide evenly."""
    rows = image[0::2].astype(np.uint16) + image[1::2]
    mean: Pixels = ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)
    return mean
