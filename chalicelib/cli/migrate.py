"""`slidehook migrate`: change stored data of earlier versions to the format of this release.

The command reads the settings of the service from the environment. It needs write access to the jobs table and to
MongoDB.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing

from chalicelib.cli.progress import progress_bar
from chalicelib.config import SettingError, read_settings
from chalicelib.core.errors import SlidehookError
from chalicelib.services import Services
from chalicelib.steps.migrate import migrate

OK, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None, *, prog: str = "slidehook migrate") -> int:
    """Run all pending migrations and return the exit code: 0 if the stored data has the format of this release."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Change stored data of earlier versions to the format of this release. The service can run "
        "meanwhile. A migration that was stopped continues where it was.",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    options = parser.parse_args(arguments)
    try:
        with closing(Services(read_settings())) as services:
            run(services, write=not options.dry_run)
    except SettingError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return FAILED
    except SlidehookError as error:
        print(f"{prog}: {error}. {error.advice} ({error.code})", file=sys.stderr)
        return FAILED
    return OK


def run(services: Services, *, write: bool) -> None:
    """Migrate all stores and print a line for each migration. Raises SlidehookError."""
    for schema in services.schemas:
        with progress_bar(label=schema.name, unit="record") as bar:
            results = migrate(schema, write=write, report=bar.update)
        for result in results:
            done = "changed" if write else "would change"
            print(
                f"{result.store}: {done} {result.changed} of {result.read} records to schema version {result.version}: "
                f"{result.title}"
            )
        if not results:
            print(f"{schema.name}: schema version {schema.latest}, nothing to do")
