"""Migrate: convert stored data of earlier versions to the format of this release.

Data is readable before and during a migration. A migration is idempotent and continues after an interruption.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.core.errors import MigrationConflictError, SchemaTooNewError
from chalicelib.ports.schema import Schema, SchemaState


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """The result of a migration of a store. `read` and `changed` count the records of this run."""

    store: str
    version: int
    title: str
    read: int
    changed: int


def migrate(schema: Schema, *, write: bool, report: Callable[[int], object] = lambda _: None) -> tuple[Migrated, ...]:
    """Run all pending migrations of a store in order, and return their results.

    Without `write`, nothing is changed, and each migration counts the records of the stored version. `report` is called
    for each page with the number of records read. Raises SchemaTooNewError if a later release has written the data,
    MigrationConflictError if another migration is running.
    """
    state = schema.state()
    if state.version > schema.latest:
        raise SchemaTooNewError(
            f"{schema.name} has schema version {state.version}; this release knows versions up to {schema.latest}"
        )
    results: list[Migrated] = []
    while state.version < schema.latest:
        version, read, changed, cursor = state.version + 1, 0, 0, state.cursor
        while True:
            page = schema.migrate(version, cursor, write=write)
            read, changed, cursor = read + page.read, changed + page.changed, page.cursor
            report(page.read)
            now = SchemaState(version=version) if cursor is None else SchemaState(version=state.version, cursor=cursor)
            if write and not schema.save(state, now):
                raise MigrationConflictError(f"another migration of {schema.name} is running")
            state = now
            if cursor is None:
                break
        title = schema.title(version)
        results.append(Migrated(store=schema.name, version=version, title=title, read=read, changed=changed))
    return tuple(results)
