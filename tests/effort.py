"""Parameters that run with few values in `make test` and with all of them in `make test-long`."""

from collections.abc import Sequence
from typing import Any

import pytest


def few_or_all(name: str, few: int, all_: int) -> pytest.MarkDecorator:
    """Parametrize the argument `name` with `few`, and in the long run also with `all_`."""
    return pytest.mark.parametrize(
        name, [pytest.param(few, id="few"), pytest.param(all_, id="all", marks=pytest.mark.long)]
    )


def first_of(values: Sequence[Any], count: int) -> list[Any]:
    """Return `values` as parameters. Values after the first `count` run in the long run only."""
    return [*values[:count], *(pytest.param(value, marks=pytest.mark.long) for value in values[count:])]
