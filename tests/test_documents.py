"""The documentation covers all options, routes, settings and error codes; its links and commands exist."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from chalicelib.cli.arguments import parse
from chalicelib.core.errors import SlidehookError
from chalicelib.core.jobs.model import State
from chalicelib.entrypoints.http.operations import operations
from infra import reference
from tests.security.test_routes import RULES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
PAGES = sorted([*TOP, *DOCS.rglob("*.md")])
MOST_LINES_OF_README = 150


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub derives it."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")


def without_fences(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    return {slug(each) for each in re.findall(r"^#+ (.+)$", without_fences(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_an_existing_file_and_heading(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_fences(page)):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_make_target_in_the_documentation_exists() -> None:
    named = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)\b", page.read_text(encoding="utf-8"))}
    named |= {
        name
        for page in PAGES
        for name in re.findall(r"^make ([a-z-]+)\b", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    known = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    assert {name for name in named if f"make {name} " not in known} == set()
    assert {"run", "test", "package", "docs"} <= named


def test_readme_fits_its_length() -> None:
    assert len(text_of("README.md").splitlines()) <= MOST_LINES_OF_README


def test_documentation_index_links_every_page() -> None:
    linked = {
        (DOCS / link.partition("#")[0]).resolve() for link in re.findall(r"\]\(([^)]+)\)", text_of("docs/README.md"))
    }
    pages = {page for page in DOCS.rglob("*.md") if page.parent.name != "decisions"} - {DOCS / "README.md"}
    assert pages - linked == set()
    assert set((DOCS / "decisions").glob("*.md")) - linked == set()


@pytest.mark.parametrize("page", reference.pages(), ids=lambda page: page.stem)
def test_committed_reference_page_equals_the_generated_one(page: Path) -> None:
    committed = page.read_text(encoding="utf-8")
    assert committed == reference.render(committed), "run `make docs`"


def test_reference_pages_have_every_generated_part() -> None:
    found = {
        name for page in reference.pages() for _, name, _ in reference.MARK.findall(page.read_text(encoding="utf-8"))
    }
    assert found == set(reference.tables())


def test_every_option_of_every_hook_is_documented() -> None:
    text = text_of("docs/reference/hooks.md")
    bodies = [each.body for each in operations() if each.body is not None]
    assert [name for body in bodies for name in body.model_fields if f"| `{name}` |" not in text] == []


def test_every_route_of_the_app_is_documented() -> None:
    # tests/security compares RULES with the routes of app.py.
    text = text_of("docs/reference/routes.md")
    documented = set(re.findall(r"^\| `([A-Z]+)` \| `([^`?]+)", text, re.MULTILINE))
    assert set(RULES) - documented == set()


def test_documented_scopes_equal_the_security_rules() -> None:
    words = {"open": "none", "any": "any token"}
    found = {(each.method, each.path): each.scope for each in operations()}
    expected = {(each.method, each.path): RULES[each.method, each.route.path] for each in operations()}
    expected["POST", "/hooks/remove"] = "admin"
    assert found == {route: words.get(rule, rule) for route, rule in expected.items()}


def test_every_error_code_has_a_heading() -> None:
    def codes(kind: type[SlidehookError]) -> set[str]:
        return {kind.code}.union(*map(codes, kind.__subclasses__()))

    assert set(re.findall(r"^## (\w+)$", text_of("docs/reference/errors.md"), re.MULTILINE)) == codes(SlidehookError)


def test_every_setting_that_the_code_reads_is_documented() -> None:
    text = text_of("docs/reference/settings.md")
    names = set(re.findall(r'"((?:SLIDEHOOK|AWS)_[A-Z0-9_]+)"', text_of("chalicelib/config.py")))
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_every_flag_of_the_command_line_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    flags = set(re.findall(r"(--[a-z-]+)", capsys.readouterr().out))
    text = text_of("docs/command-line.md")
    assert {flag for flag in flags if flag not in text} <= {"--help"}


def test_architecture_names_every_state() -> None:
    text = text_of("docs/architecture.md")
    assert "`queued -> planning -> tiling -> finishing -> done`" in text
    assert [state for state in State if f"`{state}`" not in text.replace(" -> ", "` -> `")] == []


def test_every_decision_has_status_and_date() -> None:
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    lines = [page.read_text(encoding="utf-8").splitlines()[2] for page in decisions]
    assert [line for line in lines if not re.fullmatch(r"Status: [a-z]+[^,]*, 20\d\d-\d\d-\d\d\.", line)] == []


def test_call_paths_in_architecture_name_existing_functions() -> None:
    ways = re.findall(r"^\d+\. `([\w/.]+\.py):([\w.]+)`", text_of("docs/architecture.md"), re.MULTILINE)
    assert len(ways) > 20
    root = {"app.py": ROOT}
    missing = [
        f"{path}:{name}" for path, name in ways if not _defines(root.get(path, ROOT / "chalicelib") / path, name)
    ]
    assert missing == []


def _defines(path: Path, name: str) -> bool:
    return (
        path.exists()
        and re.search(rf"^\s*(?:def|class) {re.escape(name.rpartition('.')[2])}\b", path.read_text(), re.MULTILINE)
        is not None
    )


def test_layer_diagram_equals_import_contracts() -> None:
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    pictures = re.findall(r"```mermaid\n(.*?)```", text_of("docs/architecture.md"), re.DOTALL)
    for contract in (each for each in contracts if each["type"] == "layers"):
        expected = [
            {part.strip().removeprefix("chalicelib.") for part in layer.split("|")} for layer in contract["layers"]
        ]
        assert expected in [_layers(picture) for picture in pictures], contract["name"]


def _layers(picture: str) -> list[set[str]]:
    """Return the layers of a diagram from the top. A layer is a subgraph; its boxes are modules."""
    graphs = re.findall(r"subgraph \w+\[[^\]]*\]\n(.*?)\n  end", picture, re.DOTALL)
    return [set(re.findall(r'^\s+\w+\["([\w.]+)', graph, re.MULTILINE)) for graph in graphs]
