"""What a new user meets in a browser: the sign-in link that `make run` prints, and addresses that do not exist."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.test_pages import SCHEMES, violations

pytestmark = pytest.mark.usefixtures("no_tries_to_sign_in")


@pytest.fixture(autouse=True)
def _list_of_all_jobs(visitor: Visit) -> None:
    """They end on the list of all jobs."""
    visitor.shows_slides_of_others()


# What a page asks for when a person submits something.
INSPECTS = """(async () => {
  const { post } = await import("/static/lib/api.js");
  window.outcome = await post("/hooks/inspect", { source: "s3://BUCKET/nothing.svs" })
    .then(() => "granted", (error) => `refused: ${error.status}`);
})()"""


def link(visitor: Visit) -> str:
    """Return a new sign-in link, as `make run` prints one."""
    url: str = visitor.system.call("POST", "/sign-in/links").json()["url"]
    return url


def follow_from_elsewhere(visitor: Visit, url: str) -> None:
    """Follow a link on a page of another site: the same server under its other name."""
    page = visitor.page
    page.goto(visitor.system.stack["api"].replace("127.0.0.1", "localhost") + "/pages/api")
    page.evaluate("(url) => { location.href = url; }", url)
    page.get_by_role("heading", name="Sign in").wait_for()


def test_link_signs_the_browser_in_with_one_click(visitor: Visit) -> None:
    page, stack = visitor.page, visitor.system.stack
    page.goto(link(visitor))
    page.get_by_role("button", name="Sign out").wait_for()
    assert page.url == f"{stack['api']}/"
    assert page.locator(".account").inner_text() == "token"
    assert page.evaluate("document.cookie") == ""
    # What needs a token is done without asking for one. The object does not exist: that is what is refused.
    visitor.expected.append("422 POST")
    page.evaluate(INSPECTS.replace("BUCKET", stack["bucket"]) + "; 0")
    visitor.until("window.outcome === 'refused: 422'")
    assert page.get_by_role("dialog").count() == 0


def test_used_link_says_how_to_get_a_new_one(visitor: Visit) -> None:
    visitor.expected.append("410 GET")
    page = visitor.open(f"/sign-in/links/{'x' * 43}")
    page.get_by_role("heading", name="Sign-in link not valid").wait_for()
    expect(page.get_by_text("To print a new link")).to_be_visible()
    page.get_by_role("link", name="Sign in with a token").click()
    page.wait_for_url("**/pages/sign-in")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("dialog").get_by_label("Token").wait_for()


def test_link_on_another_page_signs_in_when_a_button_is_pressed(visitor: Visit) -> None:
    follow_from_elsewhere(visitor, link(visitor))
    page = visitor.page
    page.get_by_role("banner").get_by_role("button", name="Sign in").wait_for()
    assert page.context.cookies() == []
    expect(page.get_by_text("This link signs this browser in to 127.0.0.1")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{visitor.system.stack['api']}/")
    page.get_by_role("button", name="Sign out").wait_for()


def test_used_link_on_another_page_says_how_to_get_a_new_one(visitor: Visit) -> None:
    visitor.expected.append("401 POST")
    follow_from_elsewhere(visitor, f"{visitor.system.stack['api']}/sign-in/links/{'x' * 43}")
    visitor.page.get_by_role("main").get_by_role("button", name="Sign in").click()
    visitor.page.get_by_role("heading", name="Sign-in link not valid").wait_for()


@pytest.mark.parametrize("path", ["/nope", "/pages/nope", "/a/deeper/nope"])
def test_unknown_address_is_a_page_that_leads_home(visitor: Visit, path: str) -> None:
    visitor.expected.append("404 GET")
    page = visitor.open(path)
    page.get_by_role("heading", name="Page not found").wait_for()
    assert page.get_by_role("banner").get_by_role("link").all_inner_texts() == [
        "Slidehook", "Jobs", "Slides", "Submit", "API",
    ]  # fmt: skip
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == [], scheme
    page.get_by_role("main").get_by_role("link", name="Jobs").click()
    page.wait_for_url(f"{visitor.system.stack['api']}/")
