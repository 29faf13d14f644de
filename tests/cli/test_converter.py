"""Converters: small programs of these tests in the place of vips and bfconvert."""

import shutil
import sys

import numpy as np
import pytest
import tifffile

from chalicelib.cli.converter import Converter, find_converter
from chalicelib.cli.failures import SlideFailure, UsageError
from tests.cli.service import COLLECTION, SESSION, Service
from tests.timeouts import eventually

GIVE = """
import json, shutil, sys
json.dump(sys.argv[1:], open({words!r}, "w"))
shutil.copy({ready!r}, sys.argv[{target}])
"""
FAIL = """
import sys
for line in range(9):
    print(f"line {line}", file=sys.stderr)
print("\\x1b[31mout of ideas", file=sys.stderr)
sys.exit(4)
"""


@pytest.fixture
def bindir(tmp_path):
    """Make a folder that holds one program."""

    def make(name, code):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{code}")
        program.chmod(0o755)
        return folder

    return make


@pytest.fixture
def working(bindir, slide, tmp_path):
    """Make a converter that gives a ready slide; return its folder, and the words that it was called with."""

    def make(name, target):
        words = tmp_path / "words.json"
        ready = shutil.copy(slide("ready.svs"), tmp_path / "ready")
        return bindir(name, GIVE.format(words=str(words), ready=str(ready), target=target)), words

    return make


def test_vips_makes_a_tiled_tiff_of_what_is_none(run, slide, service: Service, objects, working):
    folder, words = working("vips", 3)
    strips = slide("strips.tif", tiled=False)

    ended = run("-i", strips, "-s", SESSION, "--bindir", folder)

    assert ended.code == 0
    assert list(objects()) == [f"direct/{COLLECTION}/{SESSION}/strips.ptif"]
    assert service.submitted()[0]["source"].endswith("/strips.ptif")
    text = words.read_text()
    assert text.startswith(f'["tiffsave", "{strips}", ')
    assert text.endswith(
        '"--tile", "--pyramid", "--compression", "jpeg", "--Q", "90",'
        ' "--tile-width", "256", "--tile-height", "256", "--bigtiff"]'
    )


def test_bfconvert_serves_where_there_is_no_vips(run, tmp_path, service: Service, objects, working):
    folder, words = working("bfconvert", -1)
    (tmp_path / "scan.ndpi").write_bytes(b"some other format")

    ended = run("-i", tmp_path / "scan.ndpi", "-s", SESSION, "--bindir", folder, "-t", "512")

    assert ended.code == 0
    assert list(objects()) == [f"direct/{COLLECTION}/{SESSION}/scan.ptif"]
    assert '"-tilex", "512", "-tiley", "512"' in words.read_text()


def test_a_tiled_tiff_is_not_converted(run, slide, service: Service, objects, bindir):
    ended = run("-i", slide(), "-s", SESSION, "--bindir", bindir("vips", FAIL))

    assert ended.code == 0
    assert list(objects()) == [f"direct/{COLLECTION}/{SESSION}/slide.svs"]


def test_the_images_of_a_folder_are_converted_and_other_files_skipped(run, tmp_path, service, objects, working):
    folder, _ = working("vips", 3)
    many = tmp_path / "First"
    many.mkdir()
    (many / "a.png").write_bytes(b"png")
    (many / "notes.txt").write_bytes(b"text")

    ended = run("-i", many, "--bindir", folder, "--json")

    assert ended.code == 0
    assert list(objects()) == [f"direct/{COLLECTION}/{SESSION}/a.ptif"]
    assert ended.document["skipped"] == ["notes.txt"]


def test_a_failing_converter_is_told_with_its_last_lines(run, slide, service: Service, objects, bindir):
    ended = run("-i", slide("strips.tif", tiled=False), "-s", SESSION, "--bindir", bindir("vips", FAIL))

    assert ended.code == 1
    assert "strips.tif: vips ended with exit code 4: line 5 | line 6 | line 7 | line 8 |  [31mout of ideas" in ended.err
    assert "line 4" not in ended.err
    assert objects() == {}


def test_a_converter_that_writes_nothing_is_told(slide, bindir, tmp_path):
    made = find_converter(str(bindir("vips", "")), None)

    with pytest.raises(SlideFailure, match="vips ended with no output file: no output"):
        made.convert(slide(), tmp_path)


def test_a_converter_that_cannot_be_started_is_told(slide, bindir, tmp_path):
    folder = bindir("vips", "")
    (folder / "vips").write_text("#!/no/such/interpreter\n")

    with pytest.raises(SlideFailure, match="did not start: No such file"):
        find_converter(str(folder), None).convert(slide(), tmp_path)


