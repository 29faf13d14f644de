"""What all tests share: the running system, and how tests are spread over the cores."""

# What this module imports delays every run, also of one small test: the rest is imported where it is used.
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

# The token of a user who may only read.
READER = "reads-and-no-more"

# Each run tries the same examples, and none of them is timed. With SLIDEHOOK_EXAMPLES each run tries other ones.
hypothesis.settings.register_profile(
    "slidehook",
    derandomize="SLIDEHOOK_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("slidehook")


# They run the same lines thousands of times, in twice the time while coverage is measured. The coverage gate does
# without them.
UNMEASURED = re.compile(r"tests/(simulation/|contracts/parity/|pixels/test_mangled)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of the running system on one worker: there is one system. Measure no coverage of some tests."""
    for item in items:
        if "running_system" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("system"))
        if UNMEASURED.match(item.nodeid):
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session")
def boto3_session() -> Any:
    """What makes clients of an emulated AWS. It has read the descriptions of the services, which takes longer than most
    tests, and keeps them."""
    import boto3

    return boto3.session.Session("testing", "testing", region_name="us-east-1")


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """One system for all tests that need a running one."""
    from tests.e2e.system import started

    reader = {"name": "reader", "sha256": hashlib.sha256(READER.encode()).hexdigest(), "scopes": ["read"]}
    variables = {"SLIDEHOOK_TOKENS": json.dumps([reader])}
    with started(tmp_path_factory.mktemp("slidehook"), variables=variables) as running:
        yield running


@pytest.fixture
def system(running_system: LocalSystem, request: pytest.FixtureRequest) -> LocalSystem:
    """The running system with a session of this test's own."""
    return running_system.with_session(request.node.name)
