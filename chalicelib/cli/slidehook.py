"""The `slidehook` command: one subcommand for each task.

    slidehook --version
    slidehook upload -i slide.svs -c COLLECTION -s SESSION --wait
    slidehook migrate --dry-run
    slidehook grant lab --scope read

A subcommand is a row of COMMANDS: its module is imported when it is called, so the others cost nothing.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from chalicelib import __version__

# Name: (module of chalicelib.cli whose `main` runs it, what it does).
COMMANDS: Mapping[str, tuple[str, str]] = {
    "upload": ("command", "upload slides and submit them, as ptif_upload.py does"),
    "migrate": ("migrate", "change stored data of earlier versions to the format of this release"),
    "grant": ("grant", "create a bearer token or a webhook secret"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code. Exits with 2 and a sentence if there is no such subcommand."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="slidehook",
        description="Publish whole-slide images from S3 to a web viewer.",
        epilog="\n".join(["commands:", *(f"  {name:<10}{says}" for name, (_, says) in COMMANDS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"slidehook {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below")
    # What follows the subcommand belongs to it, `--help` included.
    name = parser.parse_args(given[:1]).command
    run: Callable[..., int] = import_module(f"chalicelib.cli.{COMMANDS[name][0]}").main
    return run(given[1:], prog=f"slidehook {name}")
