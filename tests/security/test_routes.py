"""Access of every route. `RULES` is a second list of all routes: a route that is missing here fails a test."""

from dataclasses import replace
from typing import Any

import pytest
from chalice.app import Request
from chalice.local import LambdaEventConverter

from chalicelib.core.errors import ForbiddenError
from chalicelib.core.web.auth import Scope
from chalicelib.entrypoints.http.auth import authorize
from chalicelib.entrypoints.http.dispatch import authorize as authorize_route
from chalicelib.entrypoints.http.routes import ROUTES
from tests.security.conftest import UPLOAD, Call, publish
from tests.world import COLLECTION, SESSION, STORE, World

JOB = "0" * 32
RULES: dict[tuple[str, str], str] = {
    ("GET", "/"): "open",
    ("GET", "/pages/{name}"): "open",
    ("GET", "/static/{folder}/{name}"): "open",
    ("GET", "/health"): "open",
    # Names the part of the service that does not respond, without a reason.
    ("GET", "/ready"): "open",
    ("GET", "/openapi.json"): "open",
    # They check credentials themselves; test_sessions has the attacks.
    ("POST", "/sign-in"): "open",
    ("POST", "/sign-out"): "open",
    # A link signs in with the token that created it; test_sign_in_links has the attacks.
    ("GET", "/sign-in/links/{code}"): "open",
    ("POST", "/sign-in/links"): "any",
    ("GET", "/sign-in"): "read",
    ("GET", "/jobs"): "read",
    ("GET", "/jobs/counts"): "read",
    ("GET", "/jobs/{job_id}"): "read",
    ("GET", "/jobs/{job_id}/events"): "read",
    ("GET", "/jobs/{job_id}/deliveries"): "read",
    ("POST", "/jobs/{job_id}/deliveries/{delivery}/replay"): "submit",
    ("GET", "/jobs/{job_id}/map"): "read",
    ("GET", "/jobs/{job_id}/tiles/{name}"): "read",
    ("GET", "/collections"): "read",
    ("GET", "/slides/{slide}"): "read",
    ("GET", "/slides/{slide}/{level}/{tile}"): "read",
    ("GET", "/iiif/{slide}"): "read",
    ("GET", "/iiif/{slide}/info.json"): "read",
    ("GET", "/iiif/{slide}/{region}/{size}/{rotation}/{picture}"): "read",
    ("GET", "/orphans"): "admin",
    ("DELETE", "/orphans"): "admin",
    ("GET", "/syncs"): "read",
    ("GET", "/syncs/{sync_id}"): "read",
    ("GET", "/tile"): "read",
    ("GET", "/tile/{image_store}/{image}/{name}"): "read",
    ("GET", "/thumb"): "read",
    ("GET", "/associated/{image_store}/{image}/{name}"): "read",
    ("GET", "/collections/{collection}"): "read",
    ("GET", "/sessions/{session}"): "read",
    ("GET", "/sessions/{session}/slides"): "read",
    ("GET", "/client"): "submit",
    ("POST", "/hooks/{name}"): "submit",
    ("POST", "/uploads"): "submit",
    ("POST", "/uploads/parts"): "submit",
    ("POST", "/uploads/complete"): "submit",
    ("POST", "/uploads/abort"): "submit",
    ("POST", "/jobs/{job_id}/cancel"): "submit",
    ("POST", "/jobs/{job_id}/retry"): "submit",
    ("POST", "/collections/{collection}/sessions"): "submit",
    ("POST", "/redrive"): "admin",
    ("POST", "/sessions/{session}/recreate"): "admin",
}
FILLED = {
    "{job_id}": JOB, "{delivery}": "msg_x", "{sync_id}": JOB, "{collection}": COLLECTION, "{session}": SESSION, "{image_store}": STORE,
    "{image}": "a" * 24, "{slide}": "b" * 24, "{level}": "0", "{tile}": "0_0.jpg", "{region}": "full", "{size}": "max",
    "{rotation}": "0", "{folder}": "lib", "{picture}": "default.jpg", "{code}": "guessed",
}  # fmt: skip
MAY = {
    "read": {"read", "admin"}, "submit": {"submit", "admin"}, "admin": {"admin"}, "any": {"read", "submit", "admin"},
}  # fmt: skip
# Their responses do not belong to a collection.
NOT_FOR_LIMITED = {("GET", "/orphans"), ("DELETE", "/orphans"), ("GET", "/jobs/counts")}
CLOSED = sorted(route for route, rule in RULES.items() if rule != "open")


