"""A little of each kind of proof in `make test`, all of it in `make test-long`."""

from collections.abc import Sequence
from typing import Any

import pytest


def few_or_all(name: str, few: int, all_: int) -> pytest.MarkDecorator:
    """Run a test with `few` of something as its argument `name`, and in the long run with all of them."""
    return pytest.mark.parametrize(
        name, [pytest.param(few, id="few"), pytest.param(all_, id="all", marks=pytest.mark.long)]
    )


def first_of(values: Sequence[Any], count: int) -> list[Any]:
    """Return parameters of which the first `count` run in each run, and the others in the long one."""
    return [*values[:count], *(pytest.param(value, marks=pytest.mark.long) for value in values[count:])]
