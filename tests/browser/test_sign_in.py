"""Who is let in: asked for a token where one is needed, refused with a wrong one, granted with the right one."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import REAL, Published, Visit
from tests.conftest import READER
from tests.e2e.system import LocalSystem

pytestmark = pytest.mark.usefixtures("no_tries_to_sign_in")

# What a page does when a person submits something.
ASKS = """(async () => {
  const { post } = await import("/static/lib/api.js");
  window.outcome = await post("/hooks/inspect", BODY).then(() => "granted", (error) => `refused: ${error.status}`);
})()"""


@pytest.fixture
def asked(visitor: Visit, system: LocalSystem) -> Visit:
    """A page that has asked for something that needs a token."""
    visitor.expected.append("401 POST")
    page = visitor.open("/pages/api")
    source = f"s3://{system.stack['bucket']}/nothing.svs"
    page.evaluate(ASKS.replace("BODY", f"{{ source: {source!r} }}") + "; 0")
    page.get_by_role("dialog").wait_for()
    return visitor


def test_a_token_that_is_not_known_is_refused_with_a_sentence(asked: Visit) -> None:
    page = asked.page
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    page.get_by_text("The token is not valid.").wait_for()
    page.get_by_role("button", name="Cancel").click()
    asked.until("window.outcome === 'refused: 401'")


def test_the_right_token_lets_in_and_stays_out_of_reach_of_scripts(asked: Visit, system: LocalSystem) -> None:
    asked.expected.append("422 POST")
    page = asked.page
    page.get_by_label("Token").fill(system.stack["token"])
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    asked.until("window.outcome === 'refused: 422'")  # let in: now it is the object that is missing
    assert page.evaluate("document.cookie") == ""
    assert system.stack["token"] not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    page.reload()
    page.get_by_role("button", name="Sign out").wait_for()
    assert page.locator(".account").inner_text() == "token"
    assert page.get_by_role("button", name="Sign in").count() == 0


def test_the_way_in_is_always_there_and_says_where_a_token_comes_from(visitor: Visit, system: LocalSystem) -> None:
    page = visitor.open("/pages/api")
    page.get_by_role("button", name="Sign in").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("make run").wait_for()
    dialog.get_by_text(".local/stack.json").wait_for()
    dialog.get_by_label("Token").fill(system.stack["token"])
    dialog.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()


def test_who_may_not_do_something_is_told_so_before(visitor: Visit, slides: Published) -> None:
    page = visitor.open(f"/pages/job?id={slides[REAL]['id']}")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Token").fill(READER)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    for name, scope in [("Verify", "submit"), ("Re-ingest", "submit"), ("Remove", "admin")]:
        button = page.get_by_role("button", name=name, exact=True)
        expect(button).to_be_disabled()
        expect(button).to_have_attribute("title", re.compile(f"“reader” lacks the scope “{scope}”"))
    page = visitor.open("/pages/submit")
    expect(page.get_by_text("“reader” lacks the scope “submit”")).to_be_visible()
    expect(page.get_by_role("button", name="Choose files")).to_be_disabled()
    expect(page.get_by_role("button", name="Inspect")).to_be_disabled()
