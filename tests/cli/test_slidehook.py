"""The `slidehook` command: it finds its subcommands, and each keeps its own options and name."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from chalicelib import __version__
from chalicelib.cli.slidehook import COMMANDS, main

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_version_option_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"slidehook {__version__}\n")


def test_unknown_subcommand_exits_with_2_and_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["uplaod"])
    assert ended.value.code == 2
    assert "invalid choice: 'uplaod' (choose from" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_subcommand_names_the_subcommand(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: slidehook {name} ")
    assert "ptif_upload.py" not in out


def test_upload_reports_errors_under_its_own_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main(["upload", "-i", str(tmp_path / "absent.svs"), "-c", "0" * 24, "-s", "1" * 24])
    assert code == 2
    assert capsys.readouterr().err.startswith("slidehook upload: ")


def test_console_script_leads_to_the_command() -> None:
    module, _, function = PROJECT["project"]["scripts"]["slidehook"].partition(":")
    assert getattr(import_module(module), function) is main


def test_help_imports_no_subcommand() -> None:
    code = (
        "import sys; from chalicelib.cli.slidehook import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name in ('boto3', 'numpy', 'tqdm')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"slidehook {__version__}\n[]\n"


def test_package_data_contains_every_folder_of_the_pages() -> None:
    static = ROOT / "chalicelib/entrypoints/static"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["chalicelib.entrypoints"]
    folders = {path.parent.relative_to(static.parent).as_posix() for path in static.rglob("*") if path.is_file()}
    assert {f"{folder}/*" for folder in folders} == set(patterns)
