"""The documents say what is there: options, targets, files, addresses."""

import re
import subprocess
from pathlib import Path

import pytest

from chalicelib.cli.arguments import parse
from chalicelib.hooks.upload import UploadParameters

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
    assert missing == []


def test_the_make_targets_that_are_named_exist() -> None:
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b", page.read_text(encoding="utf-8"))}
    known = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    assert {name for name in named if f"make {name} " not in known} == set()
    assert {"run", "test", "package"} <= named


def test_every_option_of_the_hook_is_told() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in UploadParameters.model_fields if name not in text] == []


def test_every_route_of_the_app_is_told() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8") + (ROOT / "docs/command-line.md").read_text(
        encoding="utf-8"
    )
    routes = re.findall(r'@app\.route\("(/[a-z]*)', (ROOT / "app.py").read_text(encoding="utf-8"))
    told = {route for route in routes if f"{route}" in text}
    assert set(routes) - told - {"/static"} == set()


def test_every_flag_of_the_command_line_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    flags = set(re.findall(r"(--[a-z-]+)", capsys.readouterr().out))
    text = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    assert {flag for flag in flags if flag not in text} <= {"--help"}


def test_the_words_of_the_states_are_the_same_everywhere() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert "`queued -> planning -> tiling -> finishing -> done`" in text
