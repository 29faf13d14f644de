"""The OpenAPI document: every route, and the classes that validate its requests."""

import json
from typing import Any

import pytest
from chalice.test import HTTPResponse
from openapi_spec_validator import validate

from chalicelib.entrypoints.http.openapi import document
from chalicelib.entrypoints.http.routes import ROUTES
from chalicelib.hooks.registry import hooks
from tests.http.client import Call
from tests.http.documented import assert_documented
from tests.unit.test_errors import every_error
from tests.world import COLLECTION, World

HEX = "0" * 32


def test_document_is_valid_openapi(call: Call) -> None:
    answer = call("GET", "/openapi.json", token=None)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json_body["openapi"] == "3.1.0"
    validate(answer.json_body)
    assert call("GET", "/openapi.json", If_None_Match=answer.headers["ETag"]).status_code == 304


def test_route_table_equals_routes_of_app(world: World) -> None:
    import app

    routes = {(method, path) for path, methods in app.app.routes.items() for method in methods}
    routes -= {(method, path) for method, path in routes if method in {"HEAD", "OPTIONS"}}
    assert {(route.method, route.path) for route in ROUTES} == routes


def test_every_hook_is_documented() -> None:
    assert {path.removeprefix("/hooks/") for path in document()["paths"] if path.startswith("/hooks/")} == {
        *hooks(), "{name}",
    }  # fmt: skip


def test_groups_are_described_and_operation_ids_are_unique() -> None:
    found = document()
    every = [operation for methods in found["paths"].values() for operation in methods.values()]
    assert {tag for operation in every for tag in operation["tags"]} == {tag["name"] for tag in found["tags"]}
    names = [operation["operationId"] for operation in every]
    assert len(names) == len(set(names))


def test_query_parameters_are_documented_as_validated() -> None:
    found = {each["name"]: each["schema"] for each in document()["paths"]["/jobs"]["get"]["parameters"]}
    assert found["limit"] == {"default": 50, "maximum": 100, "minimum": 1, "type": "integer"}
    assert found["session"] == {"pattern": "^[0-9a-fA-F]{24}$", "type": "string"}
    assert found["state"]["items"]["enum"][0] == "queued"


def test_hook_body_is_documented_as_validated() -> None:
    schema = document()["components"]["schemas"]["UploadParameters"]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"source", "collection", "session"}
    assert schema["properties"]["tile_size"]["anyOf"][0] == {
        "type": "integer", "minimum": 64, "maximum": 4096, "multipleOf": 16,
    }  # fmt: skip


def test_error_codes_are_documented_by_status() -> None:
    refused = document()["paths"]["/hooks/upload"]["post"]["responses"]
    codes = {
        status: set(found["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"])
        for status, found in refused.items()
        if "application/problem+json" in found.get("content", {})
    }
    assert codes["403"] == {"bucket_not_allowed", "source_not_allowed", "forbidden"}
    assert codes["401"] == {"unauthorized", "bad_signature"}
    assert {"no_such_source", "not_a_tiff", "session_not_in_collection", "idempotency_key_reused"} <= codes["422"]
    assert "mongodb_unavailable" in codes["503"]
    assert set().union(*codes.values()) <= {each.code for each in every_error()}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (418, {}, "application/json"),
        (200, {"status": "ok"}, "text/plain"),
        (200, {"status": "odd"}, "application/json"),
        (200, {"status": "ok", "more": 1}, "application/json"),
        (401, {}, "application/problem+json"),
    ],
)
def test_undocumented_response_fails_assert_documented(status: int, body: Any, kind: str) -> None:
    answer = HTTPResponse(body=json.dumps(body).encode(), headers={"Content-Type": kind}, status_code=status)
    with pytest.raises(AssertionError):
        assert_documented("GET", "/health", answer)


def test_undocumented_path_fails_assert_documented() -> None:
    answer = HTTPResponse(body=b"{}", headers={"Content-Type": "application/json"}, status_code=200)
    with pytest.raises(AssertionError, match="not documented"):
        assert_documented("GET", "/secret", answer)
    with pytest.raises(AssertionError, match="not documented"):
        assert_documented("POST", "/jobs", answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs"),
        ("DELETE", f"/jobs/{HEX}"),
        ("GET", "/redrive"),
        ("PUT", f"/sessions/{COLLECTION}"),
        ("POST", "/"),
    ],
)
def test_wrong_method_returns_405_with_allowed_methods(call: Call, method: str, path: str) -> None:
    answer = call(method, path, {})
    assert (answer.status_code, answer.json_body["code"]) == (405, "method_not_allowed")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"GET", "POST"} & set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml; charset=x"])
def test_wrong_content_type_returns_415(call: Call, kind: str) -> None:
    answer = call("POST", "/hooks/upload", {}, Content_Type=kind)
    assert (answer.status_code, answer.json_body["code"]) == (415, "unsupported_media_type")


def test_unknown_field_of_session_is_refused(call: Call) -> None:
    answer = call("POST", f"/collections/{COLLECTION}/sessions", {"label": "x", "color": "red"})
    assert [each["pointer"] for each in answer.json_body["errors"]] == ["/color"]
