"""Timeouts of tests that wait for another process or thread. A passing test does not reach them."""

import time
from collections.abc import Callable
from typing import Any

import pytest

# Much more than a loaded machine needs.
TIMEOUT_SECONDS = 120


def eventually(look: Callable[[], Any], *, what: str = "it", seconds: float = TIMEOUT_SECONDS) -> Any:
    """Return the first true value that `look` returns. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)
