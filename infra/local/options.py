"""Options of the launcher: the command line and the environment."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from infra.local import emulator

DEFAULT_PORT = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    slide: Path | None
    once: bool
    port: int | None
    workers: int
    emulator: str


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Options:
    """Return the options. Exits with 2 and one sentence if they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="Run Slidehook on this machine.")
    parser.add_argument("--slide", metavar="PATH", help="publish this file; without it a sample is drawn")
    parser.add_argument("--once", action="store_true", help="stop after the job; exit 0 only if it is done")
    parser.add_argument("--port", metavar="NUMBER", help=f"of the API (default {DEFAULT_PORT})")
    parser.add_argument("--workers", metavar="NUMBER", default="2", help="worker processes (default 2)")
    parser.add_argument("--emulator", choices=emulator.KINDS, default=emulator.KINDS[0])
    given = parser.parse_args(arguments)
    slide = Path(given.slide).expanduser() if given.slide else None
    if slide is not None and (problem := unreadable(slide)):
        refuse(problem)
    if emulator_is_users(environment) and given.emulator != emulator.KINDS[0]:
        print("AWS_ENDPOINT_URL or LOCALSTACK_HOST is set; EMULATOR has no effect")
    return Options(
        slide=slide.resolve() if slide else None,
        once=given.once,
        port=whole_number("port", given.port, 1, 65535) if given.port else None,
        workers=whole_number("workers", given.workers, 1, 64),
        emulator=given.emulator,
    )


def refuse(problem: str) -> NoReturn:
    """End with one sentence, as a command line that makes no sense ends."""
    print(f"error: {problem}", file=sys.stderr)
    sys.exit(2)


def emulator_is_users(environment: Mapping[str, str]) -> bool:
    """Whether the user's environment names an endpoint."""
    return bool(environment.get("AWS_ENDPOINT_URL") or environment.get("LOCALSTACK_HOST"))


def unreadable(slide: Path) -> str | None:
    """Return why a slide cannot be read, or None."""
    if not slide.exists():
        return f"there is no file {slide}"
    if not slide.is_file():
        return f"{slide} is not a file"
    if not os.access(slide, os.R_OK):
        return f"{slide} may not be read by this user"
    return None


def whole_number(name: str, text: str, least: int, most: int) -> int:
    """Return the number in `text`, or end with a sentence."""
    if not text.isdecimal() or not least <= int(text) <= most:
        refuse(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)
