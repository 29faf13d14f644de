"""Loaded by schemathesis: half of the ids that it makes up become those of things that are there, so that calls reach
what lies behind the door. What is invalid stays so."""

import hashlib
import json
import os
import re
from typing import Any

import schemathesis

# By the name of a field or parameter: what a valid value looks like, and one that is there.
THERE: dict[str, tuple[str, str]] = {
    name: (pattern, value) for name, (pattern, value) in json.loads(os.environ["THINGS_THAT_ARE_THERE"]).items()
}


def _known(name: str, value: Any) -> Any:
    pattern, there = THERE.get(name, ("", ""))
    if not isinstance(value, str) or not there or not re.fullmatch(pattern, value, re.DOTALL):
        return value
    is_even = hashlib.sha256(value.encode(errors="replace")).digest()[0] % 2 == 0
    return there if is_even else value


def _mapped(values: Any) -> Any:
    return {name: _known(name, value) for name, value in values.items()} if isinstance(values, dict) else values


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    return _mapped(body)


@schemathesis.hook
def map_path_parameters(_context: Any, path_parameters: Any) -> Any:
    return _mapped(path_parameters)


@schemathesis.hook
def map_query(_context: Any, query: Any) -> Any:
    return _mapped(query)
