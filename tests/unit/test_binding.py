"""`bind` passes to a step the ports and settings that it names, and builds only those."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from chalicelib.adapters.memory import MemoryClock
from chalicelib.binding import bind
from chalicelib.config import Settings
from chalicelib.services import Services
from tests.world import World


def needs(number: int, *, clock: Any, jobs: Any, chunk_bytes: int, more: str = "none") -> tuple[Any, ...]:
    return number, clock, jobs, chunk_bytes, more


def test_bind_passes_the_named_ports_and_settings() -> None:
    world = World()
    assert bind(needs, world.services)(1) == (1, world.clock, world.jobs, world.settings.chunk_bytes, "none")


def test_bind_builds_only_the_named_ports() -> None:
    ports = SimpleNamespace(clock="clock", jobs="jobs", settings=SimpleNamespace(chunk_bytes=5))
    built = cast("Services", ports)
    assert bind(needs, built)(2) == (2, "clock", "jobs", 5, "none")


def test_bind_replaces_the_clock_for_an_invocation() -> None:
    world, clock = World(), MemoryClock()
    assert bind(needs, world.services, clock=clock)(1)[1] is clock
    # A step that does not name the clock does not receive it.
    assert bind(lambda *, jobs: jobs, world.services, clock=clock)() is world.jobs


def test_bind_leaves_positional_parameters_to_the_caller() -> None:
    world = World()
    with pytest.raises(TypeError, match="jobs"):
        bind(lambda jobs: jobs, world.services)()


def test_port_and_setting_names_are_disjoint() -> None:
    from chalicelib.binding import PORTS, SETTINGS

    assert PORTS.isdisjoint(SETTINGS)
    assert {name for name in PORTS if not hasattr(Services, name)} == set()
    assert set(Settings.__dataclass_fields__) == SETTINGS
