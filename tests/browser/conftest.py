"""One browser on the running system, and pages that may not break without being noticed."""

import io
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.e2e.system import ROOT, LocalSystem
from tests.scan import real_scan
from tests.slides import Slide, write
from tests.timeouts import TIMEOUT_SECONDS, eventually

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-color-profile=srgb",
]  # fmt: skip
SCREEN = ViewportSize(width=1280, height=800)
PATIENCE_MS = 1000 * TIMEOUT_SECONDS
expect.set_options(timeout=PATIENCE_MS)

REAL = "CMU-1-Small-Region.svs"
YCBCR = Slide(width_px=700, height_px=500, colour="ycbcr", tables=True, associated=True)
# Told in these words by Chromium as well as by the answer itself, which is looked at.
TOLD_TWICE = "Failed to load resource"
# What is under way when a page is left.
LEFT = "net::ERR_ABORTED"

# Two frames are drawn.
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

weights: dict[str, tuple[int, int, int]] = {}  # page: requests, bytes, bytes of scripts beside the viewer's library


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if weights:
        terminalreporter.section("weight of the pages")
        for name, (requests, total, scripts) in sorted(weights.items()):
            terminalreporter.line(f"{name:12} {requests:3} requests {total:9,} bytes, of scripts {scripts:7,}")


class Published(dict[str, dict[str, Any]]):
    """The jobs of two published slides by name, one with RGB tiles as a scanner wrote it and one with YCbCr tiles.
    Their session has no other slide."""

    def __init__(self, jobs: dict[str, dict[str, Any]], *, session: str, label: str) -> None:
        super().__init__(jobs)
        self.session, self.label = session, label


@pytest.fixture(scope="session")
def slides(running_system: LocalSystem) -> Published:
    label = "Two slides"
    system = running_system.with_session(label)
    data = {REAL: real_scan().read_bytes(), "ycbcr.svs": write(YCBCR)}
    ids = {name: system.submit(system.put(name, each))["id"] for name, each in data.items()}
    jobs = {name: system.ended(job) for name, job in ids.items()}
    assert {job["state"] for job in jobs.values()} == {"done"}
    return Published(jobs, session=system.session, label=label)


