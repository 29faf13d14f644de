"""Every page: who cannot see it or has no mouse can use it, it weighs little, and the catalogue leads to each slide."""

import shutil
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import FLAGS, REAL, Published, Visit, visit, weights
from tests.e2e.system import ROOT, LocalSystem
from tests.slides import Slide, write

STATIC = ROOT / "chalicelib/entrypoints/static"
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
PAGES = sorted(path.stem for path in (STATIC / "pages").glob("*.html"))
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
MOST_SCRIPT_BYTES = 150_000


def open_page(visitor: Visit, page: str, slides: Published) -> Page:
    """Open a page at an address at which it has something to show."""
    if page == "jobs":
        opened = visitor.open(f"/?session={slides.session}")
    else:
        first, second = slides.values()
        queries = {
            "collections": f"?find={slides.label}",
            "job": f"?id={first['id']}",
            "session": f"?id={slides.session}",
            "viewer": f"?slide={first['id']}&with={second['id']}",
        }
        opened = visitor.open(f"/pages/{page}{queries.get(page, '')}")
    if page == "viewer":
        visitor.drawn(2)
    visitor.settled()
    return opened


def violations(page: Page) -> list[str]:
    """Return what axe finds serious or worse, each with the elements."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{each['id']}: {each['help']}: {node['target']} {node['html'][:150]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def assert_usable(visitor: Visit) -> None:
    for scheme in SCHEMES:
        visitor.page.emulate_media(color_scheme=scheme)
        visitor.settled()
        assert violations(visitor.page) == [], scheme


@pytest.mark.parametrize("name", PAGES)
def test_nothing_serious_keeps_anybody_from_using_a_page(visitor: Visit, slides: Published, name: str) -> None:
    open_page(visitor, name, slides)
    assert_usable(visitor)


@pytest.mark.parametrize("keys", ["?", "c"])
def test_nothing_serious_keeps_anybody_from_using_the_viewers_dialogs(
    visitor: Visit, slides: Published, keys: str
) -> None:
    page = visitor.open_viewer(slides[REAL])
    page.keyboard.press(keys)
    page.get_by_role("dialog").wait_for()
    assert_usable(visitor)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_less_script_than_it_may_have(
    visitor: Visit, slides: Published, system: LocalSystem, name: str
) -> None:
    open_page(visitor, name, slides)
    bodies = [(each.url, len(each.body())) for each in visitor.fetched if each.status == 200]
    scripts = sum(size for url, size in bodies if url.partition("?")[0].endswith(".js") and "/vendor/" not in url)
    weights[name] = len(visitor.fetched), sum(size for _, size in bodies), scripts
    assert 0 < scripts < MOST_SCRIPT_BYTES
    assert all(url.startswith(system.stack["api"]) for url, _ in bodies)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_phone(phone: Visit, slides: Published, name: str) -> None:
    page = open_page(phone, name, slides)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_bar_and_what_lies_behind_a_dialog_reach_the_edge(chromium: Browser, system: LocalSystem) -> None:
    size = ViewportSize(width=1280, height=2000)  # there is nothing to scroll
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with_bars = chromium.browser_type.launch(
        executable_path=path, args=FLAGS, ignore_default_args=["--hide-scrollbars"]
    )
    try:
        for made in visit(with_bars, system, viewport=size):
            page = made.open("/pages/submit")
            page.get_by_role("heading", level=1).wait_for()
            assert page.locator("header").evaluate("(bar) => bar.getBoundingClientRect().right") == size["width"]
            assert page.evaluate("document.documentElement.clientWidth") == size["width"]
    finally:
        with_bars.close()


def test_collections_lead_to_sessions_and_sessions_to_slides(
    visitor: Visit, slides: Published, system: LocalSystem
) -> None:
    page = visitor.open(f"/pages/collections?find={slides.label}")
    page.get_by_role("heading", name="Local slides").wait_for()
    (newest,) = system.call("GET", f"/sessions/{slides.session}/slides?limit=1").json()["slides"]
    page.get_by_role("link", name=f"Open {newest['title']}", exact=True).wait_for()
    page.get_by_placeholder("Find sessions").fill("nothing of the kind")
    page.get_by_text("No sessions match").wait_for()
    assert page.url.endswith("?find=nothing+of+the+kind")
    page.get_by_role("button", name="Clear search").click()
    page.get_by_role("link", name=slides.label).click()
    page.wait_for_url("**/pages/session?id=*")
    card = page.get_by_role("listitem").filter(has_text=REAL)
    card.get_by_text("2,220 × 2,967 px · 0.499 µm/px · 20×").wait_for()
    assert card.get_by_role("link", name=f"Job of {REAL}").get_attribute("href").endswith(slides[REAL]["id"])  # type: ignore[union-attr]
    card.get_by_role("link", name=REAL, exact=True).click()
    visitor.drawn()
    assert page.locator(".slide-info h2").inner_text() == REAL


def test_two_slides_of_a_session_are_chosen_to_be_compared(visitor: Visit, slides: Published) -> None:
    page = visitor.open(f"/pages/session?id={slides.session}")
    page.get_by_label(f"Compare {REAL}").check()
    page.get_by_text("Select one more slide to compare").wait_for()
    page.get_by_label("Compare ycbcr.svs").check()
    page.get_by_role("link", name="Compare slides").click()
    visitor.drawn(2)


def test_a_slide_appears_in_its_session_first_when_it_is_published(visitor: Visit, system: LocalSystem) -> None:
    system.ended(system.submit(system.put("before.svs", write(Slide(width_px=300, height_px=200, seed=8))))["id"])
    page = visitor.open(f"/pages/session?id={system.session}")
    newest = page.locator(".slides .name").first
    expect(newest).to_have_text("before.svs")
    system.s3().put_object(
        Bucket=system.stack["bucket"],
        Key=f"{system.stack['collection']}/{system.session}/dropped.svs",
        Body=write(Slide(width_px=300, height_px=200, seed=9)),
    )
    expect(newest).to_have_text("dropped.svs")


def test_a_slides_picture_ends_where_the_slide_ends(visitor: Visit, slides: Published) -> None:
    page = visitor.open(f"/pages/session?id={slides.session}")
    shown = page.get_by_role("listitem").filter(has_text=REAL).locator("svg.thumbnail > svg")
    shown.wait_for()
    # 2220 x 2967 px in tiles of 240 px: its coarsest level is the fourth halving.
    assert [float(shown.get_attribute(name) or 0) for name in ("width", "height")] == [2220 / 16, 2967 / 16]


def test_a_session_without_slides_says_how_one_gets_there(visitor: Visit, system: LocalSystem) -> None:
    page = visitor.open(f"/pages/session?id={system.session}")
    page.get_by_role("heading", name="No slides").wait_for()
    page.get_by_text(f"{system.stack['collection']}/{system.session}/").wait_for()


def test_a_session_that_does_not_exist_is_a_sentence_and_a_way_on(visitor: Visit) -> None:
    visitor.expected.append("404 GET")
    page = visitor.open(f"/pages/session?id={'0' * 24}")
    page.get_by_role("heading", name="Session not found").wait_for()
    assert page.locator("main").inner_text().lower().count("not found") == 1
    page.get_by_role("link", name="All sessions").click()
    page.wait_for_url("**/pages/collections")


def test_a_name_is_shown_as_text_whatever_stands_in_it(visitor: Visit, running_system: LocalSystem) -> None:
    label = "<img src=x onerror=\"document.body.id='run'\"><b>"
    system = running_system.with_session(label)
    visitor.shows_slides_of_others()
    name = "<script>document.body.id='run'<" + "script>.svs"
    stored = system.put(name, write(Slide(width_px=100, height_px=80, seed=3)))
    job = system.submit(stored)
    assert system.ended(job["id"])["state"] == "done"
    for path in ("/pages/collections", f"/pages/session?id={system.session}", f"/pages/viewer?slide={job['id']}"):
        page = visitor.open(path)
        shown = label if "collections" in path else name
        page.get_by_text(shown).first.wait_for()
        visitor.settled()
        assert page.evaluate("document.body.id") == ""


def test_the_page_of_the_api_names_what_is_required_first_and_shows_no_patterns(visitor: Visit) -> None:
    page = visitor.open("/pages/api")
    operation = page.locator("details", has=page.get_by_text("/hooks/verify", exact=True))
    operation.locator("summary").click()
    body = operation.get_by_role("table", name="Request body (JSON)")
    rows = body.locator("tbody tr").all_inner_texts()
    assert rows[0].split()[0] == "job"
    assert "32 hex digits" in rows[0]
    assert "\tyes\t" in rows[0]
    (repair,) = (each for each in rows if each.startswith("repair"))
    assert "default: false" in repair
    assert "[0-9a-f]" not in page.locator("#operations").inner_text()


def test_axe_is_there() -> None:
    assert Path(AXE).is_file(), "`make setup` brings it"