def filled(path: str) -> str:
    for part, value in FILLED.items():
        path = path.replace(part, value)
    return path.replace("/hooks/{name}", "/hooks/upload").replace("{name}", "t.jpg")


def routes(*, without: set[str]) -> set[tuple[str, str]]:
    import app

    return {(method, path) for path, methods in app.app.routes.items() for method in methods if method not in without}


def test_routes_of_the_app_are_exactly_those_with_a_rule(world: World) -> None:
    assert routes(without={"HEAD", "OPTIONS"}) == set(RULES)


def test_request_without_valid_token_is_refused_by_every_closed_route(world: World, call: Call) -> None:
    for method, path in routes(without={"OPTIONS"}):
        if RULES.get(("GET" if method == "HEAD" else method, path)) == "open":
            continue
        for token in (None, "", "wrong", "Read"):
            answer = call(method, filled(path), {}, token=token)
            assert answer.status_code == 401, (method, path, token)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), CLOSED)
@pytest.mark.parametrize("limited", ["", "mine-"])
def test_token_is_accepted_by_the_routes_of_its_scope_only(
    world: World, call: Call, method: str, path: str, limited: str
) -> None:
    may = MAY[RULES[method, path]]
    for scope in ("read", "submit", "admin"):
        answer = call(method, filled(path), {}, token=limited + scope)
        if limited and scope in may and (method, path) in NOT_FOR_LIMITED:
            assert answer.status_code == 403
        elif scope in may:
            assert answer.status_code not in (401, 403, 500), (scope, answer.body)
        else:
            assert (answer.status_code, answer.json_body["code"]) == (403, "forbidden"), scope
            assert RULES[method, path] in answer.json_body["detail"]


@pytest.mark.parametrize(("method", "path"), [route for route in CLOSED if route[0] == "GET"])
def test_head_requires_the_same_scope_as_get(world: World, call: Call, method: str, path: str) -> None:
    assert call("HEAD", filled(path), token=None).status_code == 401
    rights = RULES[method, path]
    same = [call(each, filled(path), token=rights).status_code for each in ("HEAD", "GET")]
    assert same[0] == same[1]


def test_remove_hook_requires_the_admin_scope(world: World, call: Call) -> None:
    job = publish(world, call, UPLOAD)
    body = {"session": SESSION, "views": [job["result"]["view"]]}
    for token in ("read", "submit", "mine-submit"):
        assert call("POST", "/hooks/remove", body, token=token).status_code == 403
    assert world.views() == (job["result"]["view"],)
    assert call("POST", "/hooks/remove", body, token="mine-admin").json_body["views_removed"] == 1


def test_unknown_method_of_a_route_is_refused_with_all_headers(world: World, call: Call) -> None:
    for method, path in (("DELETE", f"/jobs/{JOB}"), ("PUT", "/hooks/upload"), ("POST", "/jobs"), ("PATCH", "/")):
        answer = call(method, path, {})
        assert answer.status_code == 405
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("method", "path"), sorted(RULES))
def test_every_response_has_the_security_headers(world: World, call: Call, method: str, path: str) -> None:
    for token in (None, "admin"):
        headers: Any = call(method, filled(path), {}, token=token).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Cache-Control"] in ("no-store", "no-cache", "private, no-cache")


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "Authorization"])
@pytest.mark.parametrize("path", ["/jobs", "/client", f"/tile?img={'a' * 24}&db={STORE}&name=t.jpg"])
def test_token_in_the_url_is_refused_even_if_it_is_valid(world: World, call: Call, path: str, name: str) -> None:
    address = f"{path}{'&' if '?' in path else '?'}{name}=admin"
    for token in (None, "admin"):
        answer = call("GET", address, token=token)
        assert answer.status_code == 401
        assert "URL" in answer.json_body["detail"]


