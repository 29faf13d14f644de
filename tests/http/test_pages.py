"""Pages and static files."""

from dataclasses import replace

import pytest

from tests.http.client import Call
from tests.world import World


def test_page_is_served_with_its_files_only(call: Call) -> None:
    page = call("GET", "/", token=None)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "Slidehook" in page.body.decode()
    assert call("GET", "/static/pages/jobs.js").headers["Content-Type"].startswith("text/javascript")
    assert call("GET", "/static/components/style.css").headers["Content-Type"].startswith("text/css")
    for name in ("nothing.js", "..%2Fhttp.py", "http.py"):
        assert call("GET", f"/static/pages/{name}").status_code == 404


def test_pages_are_served_by_name(call: Call) -> None:
    assert "Submit" in call("GET", "/pages/submit", token=None).body.decode()
    for name in ("nothing", "submit.html", "..%2Fstatic%2Fsubmit"):
        assert call("GET", f"/pages/{name}").status_code == 404


def test_viewer_library_is_served_with_its_licence_only(call: Call) -> None:
    script = call("GET", "/static/vendor/openseadragon.min.js")
    assert (script.status_code, script.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert script.body.startswith(b"//! openseadragon ")
    assert b"CodePlex Foundation" in call("GET", "/static/vendor/openseadragon.LICENSE.txt").body
    for name in ("made-from.sha256", "jobs.js", "..%2Fjobs.js", "openseadragon.min.js.map"):
        assert call("GET", f"/static/vendor/{name}").status_code == 404


def test_cached_static_file_is_not_sent_again(call: Call) -> None:
    first = call("GET", "/static/components/style.css")
    again = call("GET", "/static/components/style.css", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.body) == (304, b"")
    assert call("GET", "/static/components/style.css", If_None_Match='"another"').status_code == 200


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        (None, "https://incoming.s3.eu-central-1.amazonaws.com"),
        ("http://127.0.0.1:4566/", "http://127.0.0.1:4566"),
    ],
)
def test_page_policy_allows_uploads_to_incoming_bucket_only(
    world: World, call: Call, endpoint: str | None, origin: str
) -> None:
    world.settings = replace(world.settings, incoming_bucket="incoming", region="eu-central-1", aws_endpoint=endpoint)
    policy = call("GET", "/pages/submit").headers["Content-Security-Policy"]
    assert f"connect-src 'self' {origin};" in policy
