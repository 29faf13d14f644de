"""What stands between the writes of a port in memory: nothing, a crash, or another worker."""

from collections.abc import Callable

BeforeWrite = Callable[[str], None]


def go_on(_write: str) -> None:
    """Nothing happens before a write."""
