"""Scripts and stylesheets of the pages: their folders, imports and links."""

import re
from pathlib import Path

import pytest

from chalicelib.entrypoints.pages import STATIC

MOST_LINES = 400
# A folder imports from itself and from the folders after it.
FOLDERS = ("pages", "components", "lib")
SCRIPTS = sorted(path for folder in FOLDERS for path in (STATIC / folder).glob("*.js"))
HTML = sorted([*STATIC.glob("pages/*.html"), *STATIC.glob("errors/*.html")])
NAMES = re.compile(r'^import \{([^}]+)\} from "([^"]+)";', re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(STATIC).as_posix()


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_script_imports_existing_names_from_lower_folders(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(NAMES.findall(text)) == text.count("import {")
    for names, source in NAMES.findall(text):
        imported = (script.parent / source).resolve()
        assert FOLDERS.index(imported.parent.name) >= FOLDERS.index(script.parent.name), source
        exports = imported.read_text(encoding="utf-8")
        for name in names.replace("\n", " ").strip(" ,").split(","):
            assert re.search(rf"^export (?:async )?\w+ {name.strip()}\b", exports, re.MULTILINE), name


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_script_has_at_most_400_lines(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("page", HTML, ids=name_of)
def test_page_links_existing_static_files(page: Path) -> None:
    links = re.findall(r'"\.\./static/([^"]+)"', page.read_text(encoding="utf-8"))
    assert len(links) >= 3
    assert [link for link in links if not (STATIC / link).is_file()] == []


def test_static_folder_contains_only_folders() -> None:
    assert {path.name for path in STATIC.iterdir()} == {*FOLDERS, "errors", "vendor"}
