"""Folders and archives: every slide in them, and nothing of what a hostile archive would do."""

import io
import shutil
import stat
import struct
import zipfile

import numpy as np
import pytest
import tifffile

from chalicelib.cli import inputs as inputs_module
from chalicelib.cli.failures import SlideFailure, UsageError
from chalicelib.cli.inputs import find_inputs, key_of, opened, peeked
from tests.cli.service import COLLECTION, SESSION, Service, problem


def zipped(path, members):
    """Write an archive of (name or ZipInfo, bytes)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def encrypted(path):
    """Set the bit that says encrypted in both headers of an archive's only member."""
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(magic) + offset
        (flags,) = struct.unpack_from("<H", data, at)
        struct.pack_into("<H", data, at, flags | 1)
    path.write_bytes(data)
    return path


def names(objects):
    return sorted(key.split("/", 3)[3] for key in objects())


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_becomes_a_session_of_its_name(run, slide, service: Service, objects, tmp_path):
    slide("Case 7/a.svs"), slide("Case 7/deeper/b.ptif"), slide("Case 7/c.TIFF")

    ended = run("-i", tmp_path / "Case 7")

    assert ended.code == 0
    assert service.writes()[0] == (f"/collections/{COLLECTION}/sessions", {"label": "Case 7"})
    session = "2".rjust(24, "0")
    assert {sent["session"] for sent in service.submitted()} == {session}
    assert names(objects) == ["a.svs", "c.TIFF", "deeper/b.ptif"]
    assert f"session {session} (Case 7) is new" in ended.err


def test_a_folder_goes_to_the_session_that_has_its_name_already(run, slide, service: Service, tmp_path):
    slide("First/a.svs")

    run("-i", tmp_path / "First")

    assert [path for path, _ in service.writes()] == ["/hooks/upload"]
    assert service.submitted()[0]["session"] == SESSION


def test_a_folder_goes_to_the_session_that_is_named(run, slide, service: Service, tmp_path):
    slide("Case 7/a.svs")

    run("-i", tmp_path / "Case 7", "-s", SESSION)

    assert [path for path, _ in service.writes()] == ["/hooks/upload"]
    assert service.submitted()[0]["session"] == SESSION


def test_a_bad_slide_does_not_stop_the_others(run, slide, service: Service, objects, tmp_path):
    slide("many/a.svs"), slide("many/d.svs")
    tifffile.imwrite(tmp_path / "many/floats.tif", np.zeros((300, 300), np.float32), tile=(64, 64))
    (tmp_path / "many/b.svs").write_bytes(b"this is no TIFF")
    (tmp_path / "many/c.svs").write_bytes(slide().read_bytes()[:1000])
    (tmp_path / "many/empty.svs").touch()

    ended = run("-i", tmp_path / "many", "--json", "--wait")

    assert ended.code == 1
    by_name = {entry["input"]: entry for entry in ended.document["slides"]}
    assert {name for name, entry in by_name.items() if "error" not in entry} == {"a.svs", "d.svs"}
    assert by_name["b.svs"]["error"]["code"] == "not_a_tiled_tiff"
    assert "--bindir" in by_name["b.svs"]["error"]["hint"]
    assert by_name["c.svs"]["error"]["code"] == "truncated"
    assert "32 bits a sample" in by_name["floats.tif"]["error"]["message"]
    assert by_name["a.svs"]["job"]["state"] == by_name["d.svs"]["job"]["state"] == "done"
    assert ended.document["failed"] == 4
    assert names(objects) == ["a.svs", "d.svs"]


