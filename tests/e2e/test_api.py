"""The API's document against the running system: nothing answers otherwise than it says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.noise import noise_slide
from tests.e2e.system import LocalSystem
from tests.timeouts import TIMEOUT_SECONDS, eventually

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
OBJECT_ID, JOB_ID = "[0-9a-fA-F]{24}", "[0-9a-f]{32}"
# All checks are on. What a call names may be missing, or in the way: then it is refused, in a way that is documented.
SETTINGS = """
request-timeout = {timeout_seconds}

[generation]
deterministic = true
max-examples = {examples}

[phases.stateful.generation]
max-examples = {stateful}

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "304", "404", "403", "409", "422"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422"]
"""


def things(system: LocalSystem) -> dict[str, tuple[str, str]]:
    """Make a slide, and return ids by the names of fields and parameters."""
    stack = system.stack
    source = system.put("schemathesis.tif", noise_slide(4, 3, seed=9))
    job = system.ended(system.submit(source)["id"])
    found: dict[str, tuple[str, str]] = {
        "collection": (OBJECT_ID, stack["collection"]),
        "session": (OBJECT_ID, system.session),
        "image_store": (OBJECT_ID, stack["image_store"]),
        "image": (OBJECT_ID, job["result"]["image"]),
        "db": (".*", stack["image_store"]),
        "img": (".*", job["result"]["image"]),
        "name": (".*", "t.jpg"),
        "job_id": (JOB_ID, job["id"]),
        "job": (JOB_ID, job["id"]),
        "source": ("s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.{1,1024}", source),
    }
    return found


def live(system: LocalSystem) -> list[Any]:
    """Return the jobs that are at work."""
    states = "&".join(f"state={state}" for state in ("queued", "planning", "tiling", "finishing"))
    found: list[Any] = system.call("GET", f"/jobs?{states}").json()["jobs"]
    return found


@pytest.fixture
def only_sessions_of_others(system: LocalSystem) -> Iterator[None]:
    """Remove the sessions that a test creates: their labels are not of the kind that other tests expect on a page."""
    with system.mongo() as client:
        sessions = client[system.stack["admin_db"]].sessions
        before = sessions.distinct("_id")
        yield
        sessions.delete_many({"_id": {"$nin": before}})


@pytest.mark.usefixtures("only_sessions_of_others")
@pytest.mark.parametrize(("examples", "stateful"), [(4, 2), pytest.param(20, 8, marks=pytest.mark.long)])
def test_schemathesis_finds_nothing(system: LocalSystem, tmp_path: Path, examples: int, stateful: int) -> None:
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(
        SETTINGS.format(timeout_seconds=TIMEOUT_SECONDS, examples=examples, stateful=stateful),
        encoding="utf-8",
    )
    stack = system.stack
    # On one thread: Python 3.11's compiler, which hypothesis asks for the text of functions, is not made for several.
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(settings), "run"]
    command += [f"{stack['api']}/openapi.json", "--checks", "all", "--no-color", "--warnings", "off"]
    command += ["--header", f"Authorization: Bearer {stack['token']}"]
    # A tried link counts as a try to sign in, of which tests of this system have ten a minute. tests/security tries links.
    command += ["--exclude-path", "/sign-in/links/{code}"]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": HOOKS.stem,
        "PYTHONPATH": str(HOOKS.parent),
        "THINGS_THAT_ARE_THERE": json.dumps(things(system)),
    }
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-20_000:]
    # What it has begun is not in the way of the tests behind this one.
    eventually(lambda: not live(system), what="the end of all jobs")


def test_the_page_of_the_api_is_there(system: LocalSystem) -> None:
    page = system.call("GET", "/pages/api", headers={"Authorization": ""})
    assert page.status == 200
    assert b"static/pages/api.js" in page.data
    assert system.call("GET", "/static/pages/api.js").headers["Content-Type"].startswith("text/javascript")


def test_the_service_is_ready(system: LocalSystem) -> None:
    # Each part has a second to answer, and a busy machine may need another try.
    answer = eventually(lambda: (found := system.call("GET", "/ready")).status == 200 and found, what="readiness")
    assert answer.json()["status"] == "ready"
    # The limit of open files of a server of the user's own is not known.
    files = {"database files"} if system.stack["pids"]["mongod"] else set()
    assert {name for name, part in answer.json()["parts"].items() if part["ok"]} == files | {
        "table", "jobs queue", "chunks queue", "incoming bucket", "work bucket", "database",
    }  # fmt: skip


def test_an_address_that_leads_nowhere_is_a_problem_and_repeats_no_token(system: LocalSystem) -> None:
    for method in ("GET", "POST", "TRACE", "BREW"):
        answer = system.call(method, "/nothing/at/all")
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert system.stack["token"] not in answer.data.decode()
    assert system.call("BREW", "/jobs").json()["code"] == "method_not_allowed"
