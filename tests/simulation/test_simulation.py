"""A few histories with every run of the tests; thousands with `make simulate`, and the guards with `make mutants`."""

import contextlib
import io
import os
import re
import subprocess
import sys

import pytest

from tests.effort import first_of
from tests.simulation import __main__ as command
from tests.simulation.choices import Choices
from tests.simulation.mutants import MUTANTS
from tests.simulation.shrink import shortest
from tests.simulation.story import FAULTS, recorded, reference, slides
from tests.timeouts import TIMEOUT_SECONDS

# Guards that many histories do without.
FOUND_LATE = (
    "what a forced job made before is swept once it is replaced",
    "a generation given up is not written again",
    "order of jobs for a named image",
    "a slide that was replaced is not judged",
    "order of versions",
    "finish looks before it acts",
)


@pytest.mark.parametrize("first", first_of(range(0, 200, 25), 2))
def test_whatever_goes_wrong_every_slide_ends_published_exactly_or_failed_with_a_reason(first: int) -> None:
    for seed in range(first, first + 25):
        _, violation = recorded(seed)
        assert violation is None, seed


def test_without_faults_everything_ends_as_well() -> None:
    for seed in range(20):
        history, violation = recorded(seed, faults=())
        assert violation is None, seed
        assert not set(history.machine.seen) & {"killed", "asleep", "refused", "answer lost", "dead letter"}


def test_a_seed_tells_the_same_history_again() -> None:
    one, other = recorded(7)[0], recorded(7)[0]
    assert one.machine.log == other.machine.log
    replayed, _ = recorded(given=one.choices.made)
    assert replayed.machine.log == one.machine.log


@pytest.mark.parametrize("name", first_of(sorted(MUTANTS, key=FOUND_LATE.__contains__), len(MUTANTS) - len(FOUND_LATE)))
def test_a_guard_that_is_switched_off_is_found(name: str) -> None:
    for seed in range(500):
        with MUTANTS[name]():
            if recorded(seed)[1] is not None:
                return
    pytest.fail(f"nobody notices when this guard is off: {name}")


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_leaves_the_reference_tiles_as_they_are(name: str) -> None:
    expected = [reference(version) for version in range(len(slides()))]
    reference.cache_clear()
    with MUTANTS[name]():
        assert [reference(version) for version in range(len(slides()))] == expected


def test_each_kind_of_fault_strikes() -> None:
    wanted = {name.replace("_", " ") for name in FAULTS}
    for seed in range(60):
        wanted -= {kind for kind, times in recorded(seed)[0].machine.seen.items() if times}
        if not wanted:
            return
    pytest.fail(f"never seen: {wanted}")


def test_a_violation_is_told_by_its_shortest_history() -> None:
    with MUTANTS["session entry once"]():
        seed = next(seed for seed in range(100) if recorded(seed)[1] is not None)
        history, _ = recorded(seed)
        made = shortest(
            history.choices.made, lambda given: recorded(given=given)[1] is not None, seconds=TIMEOUT_SECONDS
        )
        short, violation = recorded(given=made)
    assert violation is not None
    assert "twice" in str(violation)
    assert len(made) < len(history.choices.made) / 2
    assert len(short.machine.log) < len(history.machine.log)


@pytest.mark.parametrize("cores", first_of(["2", "1"], 1))
def test_whatever_is_seen_first_is_told_however_many_cores_look_for_it(
    cores: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["make simulate", "--seeds", "40", "--cores", cores])
    with MUTANTS["session entry once"]():
        seed = next(seed for seed in range(40) if recorded(seed)[1] is not None)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert command.main() == 1
    assert f"seed {seed}, commit " in out.getvalue().splitlines()[-1]


def test_choices_that_are_given_are_followed_and_end_harmlessly() -> None:
    choices = Choices(given=[1, 5, 2])
    assert [choices.pick((1, 1)), choices.pick((1, 1)), choices.pick((1, 0, 0))] == [1, 0, 0]
    assert (choices.chance(0.5), choices.chance(0.0), choices.made) == (False, False, [1, 0, 0, 0])


def test_the_command_tells_its_figures_last_and_plays_a_seed_again() -> None:
    def run(*options: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-m", "tests.simulation", *options]
        return subprocess.run(arguments, capture_output=True, text=True, env=os.environ, check=False)

    many = run("--seeds", "5", "--first", "100", "--cores", "2")
    assert many.returncode == 0
    assert re.match(
        r"5 histories without a violation in \d+\.\d s on \d cores, [\d.]+ a second$", many.stdout.splitlines()[-1]
    )
    one = run("--seed", "100")
    assert (one.returncode, one.stdout.splitlines()[-1]) == (0, "seed 100: no violation")
    assert "[calm]" in one.stdout
