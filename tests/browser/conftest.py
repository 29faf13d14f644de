"""One browser on the running system, and pages that may not break without being noticed."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Response, ViewportSize, expect, sync_playwright

from tests.journey.system import ROOT, LocalSystem
from tests.patience import PATIENCE_SECONDS, eventually
from tests.scan import real_scan
from tests.slides import Slide, write

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-color-profile=srgb",
]  # fmt: skip
SCREEN = ViewportSize(width=1280, height=800)
PATIENCE_MS = 1000 * PATIENCE_SECONDS
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


@dataclass(frozen=True)
class Published:
    """The jobs of two published slides, one with RGB tiles as a scanner wrote it and one with YCbCr tiles, and the
    session that holds these and no other."""

    session: str
    label: str
    jobs: dict[str, dict[str, Any]]

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self.jobs[name]


@pytest.fixture(scope="session")
def slides(running_system: LocalSystem) -> Published:
    label = "Two slides"
    system = running_system.with_session(label)
    data = {REAL: real_scan().read_bytes(), "ycbcr.svs": write(YCBCR)}
    ids = {name: system.submit(system.put(name, each))["id"] for name, each in data.items()}
    jobs = {name: system.ended(job) for name, job in ids.items()}
    assert {job["state"] for job in jobs.values()} == {"done"}
    return Published(system.session, label, jobs)


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
    under_way: set[Request] = field(default_factory=set)

    def open(self, path: str) -> Page:
        self.page.goto(self.system.stack["api"] + path)
        return self.page

    def begun(self, request: Request) -> None:
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
        self.until("document.readyState === 'complete' && !document.querySelector('.ghost')")
        # `live` alone is what the page begins with.
        self.until("[...document.querySelectorAll('.live')].every((each) => each.className !== 'live')")
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


def visit(browser: Browser, system: LocalSystem, **options: Any) -> Iterator[Visit]:
    # What moves is where it goes at once: no picture depends on the moment in which it is taken.
    context = browser.new_context(viewport=options.pop("viewport", SCREEN), reduced_motion="reduce", **options)
    context.set_default_timeout(PATIENCE_MS)
    made = Visit(context.new_page(), system)
    page = made.page
    page.on("request", made.begun)
    page.on("requestfinished", made.ended)
    page.on("response", made.answered)
    page.on("pageerror", lambda error: made.wrong.append(f"error: {error}"))
    page.on("requestfailed", made.failed)
    page.on(
        "console",
        lambda told: (
            made.wrong.append(f"console: {told.text}")
            if told.type in ("error", "warning") and TOLD_TWICE not in told.text
            else None
        ),
    )
    yield made
    context.close()
    assert made.unexpected == []


@pytest.fixture(autouse=True)
def no_tries_to_sign_in(running_system: LocalSystem) -> None:
    """Reset the rate limit of sign-ins: all tests share one system and one address, which may try ten times a minute."""
    table, client = running_system.stack["jobs_table"], running_system._client("dynamodb")
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="begins_with(pk, :tries)",
        ExpressionAttributeValues={":tries": {"S": "tries#"}},
    )
    for item in pages.search("Items[]"):
        client.delete_item(TableName=table, Key={"pk": item["pk"], "sk": item["sk"]})


@pytest.fixture
def visitor(chromium: Browser, running_system: LocalSystem) -> Iterator[Visit]:
    yield from visit(chromium, running_system)


@pytest.fixture
def phone(chromium: Browser, running_system: LocalSystem) -> Iterator[Visit]:
    yield from visit(
        chromium, running_system, viewport=ViewportSize(width=390, height=780), has_touch=True, is_mobile=True
    )


def picture(page: Page, name: str) -> None:
    """Keep what is on the screen as docs/`name`.png, if pictures are asked for (`make browser SCREENSHOTS=1`)."""
    if os.environ.get("SLIDEHOOK_SCREENSHOTS") != "1":
        return
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(256, dither=Image.Dither.NONE).save(Path(ROOT) / "docs" / f"{name}.png", optimize=True)
