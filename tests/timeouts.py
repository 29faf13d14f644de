"""How long tests wait for another process or thread. A test that passes never waits that long."""

import time
from collections.abc import Callable
from typing import Any

import pytest

# For everything that has to happen sooner or later. It is much more than a loaded machine needs.
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
