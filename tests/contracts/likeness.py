"""A port in memory and the real one, side by side: hypothesis asks both the same in whatever order, and they must give
the same answers, and look the same in the end.

Domains are small, so that what is asked meets what was asked before. Each run of the tests asks the same; to look
further, ask for more examples of each machine, each time other ones:

    SLIDEHOOK_EXAMPLES=2000 .venv/bin/python -m pytest --timeout 0 tests/contracts -k alike
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Generic, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from chalicelib.core.errors import SlidehookError

# Well within a test's time: hypothesis itself would look for the shortest sequence for five minutes.
SHRINKING_SECONDS = 45

Side = TypeVar("Side")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Refusal:
    """An error that the port promises. What it says to people may differ."""

    kind: str
    code: str = ""
    pointer: str | None = None


class Alike(RuleBasedStateMachine, Generic[Side]):
    """Two implementations of one port, held beside one another."""

    memory: Side
    real: Side

    def both(self, ask: Callable[[Side], Answer], plain: Callable[[Answer], object] = lambda answer: answer) -> Answer:
        """Ask both sides. Returns the real one's answer, which must be the other's: in what `plain` makes of them, if
        it is not to be compared as it is."""
        return self.each(ask, plain)[1]

    def each(
        self, ask: Callable[[Side], Answer], plain: Callable[[Answer], object] = lambda answer: answer
    ) -> tuple[Answer, Answer]:
        """Ask both sides, and return both answers."""
        memory, real = _answer(self.memory, ask), _answer(self.real, ask)
        shown = [answer if isinstance(answer, Refusal) else plain(answer) for answer in (memory, real)]
        if shown[0] != shown[1]:
            raise AssertionError("\n" + "\n".join(_differences(*shown)))
        return memory, real


def _answer(side: Side, ask: Callable[[Side], Answer]) -> Answer:
    try:
        return ask(side)
    except SlidehookError as error:
        return Refusal(type(error).__name__, error.code, error.pointer)  # type: ignore[return-value]
    except ValueError:
        return Refusal("ValueError")  # type: ignore[return-value]


def _differences(memory: object, real: object, where: str = "answer") -> list[str]:
    """Say where two answers differ, rather than what they are: a job has forty fields."""
    if memory == real:
        return []
    if type(memory) is type(real):
        if is_dataclass(memory):
            pairs = [(each.name, getattr(memory, each.name), getattr(real, each.name)) for each in fields(memory)]
            return [line for name, *sides in pairs for line in _differences(*sides, f"{where}.{name}")]
        if isinstance(memory, tuple | list) and len(memory) == len(real):  # type: ignore[arg-type]
            sides_of = enumerate(zip(memory, real, strict=True))  # type: ignore[call-overload]
            return [line for at, sides in sides_of for line in _differences(*sides, f"{where}[{at}]")]
    return [f"{where}: in memory {memory!r}, really {real!r}"]


def hold_parity(machine: Callable[[], RuleBasedStateMachine], *, examples: int, steps: int = 30) -> None:
    """Run a machine: some sequences that are the same each time, or as many other ones as are asked for."""
    engine.MAX_SHRINKING_SECONDS = SHRINKING_SECONDS
    asked = os.environ.get("SLIDEHOOK_EXAMPLES")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(asked) if asked else examples,
            stateful_step_count=steps,
            derandomize=not asked,
            print_blob=False,
            report_multiple_bugs=False,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
