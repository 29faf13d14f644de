"""Checks of every response against the API document."""

import json
import re
from functools import cache
from typing import Any

from chalice.test import HTTPResponse
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its stubs are not installed

from chalicelib.entrypoints.http.openapi import document

Operation = dict[str, Any]


@cache
def api() -> dict[str, Any]:
    return document()


@cache
def validator(pointer: str) -> Draft202012Validator:
    """Return the validator of the schema at this position of the document."""
    schema: Any = api()
    for step in pointer.split("|"):
        schema = schema[step]
    return Draft202012Validator({**schema, "components": api()["components"]})


def path_of(path: str) -> str | None:
    """Return the documented path that matches, preferably the one with the fewest variables. None for an unknown path."""
    path = path.split("?", maxsplit=1)[0]
    path = path[:-1] if path.endswith("/") and path != "/" else path
    known = [each for each in api()["paths"] if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]*", re.escape(each)), path)]
    return min(known, key=lambda each: each.count("{"), default=None)


def assert_documented(method: str, path: str, answer: HTTPResponse) -> None:
    """Fail if the document does not describe this response of this request."""
    at = path_of(path)
    if at is None:
        assert answer.status_code == 403, (
            f"{path} has a response, but is not documented"
        )  # Chalice imitates API Gateway
        return
    operations = api()["paths"][at]
    verb = method.lower()
    if verb not in operations and verb == "head" and "get" in operations:
        verb = "get"
    if verb not in operations:
        is_allowed = answer.status_code == 405 or (verb == "options" and answer.status_code in {200, 204})
        assert is_allowed, f"{method} {at} has a response, but is not documented"
        return
    responses = operations[verb]["responses"]
    status = str(answer.status_code)
    assert status in responses, f"{method} {at} returns {status}, which is not documented: {answer.body[:300]!r}"
    content = responses[status].get("content")
    if method == "HEAD":
        return
    if content is None:
        assert answer.body == b"", f"{method} {at} returns {status} with a body that is not documented"
        return
    kind = str(answer.headers.get("Content-Type", "")).split(";")[0]
    assert kind in content, f"{method} {at} returns {status} as {kind!r}, which is not documented"
    if not kind.endswith("json"):
        return
    check = validator(f"paths|{at}|{verb}|responses|{status}|content|{kind}|schema")
    wrong = [f"{error.json_path}: {error.message[:200]}" for error in check.iter_errors(json.loads(answer.body))]
    assert wrong == [], f"{method} {at} returns {status} otherwise than documented: {wrong[:5]}"
