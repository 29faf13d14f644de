"""The page in a real browser: it shows nothing without sign-in, and scripts cannot read the session."""

import json
import re

import pytest
from chalice.app import Response
from playwright.sync_api import expect, sync_playwright

from chalicelib.entrypoints import pages
from chalicelib.entrypoints.http.call import Call as Request
from tests.pixels.test_chromium import browser
from tests.security.conftest import UPLOAD, Call, publish
from tests.timeouts import TIMEOUT_SECONDS
from tests.world import BUCKET, COLLECTION, SESSION, World

TIMEOUT_MS = 1000 * TIMEOUT_SECONDS
# The input of a user, and an attempt of an injected script to read the session.
SCRIPT = """
const typing = setInterval(() => {
  const field = document.querySelector("dialog input[name=token]");
  if (!field) return;
  clearInterval(typing);
  field.value = TOKEN;
  field.form.querySelector("button.primary").click();
}, 100);
setInterval(() => { document.title = `readable: ${document.cookie}.`; }, 100);
"""


@pytest.fixture
def typed_tokens(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The token that the page types into the dialog, if any."""
    tokens: list[str] = []
    served = pages.show_file

    def show_file(call: Request, folder: str, name: str) -> Response:
        answer = served(call, folder, name)
        if (folder, name) == ("pages", "jobs.js") and tokens:
            answer.body += SCRIPT.replace("TOKEN", json.dumps(tokens[0]))
        return answer

    monkeypatch.setattr(pages, "show_file", show_file)
    return tokens


def shown(url: str, text: str, *, title: str = "") -> str:
    """Return the HTML of the page once it shows `text` and its title begins with `title`."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=browser(), args=["--no-sandbox", "--disable-gpu"], timeout=TIMEOUT_MS
        )
        try:
            page = started.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            page.goto(url)
            page.get_by_text(text).first.wait_for()
            expect(page).to_have_title(re.compile(f"^{re.escape(title)}"), timeout=TIMEOUT_MS)
            return page.content()
        finally:
            started.close()


def test_anonymous_user_sees_sign_in_and_no_job(world: World, call: Call, port: int) -> None:
    publish(world, call, UPLOAD)
    seen = shown(f"http://127.0.0.1:{port}/", "Sign in with an access token")
    assert '<input type="password" name="token"' in seen
    assert "mine.svs" not in seen


def test_wrong_token_shows_an_error(world: World, call: Call, port: int, typed_tokens: list[str]) -> None:
    publish(world, call, UPLOAD)
    typed_tokens.append("wrong")
    seen = shown(f"http://127.0.0.1:{port}/", "The token is not valid.")
    assert "mine.svs" not in seen


def test_signed_in_user_sees_jobs_and_scripts_see_no_session(
    world: World, call: Call, port: int, typed_tokens: list[str]
) -> None:
    key = f"{COLLECTION}/{SESSION}/<img src=x onerror=document.body.id='run'>.svs"
    world.put(world.memory_slides._objects[BUCKET, "slide.svs"][1], key)
    publish(world, call, UPLOAD | {"source": f"s3://{BUCKET}/{key}"})
    typed_tokens.append("read")
    seen = shown(f"http://127.0.0.1:{port}/", "<img src=x onerror=", title="readable: ")
    assert "<dialog" not in seen
    assert "&lt;img src=x onerror=" in seen
    assert '<body id="run"' not in seen
    assert re.search(r"<title>readable: \.</title>", seen)
