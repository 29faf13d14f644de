"""The hook that adapters in memory call before each write."""

from collections.abc import Callable

# Called with the name of the write.
BeforeWrite = Callable[[str], None]


def do_nothing(_write: str) -> None:
    """The default hook."""
