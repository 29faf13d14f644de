"""A real browser decodes what the service serves, and sees the colours of the file."""

import io
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import tifffile
from chalice.test import Client

from chalicelib.core.geometry import tile_name
from tests.slides import Slide, write
from tests.timeouts import TIMEOUT_SECONDS
from tests.world import STORE, World

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
)  # fmt: skip
COLOURS = ("rgb", "ycbcr", "ycbcr444", "grey")
# (Mean, 99th percentile) of the difference. Browsers interpolate coarse colour in ways of their own; a wrong colour space
# is off by dozens everywhere.
TOLERANCE = {"rgb": (1.0, 3.0), "ycbcr444": (1.0, 3.0), "grey": (1.0, 3.0), "ycbcr": (5.0, 25.0)}
PAGE = """<!doctype html><pre id="found">waiting</pre><script>
const found = {};
async function look(name, url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { colorSpace: "srgb" });
  context.drawImage(image, 0, 0);
  found[name] = Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data).filter((_, at) => at % 4 < 3);
}
Promise.all(Object.entries(TILES).map(([name, url]) => look(name, url)))
  .then(() => { document.getElementById("found").textContent = "pixels:" + JSON.stringify(found); })
  .catch((error) => { document.getElementById("found").textContent = "failed: " + error; });
</script>"""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    for name in ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI"):
        monkeypatch.setenv(f"SLIDEHOOK_{name}", "unused")
    import app

    made = World()
    monkeypatch.setattr(app, "services", made)
    return made


class Handler(BaseHTTPRequestHandler):
    """The page, and the app's own tile route behind it. One at a time: the app knows one current request."""

    page = b""

    def do_GET(self) -> None:
        import app

        if self.path == "/":
            status, kind, body = 200, "text/html", self.page
        else:
            with Client(app.app, stage_name="test") as client:
                answer = client.http.get(self.path, headers={"Accept": "image/jpeg"})
            status, kind, body = answer.status_code, answer.headers.get("Content-Type", "text/plain"), answer.body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    running = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "no Chromium is installed: apt-get install chromium"
    return found


def dumped(url: str, profile: Path) -> str:
    command = [browser(), *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


def test_a_browser_sees_the_pixels_of_the_file(world: World, server: HTTPServer, tmp_path: Path) -> None:
    urls, expected = {}, {}
    for colour in COLOURS:
        data = write(Slide(width_px=200, height_px=150, colour=colour, tables=True))  # type: ignore[arg-type]
        world.put(data, f"{colour}.svs")
        job = world.finish(world.submit(f"{colour}.svs"))
        urls[colour] = f"/tile?img={job.image}&db={STORE}&name={tile_name(0, 1, 1, levels=job.depth)}"
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            pixels = tiff.pages[0].asarray()[64:128, 64:128]
        expected[colour] = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
    Handler.page = PAGE.replace("TILES", json.dumps(urls)).encode()
    text = dumped(f"http://127.0.0.1:{server.server_port}/", tmp_path)
    match = re.search(r"pixels:(\{.*?\})<", text)
    assert match, text[:500]
    for colour, values in json.loads(match[1]).items():
        seen = np.array(values).reshape(64, 64, 3)
        difference = np.abs(seen - expected[colour].astype(int))
        mean, nearly_all = TOLERANCE[colour]
        assert difference.mean() < mean, colour
        assert np.percentile(difference, 99) <= nearly_all, colour
    assert set(json.loads(match[1])) == set(COLOURS)
