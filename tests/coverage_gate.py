"""Fail if the branch coverage of core, steps or hooks is too low: `python -m tests.coverage_gate .coverage.json`."""

import json
import sys
from pathlib import Path

MIN_PERCENT = 98.0
PARTS = ("chalicelib/core/", "chalicelib/steps/", "chalicelib/hooks/")


def main(report: str) -> int:
    files = json.loads(Path(report).read_text(encoding="utf-8"))["files"]
    too_low = False
    for part in PARTS:
        found = [each["summary"] for name, each in files.items() if name.startswith(part)]
        branches = sum(each["num_branches"] for each in found)
        covered = sum(each["covered_branches"] for each in found)
        percent = 100.0 * covered / branches if branches else 0.0
        print(f"{part} {covered} of {branches} branches covered: {percent:.1f} % (minimum: {MIN_PERCENT} %)")
        too_low |= percent < MIN_PERCENT
    return int(too_low)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