def test_a_slide_that_the_service_refuses_does_not_stop_the_others(run, slide, service: Service, tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    slide("many/a.svs"), slide("many/b.svs"), slide("many/c.svs")
    service.refused = {"a.svs": problem(422, "bad", "no"), "b.svs": problem(500, "internal", "failed to answer")}

    ended = run("-i", tmp_path / "many", "--json")

    assert ended.code == 1
    codes = [entry.get("error", {}).get("code") for entry in ended.document["slides"]]
    assert codes == ["bad", "service_failed", None]


def test_a_slide_that_vanishes_does_not_stop_the_others(run, slide, service: Service, tmp_path):
    gone = slide("First/a.svs")
    slide("First/b.svs")
    respond = service.respond

    def remove(method, path, body, token):
        gone.unlink(missing_ok=True)
        return respond(method, path, body, token)

    service.respond = remove  # type: ignore[method-assign]

    ended = run("-i", tmp_path / "First")

    assert ended.code == 1
    assert "refused  a.svs: a.svs cannot be read: No such file or directory (unreadable)" in ended.err
    assert "1 accepted, 1 refused" in ended.out


def test_other_files_are_named_and_hidden_ones_are_not(run, slide, service: Service, tmp_path):
    slide("many/a.svs"), slide("many/.hidden.svs"), slide("many/.trash/b.svs")
    (tmp_path / "many/notes.txt").touch()

    ended = run("-i", tmp_path / "many", "--json")

    assert ended.document["skipped"] == ["notes.txt"]
    assert [entry["input"] for entry in ended.document["slides"]] == ["a.svs"]
    assert "skipped  notes.txt: not a slide" in ended.err
    assert ended.code == 0


def test_a_folder_without_a_slide_is_told(run, service: Service, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none/notes.txt").touch()

    ended = run("-i", tmp_path / "none")

    assert ended.code == 2
    assert "contains no slide (supported: .ptif, .ptiff, .svs, .tif, .tiff)" in ended.err
    assert service.calls == []


def test_what_is_neither_file_nor_folder_is_told():
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        find_inputs("/dev/null", convertible=False)


def test_names_that_a_terminal_would_obey_are_shown_plainly(run, slide, service: Service, tmp_path):
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "red\x1b[31m.svs").write_bytes(b"no")

    ended = run("-i", tmp_path / "many")

    assert "\x1b" not in ended.err + ended.out
    assert "refused  red [31m.svs" in ended.err


# -- archives ----------------------------------------------------------------------------------------------------------


def test_an_archive_becomes_a_session_of_its_name(run, slide, service: Service, s3, bucket, objects, tmp_path):
    data = slide().read_bytes()
    path = zipped(tmp_path / "Case 8.zip", [("a.svs", data), ("x/b.svs", data), ("readme.md", b""), ("x/.h.svs", b"")])

    ended = run("-i", path, "--wait")

    assert ended.code == 0
    assert service.writes()[0][1] == {"label": "Case 8"}
    assert names(objects) == ["a.svs", "x/b.svs"]
    assert all(s3.get_object(Bucket=bucket, Key=key)["Body"].read() == data for key in objects())
    assert "skipped  readme.md" in ended.err


@pytest.mark.parametrize("name", ["../../evil.svs", "/etc/evil.svs", "..\\..\\evil.svs", "a/../../evil.svs"])
def test_a_name_that_leads_out_of_the_archive_leads_nowhere(run, slide, service: Service, objects, tmp_path, name):
    data = slide("inner/slide.svs").read_bytes()
    before = sorted(tmp_path.rglob("*"))
    path = zipped(tmp_path / "inner" / "First.zip", [(name, data), ("good.svs", data)])

    ended = run("-i", path)

    assert ended.code == 0
    assert [key.startswith(f"direct/{COLLECTION}/{SESSION}/") for key in objects()] == [True, True]
    assert not any(".." in key for key in objects())
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


def test_a_link_in_an_archive_is_refused(run, slide, service: Service, objects, tmp_path):
    link = zipfile.ZipInfo("link.svs")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "First.zip", [(link, b"/etc/passwd"), ("good.svs", slide().read_bytes())])

    ended = run("-i", path)

    assert ended.code == 1
    assert "refused  link.svs: link.svs is a link, not a file (bad_archive)" in ended.err
    assert names(objects) == ["good.svs"]


