"""What all tests share: how they are spread over the cores."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of the running system on one worker: there is one system."""
    for item in items:
        if "system" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("system"))
