"""Words that were replaced by standard ones do not come back, in names, messages, comments or documentation."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Matched as whole words, also as a part of a name in snake case.
RETIRED = re.compile(
    r"(?<![a-zA-Z])(doors?|doorbook|errands?|anew|told|untold|sweeps?|swept|sweepers?|noteworthy|asked_by|who loses)"
    r"(?![a-zA-Z])",
    re.IGNORECASE,
)
# Names in data of earlier versions, and names of an index that DynamoDB cannot rename.
STORED = re.compile(
    r'"(sweep|untold|asked_by|door|noteworthy|swept)"|`(sweep|untold)`|gsi_sweep|sweep_at|swept_attempt'
)
FOLDERS = ("app.py", "ptif_upload.py", "chalicelib", "infra", "benchmarks", "docs", ".github")
SUFFIXES = {".py", ".md", ".js", ".css", ".html", ".yaml", ".yml", ".sh"}
EXCLUDED = {
    "infra/deploy/resources.yaml": "the index `sweep`",
    "CHANGELOG.md": "names of earlier versions, with their replacements",
}


def files() -> list[str]:
    """Return the tracked files of FOLDERS, and the pages at the top level."""
    listed = subprocess.run(
        ["git", "ls-files", *FOLDERS, "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return sorted({name for name in listed if Path(name).suffix in SUFFIXES and name not in EXCLUDED})


def retired_words(text: str) -> list[str]:
    """Return the retired words of a text with their line numbers, without stored names."""
    lines = enumerate(STORED.sub("", text).splitlines(), start=1)
    return [f"{number}: {match[0]}" for number, line in lines for match in RETIRED.finditer(line)]


@pytest.mark.parametrize("name", files())
def test_file_contains_no_retired_word(name: str) -> None:
    assert retired_words((ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The client is told.", ["1: told"]),
        ("x\nopen_doors = 1", ["2: doors"]),
        ('index_query("sweep", PENDING, "sweep_at < :until")', []),
        ("outdoor, sweepstakes, toldo", []),
    ],
)
def test_retired_word_is_found_as_a_whole_word(text: str, words: list[str]) -> None:
    assert retired_words(text) == words


def test_scan_covers_code_pages_and_scripts() -> None:
    found = files()
    assert {"README.md", "app.py", "chalicelib/core/jobs/model.py", "docs/architecture.md", "infra/setup.sh"} <= {
        *found
    }
    assert sum(name.endswith(".js") for name in found) >= 20
