"""The list of jobs over HTTP: filters, pages, counts."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.jobs.model import State
from chalicelib.core.web.auth import Caller, Scope, Token
from tests.contracts.samples import a_job
from tests.http.client import Call
from tests.http.uploads import UPLOAD
from tests.world import BUCKET, SESSION, TOKEN, World


@pytest.fixture
def jobs(world: World) -> list[str]:
    """Ids of jobs 0 to 5, one per hour. 0 to 2 are done, the others are queued."""
    made = []
    for number in range(6):
        state = State.DONE if number < 3 else State.QUEUED
        job = a_job(f"Lung {number}.svs", now=1_700_000_000.0 + 3600 * number, state=state)
        world.memory_jobs.create(job)
        made.append(job.id)
    return made


def listed(call: Call, query: str) -> list[int]:
    """Return the numbers of the listed jobs."""
    answer = call("GET", f"/jobs?{query}")
    assert answer.status_code == 200, answer.json_body
    return [int(job["source"]["key"][5]) for job in answer.json_body["jobs"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [5, 4, 3, 2, 1, 0]),
        ("state=done", [2, 1, 0]),
        ("state=done&state=queued", [5, 4, 3, 2, 1, 0]),
        ("state=failed&state=done", [2, 1, 0]),
        ("session=0000000000000000000E0001", [5, 4, 3, 2, 1, 0]),
        ("collection=0000000000000000000c0001&state=queued", [5, 4, 3]),
        ("collection=0000000000000000000c0002", []),
        ("hook=upload&limit=2", [5, 4]),
        ("hook=verify", []),
        ("text=LUNG%202", [2]),
        ("submitted_after=2023-11-15T01:13:20%2B01:00", [5, 4, 3, 2]),
        ("submitted_after=2023-11-14T23:13:20Z&submitted_before=2023-11-15T01:13:20Z", [2, 1]),
    ],
)
def test_jobs_are_filtered_by_query(jobs: list[str], call: Call, query: str, expected: list[int]) -> None:
    assert listed(call, query) == expected


def test_job_is_found_by_part_of_its_id(jobs: list[str], call: Call) -> None:
    assert listed(call, f"text={jobs[4][5:20]}") == [4]


def test_pages_of_several_states_are_consecutive(jobs: list[str], call: Call) -> None:
    query, seen = "state=done&state=queued&limit=4", []
    first = call("GET", f"/jobs?{query}").json_body
    second = call("GET", f"/jobs?{query}&cursor={first['next']}").json_body
    seen = [job["id"] for job in first["jobs"] + second["jobs"]]
    assert (seen, second["next"]) == (jobs[::-1], None)


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("state=odd", ["/state/0"]),
        ("state=done&state=", ["/state/1"]),
        ("limit=0", ["/limit"]),
        ("limit=101", ["/limit"]),
        ("limit=1e1", ["/limit"]),
        ("limit=%C2%B2", ["/limit"]),
        ("limit=" + "9" * 5000, ["/limit"]),
        ("limit=1&limit=2", ["/limit"]),
        ("session=1", ["/session"]),
        ("collection=x", ["/collection/0"]),
        ("cursor=xyz", ["/cursor"]),
        ("cursor=", ["/cursor"]),
        ("text=" + "x" * 201, ["/text"]),
        ("submitted_after=yesterday", ["/submitted_after"]),
        ("submitted_after=2023-11-15T01:13:20", ["/submitted_after"]),
        ("submitted_before=2023-13-01T00:00:00Z", ["/submitted_before"]),
        ("sate=done", ["/sate"]),
        ("limit=0&session=1", ["/limit", "/session"]),
    ],
)
def test_invalid_query_parameters_are_named(call: Call, query: str, pointers: list[str]) -> None:
    answer = call("GET", f"/jobs?{query}")
    assert (answer.status_code, answer.json_body["code"]) == (422, "invalid_request")
    assert [each["pointer"] for each in answer.json_body["errors"]] == pointers


def counts(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = call("GET", "/jobs/counts").json_body["counts"]
    return found


def test_jobs_are_counted_by_state(jobs: list[str], call: Call) -> None:
    found = counts(call)
    assert list(found) == [state.value for state in State]
    assert {state: each["count"] for state, each in found.items() if each["count"]} == {"queued": 3, "done": 3}
    assert all(each["is_exact"] for each in found.values())


def test_large_counts_are_marked_as_inexact(
    jobs: list[str], call: Call, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.setattr("chalicelib.entrypoints.http.handlers.jobs.MAX_COUNT", 3)
    world.memory_jobs.create(a_job("Lung 9.svs", now=1.0, state=State.DONE))
    found = counts(call)
    assert (found["done"], found["queued"]) == ({"count": 3, "is_exact": False}, {"count": 3, "is_exact": True})


def test_limited_token_lists_own_collections_only(jobs: list[str], call: Call, world: World) -> None:
    def seen(*collections: str) -> None:
        limited = Caller(name="some", scopes=frozenset({Scope.READ}), collections=frozenset(collections))
        token = Token(sha256=hashlib.sha256(TOKEN.encode()).hexdigest(), caller=limited)
        world.settings = replace(world.settings, tokens=(token,), token_hashes=frozenset())

    seen("0000000000000000000c0001")
    assert listed(call, "") == [5, 4, 3, 2, 1, 0]
    assert listed(call, "collection=0000000000000000000c0002") == []
    assert call("GET", "/jobs/counts").status_code == 403
    seen("0000000000000000000c0002")
    assert listed(call, "") == []


def test_jobs_are_listed_by_last_change_with_filters_and_pages(world: World, call: Call) -> None:
    ids = []
    for number in range(5):
        world.memory_slides.put(BUCKET, f"{number}.svs", b"II*\0 whatever")
        ids.append(call("POST", "/hooks/upload", UPLOAD | {"source": f"s3://{BUCKET}/{number}.svs"}).json_body["id"])
        world.clock.advance(1)
    first = call("GET", "/jobs?limit=3").json_body
    rest = call("GET", f"/jobs?limit=3&cursor={first['next']}").json_body
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next"] is None
    assert [job["id"] for job in call("GET", f"/jobs?state=queued&session={SESSION}").json_body["jobs"]] == ids[::-1]
    assert call("GET", "/jobs?state=done").json_body["jobs"] == []
    for wrong in ("state=odd", "limit=0", "limit=101", "limit=x", "cursor=xyz", "session=1"):
        assert call("GET", f"/jobs?{wrong}").status_code in (404, 422), wrong
