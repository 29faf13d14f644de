"""One running system, one browser, and pages that may not break without being noticed."""

import hashlib
import io
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Response, ViewportSize, sync_playwright

from tests.journey.system import ROOT, LocalSystem, started
from tests.scan import real_scan
from tests.slides import Slide, write

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--force-color-profile=srgb",
]  # fmt: skip
SCREEN = ViewportSize(width=1280, height=800)
# A token of somebody who may only look.
READER = "reads-and-no-more"
REAL = "CMU-1-Small-Region.svs"
YCBCR = Slide(width_px=700, height_px=500, colour="ycbcr", tables=True, associated=True)
# Told in these words by Chromium as well as by the answer itself, which is looked at.
TOLD_TWICE = "Failed to load resource"
# What is under way when a page is left.
LEFT = "net::ERR_ABORTED"

weights: dict[str, tuple[int, int, int]] = {}  # page: requests, bytes, bytes of scripts beside the viewer's library


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if weights:
        terminalreporter.section("weight of the pages")
        for name, (requests, total, scripts) in sorted(weights.items()):
            terminalreporter.line(f"{name:12} {requests:3} requests {total:9,} bytes, of scripts {scripts:7,}")


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    reader = {"name": "reader", "sha256": hashlib.sha256(READER.encode()).hexdigest(), "scopes": ["read"]}
    variables = {"SLIDEHOOK_TOKENS": json.dumps([reader])}
    with started(tmp_path_factory.mktemp("slidehook"), variables=variables) as running:
        yield running


@pytest.fixture(scope="session")
def slides(system: LocalSystem) -> dict[str, dict[str, Any]]:
    """The jobs of two published slides: a scanner's own with RGB tiles, and one with YCbCr tiles."""
    data = {REAL: real_scan().read_bytes(), "ycbcr.svs": write(YCBCR)}
    ids = {name: system.submit(system.put(name, each))["id"] for name, each in data.items()}
    jobs = {name: system.ended(job) for name, job in ids.items()}
    assert {job["state"] for job in jobs.values()} == {"done"}
    return jobs


# Not longer than a module: while it runs, this thread has an event loop, in which other tests can start none.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "no Chromium is installed: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
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

    def open(self, path: str) -> Page:
        self.page.goto(self.system.stack["api"] + path)
        return self.page

    def answered(self, response: Response) -> None:
        self.fetched.append(response)
        if response.status >= 400:
            self.wrong.append(f"{response.status} {response.request.method} {response.url}")

    def failed(self, request: Request) -> None:
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

    def until(self, expression: str, *, seconds: float = 30) -> Any:
        """Return the first true value of an expression on the page. Playwright's own way is against the page's policy:
        it evaluates a text there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := self.page.evaluate(expression):
                return found
            self.page.wait_for_timeout(30)
        pytest.fail(f"not within {seconds:.0f} s: {expression}")

    def drawn(self, panes: int = 1) -> None:
        """Wait until everything in view is drawn."""
        loaded = f"document.querySelectorAll('.pane[data-loaded=yes]').length === {panes}"
        self.until(f"document.documentElement.dataset.ready === 'yes' && {loaded}")
        # What was loaded last is drawn with the next frame.
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def place(self, pane: int = 0) -> list[float]:
        """Return where the address says that one looks: x, y, zoom, and the turn if there is one."""
        return [float(part) for part in self.page.url.partition("#")[2].split(";")[pane].split(",")]

    def pixels(self, pane: int = 0) -> npt.NDArray[np.uint8]:
        """Return what is on the screen where the slide is."""
        box = self.page.locator(".pane .openseadragon-canvas canvas").nth(pane).bounding_box()
        assert box is not None
        screen = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        left, top = round(box["x"]), round(box["y"])
        return screen[top : top + round(box["height"]), left : left + round(box["width"])]


def visit(browser: Browser, system: LocalSystem, **options: Any) -> Iterator[Visit]:
    context = browser.new_context(viewport=options.pop("viewport", SCREEN), **options)
    made = Visit(context.new_page(), system)
    page = made.page
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


@pytest.fixture
def visitor(chromium: Browser, system: LocalSystem) -> Iterator[Visit]:
    yield from visit(chromium, system)


@pytest.fixture
def phone(chromium: Browser, system: LocalSystem) -> Iterator[Visit]:
    yield from visit(chromium, system, viewport=ViewportSize(width=390, height=780), has_touch=True, is_mobile=True)


def picture(page: Page, name: str) -> None:
    """Keep what is on the screen as docs/`name`.png, if pictures are asked for (`make browser SCREENSHOTS=1`)."""
    if os.environ.get("SLIDEHOOK_SCREENSHOTS") != "1":
        return
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(256, dither=Image.Dither.NONE).save(Path(ROOT) / "docs" / f"{name}.png", optimize=True)


@contextmanager
def workers_stopped(system: LocalSystem) -> Iterator[None]:
    """Hold the workers where they are."""
    pids = system.stack["pids"]["workers"]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
