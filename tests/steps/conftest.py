"""Fixtures of the tests of the steps."""

import pytest

from chalicelib.core.plan import chunks


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two tiles a side, so that a small slide takes several chunks in several stages."""
    monkeypatch.setattr(chunks, "BLOCK_LEVELS", 1)
    monkeypatch.setattr(chunks, "LATER_BLOCK_LEVELS", 1)
