"""The OpenAPI 3.1 document, built from the table of routes, the hooks and their schemas."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from chalice.app import Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib import __version__
from chalicelib.core.errors import SlidehookError
from chalicelib.entrypoints.http.call import Call
from chalicelib.entrypoints.http.idempotency import HEADER, KEY
from chalicelib.entrypoints.http.operations import Operation, operations
from chalicelib.entrypoints.http.responses import PROBLEM_TYPE, STATUS, conditional_json
from chalicelib.entrypoints.http.routes import Access, Body
from chalicelib.entrypoints.http.schemas.problems import ProblemDetails
from chalicelib.hooks.base import Parameters

VERSION = __version__
JSON = "application/json"
REFERENCE = "#/components/schemas/{model}"
INTERNAL = 500
HEX_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
OBJECT_ID = {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}
# Path parameters. Every other one is a name.
IN_PATH: Mapping[str, Mapping[str, object]] = {
    "job_id": HEX_ID, "sync_id": HEX_ID, "collection": OBJECT_ID, "session": OBJECT_ID, "image_store": OBJECT_ID,
    "image": OBJECT_ID,
}  # fmt: skip
NAME = {"type": "string", "minLength": 1, "pattern": "^[^/?#]+$"}
REQUEST_HEADERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "If-None-Match": ("an `ETag` of a previous response: 304 if the resource has not changed", {"type": "string"}),
    "Prefer": (
        "`wait=20` waits up to 20 seconds until the job ends or, with If-None-Match, until it changes",
        {"type": "string", "examples": ["wait=20"]},
    ),
    HEADER: (
        "a unique key of your choice; a repeated request with the same key within a day receives the first response",
        {"type": "string", "pattern": f"^(?:{KEY.pattern})$"},
    ),
}
RESPONSE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "whether and how long the response may be cached",
    "ETag": "identifies this version; send it as If-None-Match",
    "Location": "the URL of the resource that was created",
    "Preference-Applied": "the maximum waiting time that was applied",
    "Retry-After": "the number of seconds to wait before the next request",
    "Idempotency-Replayed": "`true` if this is a stored response",
    "Set-Cookie": "the session of the page; scripts cannot read it",
    "WWW-Authenticate": "the authentication scheme",
    "X-Request-Id": "the id of this request in the logs",
    "Allow": "the methods of this path",
}
TAGS = {
    "hooks": "Webhooks. Each starts a job or a sync, or responds at once.",
    "jobs": "Jobs. Each publishes or verifies one slide.",
    "syncs": "Syncs compare a prefix of S3 with the published slides.",
    "tiles": "Tiles by SlideAtlas' names.",
    "slides": "Slides for viewers, also as DZI and as IIIF Image API 3.",
    "uploads": "Multipart uploads of local slides to the incoming bucket.",
    "catalogue": "Collections and sessions of SlideAtlas.",
    "service": "The service itself.",
    "page": "Pages and other static files.",
}


def show_document(call: Call) -> Response:
    body, tag = _written(allow_anonymous_local_reads=call.services.settings.allow_anonymous_local_reads)
    return conditional_json(call.request, body, tag, headers={"Cache-Control": "no-cache"})


@cache
def _written(*, allow_anonymous_local_reads: bool) -> tuple[dict[str, Any], str]:
    body = document(allow_anonymous_local_reads=allow_anonymous_local_reads)
    return body, f'W/"{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:32]}"'


def document(
    found: tuple[Operation, ...] | None = None, *, allow_anonymous_local_reads: bool = False
) -> dict[str, Any]:
    """Return the document of these operations (default: all) as JSON; `allow_anonymous_local_reads` is the setting."""
    found = operations() if found is None else found
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in found:
        described = paths[operation.path][operation.method.lower()] = _operation(operation)
        if allow_anonymous_local_reads and operation.route.access is Access.READ:
            described["security"] = [{}, {"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Slidehook",
            "version": VERSION,
            "description": "Publishes whole-slide images from S3 to a web viewer.",
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": dict(paths),
        "components": {
            "schemas": _schemas(found),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "a token of the service"}},
        },
        "security": [{"token": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    headers = (_header(name) for name in _request_headers(operation))
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{operation.method.lower()} {operation.path}").strip("_"),
        "summary": operation.spec.summary,
        "tags": [operation.route.group],
        "parameters": [*_in_path(operation), *_in_query(operation), *headers],
        "responses": _responses(operation),
    }
    if operation.route.access is Access.PUBLIC:
        described["security"] = []
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(operation.body)}}}
    return described


def _request_headers(operation: Operation) -> tuple[str, ...]:
    given = operation.spec.request_headers
    return (*given, HEADER) if operation.method == "POST" else given


def _in_path(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": IN_PATH.get(name, NAME)}


def _in_query(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.query is None:
        return
    for name, schema in operation.query.model_json_schema()["properties"].items():
        found = dict(schema)
        text = found.pop("description", "")
        found.pop("title", None)
        if found.get("default", 0) is None:
            found.pop("default")
        # An omitted query parameter is not `null`.
        kinds = [kind for kind in found.pop("anyOf", []) if kind != {"type": "null"}]
        found |= kinds[0] if kinds else {}
        yield {"name": name, "in": "query", "required": False, "description": text, "schema": found}


def _header(name: str) -> dict[str, Any]:
    text, schema = REQUEST_HEADERS[name]
    return {"name": name, "in": "header", "required": False, "description": text, "schema": dict(schema)}


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, body in operation.spec.responses.items():
        found[str(status)] = {"description": _words(status, body), "headers": _headers(operation, status)}
        if body is not None:
            found[str(status)]["content"] = _content(body)
    for status, codes in sorted(_codes(operation).items()):
        problem = {
            "allOf": [_reference(ProblemDetails)],
            "properties": {"status": {"const": status}, "code": {"enum": sorted(codes)}},
        }
        content = found.get(str(status), {}).get("content", {})
        found[str(status)] = {
            "description": f"error: {', '.join(sorted(codes))}",
            "headers": _headers(operation, status),
            "content": {**content, PROBLEM_TYPE: {"schema": problem}},
        }
    return found


def _words(status: int, body: Body) -> str:
    if status == 304:
        return "not modified"
    names = [each.__name__ if not isinstance(each, str) else each for each in _each(body)]
    return " or ".join(names) or "success"


def _headers(operation: Operation, status: int) -> dict[str, Any]:
    names = set(operation.spec.response_headers.get(status, ()))
    if not operation.route.is_file:
        names.add("X-Request-Id")
    if status == 401:
        names.add("WWW-Authenticate")
    if status == 405:
        names.add("Allow")
    if status in (409, 503):
        names.add("Retry-After")
    if operation.method == "POST" and not operation.route.is_file:
        names.add("Idempotency-Replayed")
    return {name: {"description": RESPONSE_HEADERS[name], "schema": {"type": "string"}} for name in sorted(names)}


def _codes(operation: Operation) -> dict[int, set[str]]:
    """Return the error codes of an operation, by status."""
    found: dict[int, set[str]] = defaultdict(set)
    if not operation.route.is_file:
        found[INTERNAL].add(SlidehookError.code)
    for error in operation.errors:
        for kind in _kinds(error):
            found[next(STATUS[each] for each in kind.__mro__ if each in STATUS)].add(kind.code)
    return found


def _kinds(kind: type[SlidehookError]) -> Iterator[type[SlidehookError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def _content(body: Body) -> dict[str, Any]:
    schemas: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in _each(body):
        if isinstance(each, str):
            schemas[each].append({"type": "object"} if each == JSON else {})
        else:
            schemas[JSON].append(_reference(each))
    return {kind: {"schema": found[0] if len(found) == 1 else {"oneOf": found}} for kind, found in schemas.items()}


def _each(body: Body) -> tuple[type[BaseModel] | str, ...]:
    if body is None:
        return ()
    return body if isinstance(body, tuple) else (body,)


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _schemas(found: tuple[Operation, ...]) -> dict[str, Any]:
    models: set[type[BaseModel]] = {ProblemDetails} | {each.body for each in found if each.body is not None}
    for operation in found:
        for body in operation.spec.responses.values():
            models |= {each for each in _each(body) if not isinstance(each, str)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation" if issubclass(model, Parameters) else "serialization") for model in ordered],
        ref_template=REFERENCE,
    )
    described: dict[str, Any] = schemas["$defs"]
    return described
