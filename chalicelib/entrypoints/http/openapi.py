"""The API's document (OpenAPI 3.1), made of the table of doors and the classes that check requests."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from chalice.app import Request, Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib import __version__
from chalicelib.core.errors import SlidehookError
from chalicelib.entrypoints.http.documents import ProblemDetails
from chalicelib.entrypoints.http.idempotency import HEADER, KEY
from chalicelib.entrypoints.http.responses import PROBLEM_TYPE, STATUS, conditional_json
from chalicelib.entrypoints.http.routes import ROUTES, Body, Route
from chalicelib.hooks import Parameters
from chalicelib.services import Services

VERSION = __version__
JSON = "application/json"
REFERENCE = "#/components/schemas/{model}"
INTERNAL = 500
HEX_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
OBJECT_ID = {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}
# What stands between the braces of an address. Everything else is a name.
IN_PATH: Mapping[str, Mapping[str, object]] = {
    "job_id": HEX_ID, "sync_id": HEX_ID, "collection": OBJECT_ID, "session": OBJECT_ID, "image_store": OBJECT_ID,
    "image": OBJECT_ID,
}  # fmt: skip
NAME = {"type": "string", "minLength": 1, "pattern": "^[^/?#]+$"}
REQUEST_HEADERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "If-None-Match": ("the `ETag` of what you have: 304 if it is the same still", {"type": "string"}),
    "Prefer": (
        "`wait=20` waits so many seconds, 20 at most: until the job ends or, with If-None-Match, is not what you have",
        {"type": "string", "examples": ["wait=20"]},
    ),
    HEADER: (
        "a name for this call, of your choice: who repeats the call under it within a day gets the first answer again",
        {"type": "string", "pattern": f"^(?:{KEY.pattern})$"},
    ),
}
RESPONSE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "whether it may be kept",
    "ETag": "names what is told: send it as If-None-Match",
    "Location": "where to look at what was begun",
    "Preference-Applied": "how long an answer waited at most",
    "Retry-After": "in how many seconds to ask again",
    "Idempotency-Replayed": "`true`: this is the first answer, again",
    "Set-Cookie": "the page's session, which no script can read",
    "WWW-Authenticate": "how to say who you are",
    "X-Request-Id": "names this request in the logs",
    "Allow": "the methods that this address has",
}
TAGS = {
    "hooks": "Webhooks: each begins, or answers, one thing.",
    "jobs": "One slide on its way each.",
    "syncs": "What lies under a prefix, compared with what readers see.",
    "tiles": "What viewers show, as SlideAtlas' asks for it.",
    "slides": "Slides by address: for viewers, as DZI and as IIIF Image API 3.",
    "uploads": "Local slides on their way to the incoming bucket, in parts.",
    "catalogue": "Collections and sessions of SlideAtlas.",
    "service": "The service itself.",
    "page": "What browsers show.",
}


def show_document(request: Request, system: Services) -> Response:
    body, tag = _written(open_reads=system.settings.open_reads)
    return conditional_json(request, body, tag, headers={"Cache-Control": "no-cache"})


@cache
def _written(*, open_reads: bool) -> tuple[dict[str, Any], str]:
    body = document(open_reads=open_reads)
    return body, f'W/"{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:32]}"'


def document(doors: tuple[Route, ...] = ROUTES, *, open_reads: bool = False) -> dict[str, Any]:
    """Return the document of these doors, ready for JSON; `open_reads` is that of the settings."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for door in doors:
        paths[door.at][door.method.lower()] = _operation(door)
        if open_reads and door.is_read and not door.is_open:
            paths[door.at][door.method.lower()]["security"] = [{}, {"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Slidehook",
            "version": VERSION,
            "description": "Whole-slide images from a bucket into a viewer.",
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": dict(paths),
        "components": {
            "schemas": _schemas(doors),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "a token of the service"}},
        },
        "security": [{"token": []}],
    }


