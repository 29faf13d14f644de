"""Unknown paths: a page for browsers, problem details for other clients."""

import json

import pytest

from chalicelib.entrypoints import pages
from infra.deploy import template
from tests.http.client import Call
from tests.world import World

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
HTML, PROBLEM = "text/html; charset=utf-8", "application/problem+json"


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/pages/nope", BROWSER, HTML),
        ("/pages/nope", "*/*", HTML),
        ("/pages/nope", "", HTML),
        ("/pages/nope", "application/json", PROBLEM),
        ("/pages/not-found", BROWSER, HTML),
        ("/static/pages/nope", BROWSER, HTML),
        ("/static/pages/job.html", BROWSER, HTML),
        ("/static/errors/not-found.html", BROWSER, HTML),
        ("/static/lib/nope.js", "*/*", PROBLEM),
        ("/static/vendor/nope.js", "*/*", PROBLEM),
    ],
)
def test_unknown_file_returns_format_of_accept_header(
    world: World, call: Call, path: str, accept: str, kind: str
) -> None:
    answer = call("GET", path, token=None, Accept=accept)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, kind)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_unknown_page_links_to_existing_pages(world: World, call: Call) -> None:
    answer = call("GET", "/pages/nope", token=None, Accept=BROWSER)
    text = answer.body.decode()
    assert "<h1>Page not found</h1>" in text
    for link in ("../", "../pages/collections", "../pages/submit", "../pages/api", "../static/components/style.css"):
        assert f'"{link}"' in text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("path", "script"),
    [
        ("/nope", "./static/pages/plain.js"),
        ("/pages/nope", "../static/pages/plain.js"),
        ("/a/b/c", "../../static/pages/plain.js"),
        ("/a/b/", "../../static/pages/plain.js"),
        ("*", "./static/pages/plain.js"),
    ],
)
def test_unknown_page_finds_its_script_from_any_depth(path: str, script: str) -> None:
    assert f'src="{script}"' in str(pages.not_found(path, BROWSER).body)


@pytest.mark.parametrize("path", ["/jobs/" + "0" * 32, "/slides/nope", "/collections/" + "a" * 24])
def test_unknown_api_resource_is_a_problem_in_browsers(world: World, call: Call, path: str) -> None:
    answer = call("GET", path, Accept=BROWSER)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, PROBLEM)


def test_api_gateway_returns_same_body_for_unknown_path() -> None:
    responses = template.load().resources["RestAPI"]["Properties"]["DefinitionBody"]
    answer = responses["x-amazon-apigateway-gateway-responses"]["MISSING_AUTHENTICATION_TOKEN"]
    ours = pages.not_found("/nope", "application/json")
    assert json.loads(answer["responseTemplates"]["application/json"]) == json.loads(str(ours.body))
    assert answer["statusCode"] == ours.status_code
