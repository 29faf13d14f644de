"""Binds the ports and settings to the steps that name them in their signatures."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from typing import TYPE_CHECKING, TypeVar

from chalicelib.config import Settings
from chalicelib.ports.clock import Clock

if TYPE_CHECKING:
    from chalicelib.services import Services

Result = TypeVar("Result")

PORTS = frozenset(
    {
        "access_records", "archive", "callbacks", "clock", "deliveries", "events", "jitter", "jobs", "queue", "slides",
        "syncs", "uploads", "work",
    }
)  # fmt: skip
SETTINGS = frozenset(field.name for field in fields(Settings))


def bind(step: Callable[..., Result], services: "Services", *, clock: Clock | None = None) -> Callable[..., Result]:
    """Return `step` with its keyword-only parameters bound to the ports and settings of the same names.

    Only ports that the step names are built. `clock` replaces the clock of the services, for an invocation with a time
    limit. A keyword argument of the call overrides a bound one.
    """
    bound = {name: getattr(services, name) for name in _names(step) & PORTS}
    bound |= {name: getattr(services.settings, name) for name in _names(step) & SETTINGS}
    if clock is not None and "clock" in bound:
        bound["clock"] = clock
    return partial(step, **bound)


@cache
def _names(step: Callable[..., object]) -> frozenset[str]:
    parameters = inspect.signature(step).parameters.values()
    return frozenset(each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY)
