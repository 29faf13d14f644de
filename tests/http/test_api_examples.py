"""The examples of docs/api.md, run in their order."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from chalice.test import HTTPResponse

from tests.world import World

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
# The request line, optional headers and body; then the status, and fields that the response contains.
EXAMPLE = re.compile(r"```http\n(\w+) (\S+)\n((?:[\w-]+: [^\n]*\n)*)(?:(\{.*?)\n)?\n(\d+)\n(\{.*?)\n```", re.DOTALL)


def examples() -> Iterator[tuple[str, str, dict[str, str], Any, int, Any]]:
    for method, path, headers, body, status, recorded in EXAMPLE.findall(PAGE.read_text(encoding="utf-8")):
        given = dict(line.split(": ", 1) for line in headers.splitlines())
        yield method, path, given, json.loads(body) if body else None, int(status), json.loads(recorded)


def holds(found: Any, recorded: Any) -> bool:
    """Return whether the response contains all recorded fields."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        return all(name in found and holds(found[name], each) for name, each in recorded.items())
    return bool(found == recorded)


def test_documented_examples_match_responses(world: World, call: Callable[..., HTTPResponse]) -> None:
    job, seen = "", 0
    for method, path, headers, body, status, recorded in examples():
        given = {name.replace("-", "_"): value for name, value in headers.items()}
        answer = call(method, path.replace("{id}", job), body, **given)
        assert (answer.status_code, holds(answer.json_body, recorded)) == (status, True), (path, answer.json_body)
        job, seen = answer.json_body.get("id", job) if path == "/hooks/upload" else job, seen + 1
    assert seen == PAGE.read_text(encoding="utf-8").count("```http")
