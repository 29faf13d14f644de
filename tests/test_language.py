"""Words that the documentation replaced by the standard ones do not come back.

docs/reference/ is generated from texts in the code, which still contain some of them.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Matched as whole words, in any case.
RETIRED = re.compile(r"\b(doors?|doorbook|errands?|anew|told|untold|sweepers?|who loses)\b", re.IGNORECASE)
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [*ROOT.glob("*.md"), *ROOT.glob(".github/**/*.md"), *ROOT.glob("docs/**/*.md")]
    if "reference" not in page.parts
)


@pytest.mark.parametrize("page", PAGES)
def test_page_contains_no_retired_word(page: str) -> None:
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    found = [f"{number}: {match[0]}" for number, line in enumerate(lines, start=1) for match in RETIRED.finditer(line)]
    assert found == []


def test_pages_include_readme_and_decisions() -> None:
    assert "README.md" in PAGES
    assert sum(page.startswith("docs/decisions/") for page in PAGES) >= 20