def test_a_converter_that_hangs_is_ended_with_all_that_it_started(slide, bindir, tmp_path):
    mark = tmp_path / "child"
    child = f"import os, pathlib, time; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(600)"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    made = Converter(program=bindir("vips", code) / "vips", tile_size_px=256)

    with pytest.raises(SlideFailure, match="did not end within 1 s"):
        made.convert(slide(), tmp_path, within_seconds=1)

    eventually(lambda: not (mark.exists() and _runs(int(mark.read_text() or 0))), what="the end of the child")


def _runs(pid: int) -> bool:
    import psutil

    return bool(pid) and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_folder_without_a_converter_is_told_before_anything_is_done(run, slide, service: Service, tmp_path):
    ended = run("-i", slide(), "-s", SESSION, "--bindir", tmp_path)

    assert ended.code == 2
    assert f"--bindir: {tmp_path} contains neither vips nor bfconvert" in ended.err
    assert service.calls == []


def test_a_converter_that_may_not_be_run_is_told(bindir):
    folder = bindir("vips", "")
    (folder / "vips").chmod(0o644)

    with pytest.raises(UsageError, match="is not executable"):
        find_converter(str(folder), None)


def test_what_the_service_cannot_publish_needs_a_converter(run, service: Service, objects, tmp_path):
    path = tmp_path / "floats.tif"
    tifffile.imwrite(path, np.zeros((300, 300), np.float32), tile=(64, 64))

    ended = run("-i", path, "-s", SESSION)

    assert ended.code == 1
    assert "32 bits a sample (floating-point); 8 and 16 unsigned bits are published (not_a_tiled_tiff)" in ended.err
    assert "Use --bindir" in ended.err
    assert (service.writes(), objects()) == ([], {})


def test_strips_need_no_converter(run, slide, service: Service):
    assert run("-i", slide("strips.tif", tiled=False), "-s", SESSION).code == 0
    assert service.submitted()[0]["source"].endswith("/strips.tif")


LABEL = "Aperio Image Library v11.2.1 \r\nlabel 600x400"


def several(path, *images):
    """Write a file of images of (width, height, options)."""
    with tifffile.TiffWriter(path) as writer:
        for width, height, options in images:
            writer.write(np.full((height, width, 3), 120, np.uint8), photometric="rgb", metadata=None, **options)
    return path


@pytest.mark.parametrize(("program", "target"), [("vips", 3), ("bfconvert", -1)])
def test_file_with_two_slides_is_not_converted(
    run, tmp_path, service: Service, objects, working, program: str, target: int
):
    folder, words = working(program, target)
    tiled = {"tile": (64, 64)}
    path = several(tmp_path / "two.tif", (500, 300, tiled), (300, 500, tiled))

    ended = run("-i", path, "-s", SESSION, "--bindir", folder)

    assert ended.code == 1
    assert "the TIFF has a second slide in it, image 1 (300 x 500 px)" in ended.err
    assert (words.exists(), objects()) == (False, {})


def test_label_in_strips_is_not_converted(run, tmp_path, service: Service, objects, working):
    folder, words = working("vips", 3)
    label = several(tmp_path / "label.tif", (600, 400, {"description": LABEL}))

    ended = run("-i", label, "-s", SESSION, "--bindir", folder)

    assert ended.code == 1
    assert "has no image that is certain to be the slide" in ended.err
    assert (words.exists(), objects()) == (False, {})


def test_vips_does_not_convert_a_file_whose_first_image_is_not_the_slide(
    run, tmp_path, service: Service, objects, working
):
    folder, words = working("vips", 3)
    strips = several(tmp_path / "strips.tif", (600, 400, {"description": LABEL}), (500, 300, {}))

    ended = run("-i", strips, "-s", SESSION, "--bindir", folder)

    assert ended.code == 1
    assert "vips converts the first image of a TIFF, and the slide is image 1" in ended.err
    assert (words.exists(), objects()) == (False, {})


def test_bfconvert_converts_a_file_whose_first_image_is_not_the_slide(
    run, tmp_path, service: Service, objects, working
):
    folder, _ = working("bfconvert", -1)
    strips = several(tmp_path / "strips.tif", (600, 400, {"description": LABEL}), (500, 300, {}))

    ended = run("-i", strips, "-s", SESSION, "--bindir", folder)

    assert (ended.code, list(objects())) == (0, [f"direct/{COLLECTION}/{SESSION}/strips.ptif"])


def test_tiled_region_beside_a_larger_label_in_strips_is_not_converted(run, tmp_path, service, objects, bindir):
    path = several(tmp_path / "region.tif", (300, 200, {"tile": (64, 64)}), (600, 800, {"subfiletype": 1}))

    ended = run("-i", path, "-s", SESSION, "--bindir", bindir("vips", FAIL))

    assert (ended.code, list(objects())) == (0, [f"direct/{COLLECTION}/{SESSION}/region.tif"])
