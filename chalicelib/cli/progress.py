"""Progress bars. Every bar of the project is made here, so that a log without a terminal gets lines and never a bar."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress_bar(
    items: Iterable[Any] | None = None,
    *,
    label: str = "",
    total: int | None = None,
    unit: str = "it",
    leave: bool = True,
    redraw_seconds: float = 0.1,
) -> "tqdm[Any]":
    """Return a bar on standard error, over `items` if they are given. Nothing is written if that is not a terminal.

    `unit` "B" shows sizes as kB, MB and so on. `redraw_seconds` is the shortest time between two drawings.
    """
    return tqdm(
        items,
        desc=label or None,
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        leave=leave,
        mininterval=redraw_seconds,
        file=sys.stderr,
        disable=None,  # tqdm's way to say: unless `file` is a terminal
        dynamic_ncols=True,
    )
