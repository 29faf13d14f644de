"""HEAD requests."""

from http.client import HTTPConnection
from threading import Thread

from chalice.config import Config
from chalice.local import LocalDevServer

from chalicelib.core.jobs.model import Job
from infra.local.api import Handler
from tests.http.client import Call
from tests.http.slides import NOWHERE, PATHS, view_of
from tests.timeouts import TIMEOUT_SECONDS
from tests.world import STORE


def test_head_equals_get_without_body(call: Call, job: Job) -> None:
    here = view_of(job)
    for path in (
        *(path.format(here) for path in PATHS), f"/slides/{here}", f"/slides/{here}.dzi", f"/iiif/{here}/info.json",
        f"/tile/{STORE}/{job.image}/t.jpg", f"/tile?img={job.image}&db={STORE}&name=t.jpg",
        f"/thumb?img={job.image}&db={STORE}", f"/slides/{NOWHERE}",
    ):  # fmt: skip
        whole, head = call("GET", path), call("HEAD", path)
        # Each request has its own id.
        assert head.headers.pop("X-Request-Id") != whole.headers.pop("X-Request-Id")
        assert (head.status_code, head.headers, head.body) == (whole.status_code, whole.headers, b""), path


def test_head_over_http_has_no_body_and_keeps_connection(job: Job) -> None:
    import app

    # Chalice replaces the class of the app for its own server, and can do so only once.
    config = Config.create(chalice_app=app.app, app_name="slidehook", lambda_timeout=30, lambda_memory_size=512)
    server = LocalDevServer(app.app, config, "127.0.0.1", 0, handler_cls=Handler).server
    Thread(target=server.serve_forever, daemon=True).start()
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=TIMEOUT_SECONDS)
    try:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.request(method, f"/slides/{view_of(job)}_files/9/4_3.jpg")
            answer = connection.getresponse()
            body = answer.read()
            assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
            assert bool(body) is (method == "GET")
            assert ("Content-Length" in answer.headers) is (method == "GET")
    finally:
        connection.close()
        server.shutdown()
        server.server_close()
