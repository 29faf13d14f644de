"""The schema version of stored data, and the migrations that change data of earlier versions."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """The version of all stored data. While the migration to the next version runs, `cursor` is where it continues."""

    version: int
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigratedPage:
    """A page of a migration: the number of records it read and of those it changed. `cursor` is None at the end."""

    read: int
    changed: int
    cursor: str | None


class Schema(Protocol):
    """The schema of one store. A store without a recorded version has version 1."""

    name: str

    @property
    def latest(self) -> int:
        """The version that this release writes."""

    def title(self, version: int) -> str:
        """Return what the migration to `version` does."""

    def state(self) -> SchemaState:
        """Return the recorded state."""

    def save(self, was: SchemaState, now: SchemaState) -> bool:
        """Record a state if `was` is still recorded; return whether it was."""

    def migrate(self, version: int, cursor: str | None, *, write: bool) -> MigratedPage:
        """Change one page of records to `version`, or only count them without `write`.

        Each record changes in one conditional write, so that a concurrent writer loses nothing. A page can be repeated.
        """