@pytest.mark.parametrize("scheme", ["Basic", "Token", "", "Bearer Bearer", "bearer\t"])
def test_token_without_the_bearer_scheme_is_refused(world: World, call: Call, scheme: str) -> None:
    assert call("GET", "/jobs", token=None, Authorization=f"{scheme} admin").status_code == 401


def test_loopback_is_decided_by_source_address_and_host_together(world: World, call: Call) -> None:
    world.settings = replace(world.settings, allow_anonymous_local_reads=True)
    assert call("GET", "/jobs", token=None).status_code == 200
    assert call("GET", "/jobs", token=None, Host="slides.example.org").status_code == 401
    assert call("GET", "/jobs", token=None, Host="127.0.0.1.example.org").status_code == 401
    for disguised in ("a[::1]b", "evil.example[::1]", "[::1].evil.example", "[127.0.0.1]", "x@127.0.0.1", "::1"):
        assert call("GET", "/jobs", token=None, Host=disguised).status_code == 401
    assert call("GET", "/jobs", token=None, Host="localhost:8000").status_code == 200
    assert call("GET", "/jobs", token=None, Host="[::1]:8000").status_code == 200
    assert call("POST", "/redrive", {}, token=None).status_code == 401


def test_open_reads_do_not_apply_to_requests_from_other_machines(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings = replace(world.settings, allow_anonymous_local_reads=True)
    monkeypatch.setattr(LambdaEventConverter, "LOCAL_SOURCE_IP", "203.0.113.7")
    for headers in ({}, {"X_Forwarded_For": "127.0.0.1"}, {"Host": "127.0.0.1"}):
        assert call("GET", "/jobs", token=None, **headers).status_code == 401
    assert call("GET", "/jobs").headers["Strict-Transport-Security"] == "max-age=31536000"


def request_with(token: str) -> Request:
    return Request(
        {
            "headers": {"authorization": f"Bearer {token}"}, "multiValueQueryStringParameters": None,
            "pathParameters": None, "stageVariables": None, "body": None,
            "requestContext": {"httpMethod": "GET", "resourcePath": "/new"},
        }
    )  # fmt: skip


@pytest.mark.parametrize("scope", list(Scope))
def test_route_that_does_not_filter_by_collection_refuses_limited_token(world: World, scope: Scope) -> None:
    limited = request_with(f"mine-{scope.value}")
    assert authorize(request_with(scope.value), world.services, scope, by_collection=False).name == scope.value
    assert authorize(limited, world.services, scope, by_collection=True).collections == frozenset({COLLECTION})
    with pytest.raises(ForbiddenError, match="limited to some collections"):
        authorize(limited, world.services, scope, by_collection=False)


@pytest.mark.parametrize("access", [None, "", "open", "anyone", "Public"])
def test_route_of_unknown_access_is_refused_even_for_an_administrator(world: World, access: Any) -> None:
    route = replace(ROUTES[0], access=access)
    with pytest.raises(ForbiddenError, match="has no access rule"):
        authorize_route(route, request_with("admin"), world.services)


def test_route_table_has_the_access_of_the_rules(world: World) -> None:
    names = {"open": "public", "any": "token"}
    expected = {key: names.get(rule, rule) for key, rule in RULES.items()} | {("POST", "/hooks/{name}"): "hook"}
    assert {(route.method, route.path): route.access.value for route in ROUTES} == expected
    assert {(route.method, route.path) for route in ROUTES if not route.by_collection} == NOT_FOR_LIMITED