def test_an_encrypted_member_is_told(run, slide, service: Service, tmp_path):
    path = encrypted(zipped(tmp_path / "First.zip", [("a.svs", slide().read_bytes())]))

    ended = run("-i", path)

    assert ended.code == 1
    assert "a.svs is encrypted (bad_archive). Extract the archive first." in ended.err


def test_a_member_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    path = zipped(tmp_path / "bomb.zip", [("a.svs", bytes(2_000_000))])
    monkeypatch.setattr(inputs_module, "HARMLESS_BYTES", 1_000_000)

    with (
        pytest.raises(SlideFailure, match="would expand more than 100 times"),
        opened(find_inputs(str(path), convertible=False), "a.svs"),
    ):
        pass


def test_a_member_for_which_there_is_no_room_is_refused(tmp_path, monkeypatch):
    path = zipped(tmp_path / "large.zip", [("a.svs", b"0123456789")])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=9))

    with (
        pytest.raises(SlideFailure, match=r"not enough disk space to extract a\.svs"),
        opened(find_inputs(str(path), convertible=False), "a.svs"),
    ):
        pass


def test_a_damaged_member_does_not_stop_the_others(run, slide, service: Service, objects, tmp_path):
    data = slide().read_bytes()
    path = tmp_path / "First.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.svs", data)
        archive.writestr("b.svs", data)
    damaged = bytearray(path.read_bytes())
    damaged[len(data) - 20] ^= 0xFF  # in the pixels of the first
    path.write_bytes(damaged)

    ended = run("-i", path)

    assert ended.code == 1
    assert "a.svs cannot be extracted: Bad CRC-32" in ended.err
    assert names(objects) == ["b.svs"]


def test_what_is_no_archive_is_told(run, service: Service, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip at all")

    ended = run("-i", tmp_path / "a.zip")

    assert ended.code == 2
    assert "is not a readable zip archive" in ended.err
    assert service.calls == []


def test_an_archive_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs_module, "MAX_ZIP_MEMBERS", 2)
    path = zipped(tmp_path / "many.zip", [(f"{number}.svs", b"") for number in range(3)])

    with pytest.raises(UsageError, match="holds 3 files; the limit is 2"):
        find_inputs(str(path), convertible=False)


def test_a_member_is_unpacked_for_as_long_as_it_is_used(slide, tmp_path):
    path = zipped(tmp_path / "a.zip", [("x/a.svs", b"bytes")])

    with opened(find_inputs(str(path), convertible=False), "x/a.svs") as unpacked:
        assert unpacked.read_bytes() == b"bytes"
        assert unpacked.name == "a.svs"
    assert not unpacked.parent.exists()


def test_a_member_is_read_in_place_from_any_position(tmp_path):
    data = bytes(number % 251 for number in range(700_000))
    path = zipped(tmp_path / "a.zip", [("a.svs", data)])

    with peeked(find_inputs(str(path), convertible=False), "a.svs") as (file, size_bytes):
        assert size_bytes == len(data)
        file.seek(-5, io.SEEK_END)
        assert file.read() == data[-5:]
        file.seek(10)
        assert file.read(300_000) == data[10:300_010]


# -- keys --------------------------------------------------------------------------------------------------------------


def test_the_key_keeps_the_folders_of_a_member():
    assert key_of("a/b/c.png", "c.ptif", "COL", "SES") == "direct/COL/SES/a/b/c.ptif"
    assert key_of("/../a/./c.svs", "c.svs", "COL", "SES") == "direct/COL/SES/a/c.svs"


@pytest.mark.parametrize(("name", "recorded"), [("x" * 1100 + ".svs", "too long"), ("bad\udcff.svs", "not UTF-8")])
def test_a_name_that_no_key_can_hold_is_refused(name, recorded):
    with pytest.raises(SlideFailure, match=recorded):
        key_of(name, name, COLLECTION, SESSION)