# While it runs, this thread has an event loop, and tests of other packages start their own.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "no Chromium is installed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE_MS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open, what it fetched, and what went wrong on it: nothing may, unless a test says so in
    `expected` (a part of each message)."""

    page: Page
    system: LocalSystem
    fetched: list[Response] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    under_way: set[Request] = field(default_factory=set)

    def shows_slides_of_others(self) -> None:
        """Expect that thumbnails are missing: the page lists slides of other tests, which remove and replace some."""
        self.expected.append("/thumb?")

    def open(self, path: str) -> Page:
        self.page.goto(self.system.stack["api"] + path)
        return self.page

    def begun(self, request: Request) -> None:
        self.asked.append(request.url)
        self.under_way.add(request)

    def ended(self, request: Request) -> None:
        self.under_way.discard(request)

    def answered(self, response: Response) -> None:
        self.fetched.append(response)
        if response.status >= 400:
            self.wrong.append(f"{response.status} {response.request.method} {response.url}")

    def failed(self, request: Request) -> None:
        self.ended(request)
        if request.failure != LEFT:
            self.wrong.append(f"failed: {request.url} {request.failure}")

    def recorded(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and TOLD_TWICE not in message.text:
            self.wrong.append(f"console: {message.text}")

    def broken(self, error: Error) -> None:
        self.wrong.append(f"error: {error}")

    @property
    def unexpected(self) -> list[str]:
        return [each for each in self.wrong if not any(part in each for part in self.expected)]

    def open_viewer(self, *jobs: dict[str, Any], place: str = "") -> Page:
        """Open one slide, or two side by side, and wait until everything in view is drawn."""
        other = f"&with={jobs[1]['id']}" if len(jobs) > 1 else ""
        self.open(f"/pages/viewer?slide={jobs[0]['id']}{other}{place and '#' + place}")
        self.drawn(len(jobs))
        return self.page

    def until(self, expression: str) -> Any:
        """Return the first true value of an expression on the page. Playwright's own way is against the page's policy:
        it evaluates a text there."""
        return self.eventually(lambda: self.page.evaluate(expression), what=expression)

    def eventually(self, look: Callable[[], Any], *, what: str = "it") -> Any:
        """Return the first true value that `look` returns. The page goes on meanwhile."""
        return eventually(lambda: self.page.evaluate("1") and look(), what=what)

    def drawn(self, panes: int = 1) -> None:
        """Wait until everything in view is drawn."""
        loaded = f"document.querySelectorAll('.pane[data-loaded=yes]').length === {panes}"
        # A pane that has just been moved says so with its next frame.
        self.until(f"{FRAMES}.then(() => document.documentElement.dataset.ready === 'yes' && {loaded})")
        # What was loaded last is drawn with the next frame.
        self.page.evaluate(FRAMES)

    def settled(self) -> None:
        """Wait until the page shows what it asked for. Pages go on asking: this is after their first look."""
        self.until("document.readyState === 'complete' && !document.querySelector('.skeleton')")
        # `live` alone is what the page begins with.
        self.until("[...document.querySelectorAll('.connection')].every((each) => each.className !== 'connection')")
        self.eventually(lambda: not self.under_way, what="the end of all requests")
        self.page.evaluate(FRAMES)

    def place(self, pane: int = 0) -> list[float]:
        """Return where the address says that one looks: x, y, zoom, and the turn if there is one."""
        hash_ = self.page.evaluate("location.hash")
        return [float(part) for part in hash_.removeprefix("#").split(";")[pane].split(",")]

    def pixels(self, pane: int = 0) -> npt.NDArray[np.uint8]:
        """Return what is on the screen where the slide is."""
        box = self.page.locator(".pane .openseadragon-canvas canvas").nth(pane).bounding_box()
        assert box is not None
        screen = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        left, top = round(box["x"]), round(box["y"])
        return screen[top : top + round(box["height"]), left : left + round(box["width"])]


def opened(browser: Browser, **options: Any) -> Page:
    """Return a page of a new profile."""
    # What moves is where it goes at once: no picture depends on the moment in which it is taken.
    context = browser.new_context(**{"viewport": SCREEN, "reduced_motion": "reduce", **options})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())  # pages warn those who leave them while a slide is sent
    return page


def watched(page: Page, system: LocalSystem) -> Iterator[Visit]:
    """Watch a page for one test."""
    made = Visit(page, system)
    handlers = {
        "request": made.begun, "requestfinished": made.ended, "requestfailed": made.failed, "response": made.answered,
        "pageerror": made.broken, "console": made.recorded,
    }  # fmt: skip
    for event, handler in handlers.items():
        page.on(event, handler)  # type: ignore[call-overload]
    yield made
    for event, handler in handlers.items():
        page.remove_listener(event, handler)
    assert made.unexpected == []


@pytest.fixture
def no_tries_to_sign_in(running_system: LocalSystem) -> None:
    """Reset the rate limit of sign-ins: all tests share one system and one address, which may try ten times a minute.
    Each test that signs in uses this fixture."""
    table, client = running_system.stack["jobs_table"], running_system._client("dynamodb")
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="begins_with(pk, :tries)",
        ExpressionAttributeValues={":tries": {"S": "tries#"}},
    )
    for item in pages.search("Items[]"):
        client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})


def visit(browser: Browser, system: LocalSystem, **options: Any) -> Iterator[Visit]:
    """Watch a page of a new profile."""
    page = opened(browser, **options)
    yield from watched(page, system)
    page.context.close()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


class Windows:
    """Pages that one test after the other uses: to open one takes a browser as long as a short test. A test finds it
    as a new one, with nothing stored. After a test that failed it is another one."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._pages: dict[str, Page] = {}

    def use(self, name: str, system: LocalSystem, item: pytest.Item, **options: Any) -> Iterator[Visit]:
        page = self._pages.get(name) or self._pages.setdefault(name, opened(self._browser, **options))
        try:
            yield from watched(page, system)
        finally:
            if item.stash.get(FAILED, False):
                self._pages.pop(name).context.close()
            else:
                self._forget(page, system)

    @staticmethod
    def _forget(page: Page, system: LocalSystem) -> None:
        page.unroute_all(behavior="ignoreErrors")
        page.mouse.move(0, 0)
        page.goto("about:blank")
        page.emulate_media(color_scheme="light")
        page.context.clear_cookies()
        devtools = page.context.new_cdp_session(page)
        api = system.stack["api"]
        for origin in (api, api.replace("127.0.0.1", "localhost")):
            devtools.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        devtools.detach()


@pytest.fixture(scope="package")
def windows(chromium: Browser) -> Windows:
    return Windows(chromium)


@pytest.fixture
def visitor(windows: Windows, running_system: LocalSystem, request: pytest.FixtureRequest) -> Iterator[Visit]:
    yield from windows.use("desk", running_system, request.node)


@pytest.fixture
def phone(windows: Windows, running_system: LocalSystem, request: pytest.FixtureRequest) -> Iterator[Visit]:
    small = ViewportSize(width=390, height=780)
    yield from windows.use("phone", running_system, request.node, viewport=small, has_touch=True, is_mobile=True)


@pytest.fixture
def slow_visitor(chromium: Browser, running_system: LocalSystem) -> Iterator[Visit]:
    """A visitor whose page has a clock that the test moves."""
    for made in visit(chromium, running_system):
        made.page.clock.install()
        yield made


def picture(page: Page, name: str) -> None:
    """Keep what is on the screen as docs/`name`.png, if pictures are asked for (`make browser SCREENSHOTS=1`)."""
    if os.environ.get("SLIDEHOOK_SCREENSHOTS") != "1":
        return
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(256, dither=Image.Dither.NONE).save(Path(ROOT) / "docs" / f"{name}.png", optimize=True)
