"""make simulate SEEDS=1000 [FIRST=0] | SEED=n, and make mutants.

Prints its figures last, and ends with 1 if a history broke a promise, or if a guard could be switched off unnoticed.
"""

import argparse
import gc
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter

from chalicelib.cli.progress import progress_bar
from tests.simulation import story
from tests.simulation.mutants import MUTANTS
from tests.simulation.shrink import shortest
from tests.simulation.story import Story, Violation, recorded

MUTANT_HISTORIES = 500
# Every one of these is to be seen in a thousand histories: a fault that never strikes proves nothing.
SOMETIMES = (
    "killed", "asleep", "timed out", "refused", "answer lost", "half inserted", "doubled", "delayed", "reordered",
    "acknowledgement lost", "short of time", "rolled back", "away", "MongoDB away", "clock jumps", "received again",
    "dead letter", "event lost", "deleted", "overwritten", "job done", "job failed", "job superseded", "job retried",
    "receiver refuses", "receiver answer lost", "heard again",
)  # fmt: skip


def main() -> int:
    options = _parse()
    if options.seed is not None:
        return _one(options.seed)
    if options.mutants:
        return _mutants(options.cores)
    return _many(options.first, options.seeds, options.cores)


def _many(first: int, seeds: int, cores: int) -> int:
    story.warm()
    gc.set_threshold(50_000, 20, 20)  # a history makes many objects, and few of them in circles
    begun = time.perf_counter()
    where = "on one core" if cores == 1 else f"on {cores} cores"
    print(f"{seeds} histories from seed {first}, {where}", flush=True)
    seen: Counter[str] = Counter()
    # Forked: the children have the slides that all histories share.
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        # In the order of the seeds, so that the first violation is the same however many cores look for it.
        results = pool.imap(_seen, range(first, first + seeds), chunksize=5)
        for seed, found, is_violated in progress_bar(results, total=seeds, unit="history", redraw_seconds=1.0):
            seen.update(found)
            if is_violated:
                pool.terminate()
                history, violation = recorded(seed)
                assert violation is not None
                _tell(seed, history, violation)
                return 1
    seconds = time.perf_counter() - begun
    print("seen:", ", ".join(f"{kind} {seen[kind]}" for kind in sorted(seen)))
    missing = [kind for kind in SOMETIMES if not seen[kind]] if seeds >= 1000 else []
    if missing:
        print(f"error: never seen: {', '.join(missing)}", file=sys.stderr)
    print(f"{seeds} histories without a violation in {seconds:.1f} s {where}, {seeds / seconds:.1f} a second")
    return 1 if missing else 0


def _seen(seed: int) -> tuple[int, Counter[str], bool]:
    history, violation = recorded(seed)
    return seed, history.machine.seen, violation is not None


def _one(seed: int) -> int:
    history, violation = recorded(seed)
    print("\n".join(history.machine.log))
    if violation is None:
        print(f"seed {seed}: no violation")
        return 0
    _tell(seed, history, violation)
    return 1


def _tell(seed: int, history: Story, violation: Violation) -> None:
    """Print the shortest history that shows the same."""
    kind = _kind(violation)

    def fails(given: list[int]) -> bool:
        found = recorded(given=given)[1]
        return found is not None and _kind(found) == kind

    print(f"\nseed {seed}: {violation}\nlooking for the shortest history that shows it ...", flush=True)
    made = shortest(history.choices.made, fails)
    short, found = recorded(given=made)
    print("\n".join(short.machine.log))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"\nviolation: {found or violation}")
    print(f"seed {seed}, commit {commit.stdout.strip() or 'unknown'}; make simulate SEED={seed} plays it again")


def _kind(violation: Violation) -> str:
    """Return what a violation says without names and numbers."""
    return "".join(letter for letter in str(violation).split(":")[0] if not letter.isdigit())[:24]


def _mutants(cores: int) -> int:
    story.warm()
    survivors = []
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        for name, found in pool.imap(_unmasked, MUTANTS):
            if found is None:
                survivors.append(name)
            print(f"{name}: {found or f'NOT FOUND in {MUTANT_HISTORIES} histories'}", flush=True)
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} guards found")
    return 1 if survivors else 0


def _unmasked(name: str) -> tuple[str, str | None]:
    """Return the name of a guard, and which seed shows that it is switched off."""
    for seed in range(MUTANT_HISTORIES):
        with MUTANTS[name]():
            violation = recorded(seed)[1]
        if violation is not None:
            return name, f"found by seed {seed}: {str(violation)[:100]}"
    return name, None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", type=int, default=1000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one history, told in full")
    parser.add_argument("--cores", type=int, default=len(os.sched_getaffinity(0)), help="how many at a time")
    parser.add_argument("--mutants", action="store_true", help="switch each guard off in turn")
    return parser.parse_args()


if __name__ == "__main__":
    # Sets are walked in the order of hashes: a seed has to mean the same in every process.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
