"""Fixtures of all tests: the running system, and the distribution of tests over the cores."""

# Each import here delays every run, even of one small test. Other modules are imported where they are used.
from __future__ import annotations

import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.system import LocalSystem

# The token of a user with the scope `read`.
READER = "reads-and-no-more"

# Each run uses the same examples, without a time limit. With SLIDEHOOK_EXAMPLES each run uses new ones.
hypothesis.settings.register_profile(
    "slidehook",
    derandomize="SLIDEHOOK_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("slidehook")


# These tests run the same lines thousands of times, and coverage doubles their duration. The coverage gate does not
# need them.
UNMEASURED = re.compile(r"tests/(simulation/|contracts/parity/|pixels/test_mangled)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests of the running system on one worker, because there is one system. Exclude some tests from
    coverage."""
    for item in items:
        if "running_system" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("system"))
        if UNMEASURED.match(item.nodeid):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
def boto3_session() -> Any:
    """A session that creates clients of an emulated AWS. It is shared, because loading the service descriptions takes
    longer than most tests."""
    import boto3

    return boto3.session.Session("testing", "testing", region_name="us-east-1")


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """The running system that all tests share."""
    from tests.e2e.system import started

    reader = {"name": "reader", "sha256": hashlib.sha256(READER.encode()).hexdigest(), "scopes": ["read"]}
    variables = {"SLIDEHOOK_TOKENS": json.dumps([reader])}
    with started(tmp_path_factory.mktemp("slidehook"), variables=variables) as running:
        yield running


@pytest.fixture
def system(running_system: LocalSystem, request: pytest.FixtureRequest) -> LocalSystem:
    """The running system with a session for this test only."""
    return running_system.with_session(request.node.name)
