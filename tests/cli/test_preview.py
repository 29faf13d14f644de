"""Dry runs: what would be done, and nothing of it."""

import re
import zipfile

import pytest

from tests.cli.service import COLLECTION, IMAGE, SESSION, Service


@pytest.fixture
def untouched(service: Service, objects):
    """Fails afterwards if anything was written anywhere."""
    before = objects()
    yield
    assert service.writes() == []
    assert objects() == before


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_shows_levels_tiles_bytes_and_destination(run, slide, bucket, tmp_path):
    path = slide()
    before = sorted(tmp_path.rglob("*"))

    ended = run("-i", path, "-s", SESSION, "-n", "-m", IMAGE)

    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "slide.svs"
    assert lines[1] == f"  from s3://{bucket}/direct/{COLLECTION}/{SESSION}/slide.svs"
    assert lines[2] == f"  to session {SESSION} (First) of collection {COLLECTION}, as image {IMAGE}"
    assert lines[3] == f"  500 x 300 px in {path.stat().st_size} bytes: 5 tiles of 256 px"
    assert lines[4].startswith("  level 0: 500 x 300 px, 2 x 2, 4 tiles, ")
    assert lines[4].endswith(" bytes, JPEG in tiles, copied")
    assert lines[5] == "  level 1: 250 x 150 px, 1 x 1, 1 tiles, downsampled"
    assert re.fullmatch(r"  about 2 s and 0\.0\d{3} USD on AWS \(without MongoDB\)", lines[6])
    assert lines[7] == "1 would be accepted, 0 refused"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_of_the_base_shows_the_base(run, slide):
    plan = run("-i", slide(), "-s", SESSION, "-n", "-b", "--json").document["slides"][0]["plan"]

    assert [level["level"] for level in plan["levels"]] == [0]
    assert (plan["tiles"], plan["tile_size_px"]) == (4, 256)


def test_a_dry_run_of_an_object_reads_it_by_ranges(run, slide, service: Service, s3, bucket, objects):
    s3.put_object(Bucket=bucket, Key="a/b.svs", Body=slide().read_bytes())
    before = objects()

    ended = run("-i", f"s3://{bucket}/a/b.svs", "-s", SESSION, "-n", "--json")

    assert ended.code == 0
    assert ended.document["slides"][0]["plan"]["tiles"] == 5
    assert (service.writes(), objects()) == ([], before)


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_of_an_object_that_does_not_exist_tells_so(run, bucket):
    ended = run("-i", f"s3://{bucket}/a/b.svs", "-s", SESSION, "-n")

    assert ended.code == 1
    assert f"s3://{bucket}/a/b.svs cannot be read" in ended.err


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_of_a_folder_makes_no_session(run, slide, tmp_path):
    slide("many/a.svs"), slide("many/b.svs")
    (tmp_path / "many/c.svs").write_bytes(b"no slide")

    ended = run("-i", tmp_path / "many", "-n", "--recreate-session")

    assert ended.code == 1
    assert ended.out.count("to session <new session> (many)") == 2
    assert "refused  c.svs" in ended.err
    assert "would remove all slides from session <new session> (many)" in ended.err
    assert "2 would be accepted, 1 refused" in ended.out


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_of_an_archive_unpacks_nothing(run, slide, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "First.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(slide(), "x/a.svs")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no-such-folder"))

    ended = run("-i", tmp_path / "First.zip", "-n", "--json")

    assert ended.code == 0
    assert ended.document["slides"][0]["plan"]["tiles"] == 5


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_shows_how_each_level_is_made(run, slide):
    strips = run("-i", slide("strips.tif", tiled=False), "-s", SESSION, "-n")
    cut = run("-i", slide(), "-s", SESSION, "-n", "-t", 128)

    assert "bytes, nothing in strips, re-encoded" in strips.out
    assert "bytes, JPEG in tiles, lossless crop" in cut.out
    assert "12 tiles" in cut.out


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_converts_nothing(run, slide, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/vips").write_text("#!/bin/sh\ntouch ran\n")
    (tmp_path / "bin/vips").chmod(0o755)

    ended = run("-i", slide("strips.tif", tiled=False), "-s", SESSION, "-n", "--bindir", tmp_path / "bin")

    assert ended.code == 0
    assert f"converted by {tmp_path}/bin/vips first (the image is stored in strips" in ended.out


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_tells_what_would_be_refused(run, slide):
    path = slide()
    path.write_bytes(path.read_bytes()[:-50])

    ended = run("-i", path, "-s", SESSION, "-n")

    assert ended.code == 1
    assert "(truncated)" in ended.err
    assert "0 would be accepted, 1 refused" in ended.out


@pytest.mark.usefixtures("untouched")
def test_a_dry_run_with_wait_waits_for_nothing(run, slide):
    ended = run("-i", slide(), "-s", SESSION, "-n", "--wait")

    assert ended.code == 0
    assert "1 would be accepted, 0 refused" in ended.out
