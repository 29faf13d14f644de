"""One running system for all journeys."""

from collections.abc import Iterator

import pytest

from tests.journey.system import LocalSystem, started


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    with started(tmp_path_factory.mktemp("slidehook")) as running:
        yield running
