"""The sample slide of `make run`."""

import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import tifffile

from chalicelib.core.plan.pyramid import plan_pyramid
from chalicelib.core.tiff.directory import read_ifds
from infra.local import sample


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.ensure_sample(tmp_path_factory.mktemp("sample"))


def test_sample_has_the_same_bytes_each_time(path: Path, tmp_path: Path) -> None:
    assert sample.ensure_sample(tmp_path).read_bytes() == path.read_bytes()


def test_sample_is_drawn_once(path: Path) -> None:
    before = path.stat()
    assert sample.ensure_sample(path.parent) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert [each.name for each in path.parent.iterdir()] == ["sample-4096x3072.tif"]


def test_sample_is_published_without_encoding_a_tile(path: Path) -> None:
    data = path.read_bytes()
    pyramid = plan_pyramid(
        read_ifds(io.BytesIO(data), size_bytes=len(data)), size_bytes=len(data), tile_size=None, base_only=False
    )
    assert [(level.width_px, level.height_px) for level in pyramid.levels] == [
        (4096, 3072), (2048, 1536), (1024, 768), (512, 384), (256, 192),
    ]  # fmt: skip
    assert 2_000_000 < len(data) < 4_000_000


def test_sample_levels_are_halvings_of_the_base(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        base, half, *_, last = [page.asarray() for page in tiff.pages]
    blocks = base.reshape(1536, 2, 2048, 2, 3).mean(axis=(1, 3))
    assert np.abs(half.astype(float) - blocks).mean() < 3
    assert last.shape == (192, 256, 3)


def test_sample_shows_glass_tissue_and_nuclei(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        red, green, blue = np.moveaxis(tiff.pages[2].asarray().astype(int), 2, 0)
    glass = (red > 235) & (green > 235) & (blue > 235)
    nuclei = (red < 150) & (blue > green + 40)
    assert 0.1 < glass.mean() < 0.6
    assert 0.02 < nuclei.mean() < 0.3
    assert ((red - green)[~glass & ~nuclei]).mean() > 30


def test_sample_continues_a_partial_tile_in_its_edge_colour(path: Path) -> None:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[4]
        file = page.parent.filehandle
        file.seek(page.dataoffsets[0])
        tile = simplejpeg.decode_jpeg(file.read(page.databytecounts[0]), "RGB").astype(int)
    assert tile.shape == (256, 256, 3)
    assert np.abs(tile[200:] - tile[191]).mean() < 8