def _operation(door: Route) -> dict[str, Any]:
    parameters = [*_in_path(door), *_in_query(door), *(_header(name) for name in _request_headers(door))]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{door.method.lower()} {door.at}").strip("_"),
        "summary": door.says,
        "tags": [door.group],
        "parameters": parameters,
        "responses": _responses(door),
    }
    if door.is_open:
        operation["security"] = []
    if door.deprecated:
        operation |= {"deprecated": True, "description": door.deprecated}
    if door.body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _reference(door.body)}}}
    return operation


def _request_headers(door: Route) -> tuple[str, ...]:
    return (*door.headers, HEADER) if door.method == "POST" else door.headers


def _in_path(door: Route) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", door.at):
        yield {"name": name, "in": "path", "required": True, "schema": IN_PATH.get(name, NAME)}


def _in_query(door: Route) -> Iterator[dict[str, Any]]:
    if door.query is None:
        return
    for name, schema in door.query.model_json_schema()["properties"].items():
        found = dict(schema)
        text = found.pop("description", "")
        found.pop("title", None)
        if found.get("default", 0) is None:
            found.pop("default")
        # What is not there is not `null`, in an address.
        kinds = [kind for kind in found.pop("anyOf", []) if kind != {"type": "null"}]
        found |= kinds[0] if kinds else {}
        yield {"name": name, "in": "query", "required": False, "description": text, "schema": found}


def _header(name: str) -> dict[str, Any]:
    text, schema = REQUEST_HEADERS[name]
    return {"name": name, "in": "header", "required": False, "description": text, "schema": dict(schema)}


def _responses(door: Route) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, body in door.answers.items():
        found[str(status)] = {"description": _words(status, body), "headers": _headers(door, status)}
        if body is not None:
            found[str(status)]["content"] = _content(body)
    for status, codes in sorted(_codes(door).items()):
        problem = {
            "allOf": [_reference(ProblemDetails)],
            "properties": {"status": {"const": status}, "code": {"enum": sorted(codes)}},
        }
        content = found.get(str(status), {}).get("content", {})
        found[str(status)] = {
            "description": f"refused: {', '.join(sorted(codes))}",
            "headers": _headers(door, status),
            "content": {**content, PROBLEM_TYPE: {"schema": problem}},
        }
    return found


def _words(status: int, body: Body) -> str:
    if status == 304:
        return "it is the same still"
    names = [each.__name__ if not isinstance(each, str) else each for each in _each(body)]
    return " or ".join(names) or "done"


def _headers(door: Route, status: int) -> dict[str, Any]:
    names = set(door.sends.get(status, ()))
    if not door.is_plain:
        names.add("X-Request-Id")
    if status == 401:
        names.add("WWW-Authenticate")
    if status == 405:
        names.add("Allow")
    if status in (409, 503):
        names.add("Retry-After")
    if door.method == "POST" and not door.is_plain:
        names.add("Idempotency-Replayed")
    return {name: {"description": RESPONSE_HEADERS[name], "schema": {"type": "string"}} for name in sorted(names)}


def _codes(door: Route) -> dict[int, set[str]]:
    """Return the codes that a door may refuse with, by status."""
    found: dict[int, set[str]] = defaultdict(set)
    if not door.is_plain:
        found[INTERNAL].add(SlidehookError.code)
    for refusal in door.refusals:
        for kind in _kinds(refusal):
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


def _schemas(doors: tuple[Route, ...]) -> dict[str, Any]:
    bodies = {door.body for door in doors if door.body is not None}
    told = {
        each for door in doors for body in door.answers.values() for each in _each(body) if not isinstance(each, str)
    }
    ordered: list[type[BaseModel]] = sorted({*bodies, *told, ProblemDetails}, key=lambda model: model.__name__)
    _, found = models_json_schema(
        [(model, "validation" if issubclass(model, Parameters) else "serialization") for model in ordered],
        ref_template=REFERENCE,
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas
