"""The schema version of stored data, and the migrations that change data of earlier versions."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """The version of the stored data. `cursor` is the position of an unfinished migration to the next version."""

    version: int
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigratedPage:
    """A page of a migration. `read` and `changed` count records. `cursor` is None at the end."""

    read: int
    changed: int
    cursor: str | None


class Schema(Protocol):
    """The schema of one store. A store without a recorded version has version 1."""

    name: str

    @property
    def latest(self) -> int:
        """Return the version that this release writes."""

    def title(self, version: int) -> str:
        """Return the title of the migration to `version`."""

    def state(self) -> SchemaState:
        """Return the recorded state."""

    def save(self, was: SchemaState, now: SchemaState) -> bool:
        """Record `now` if `was` is the recorded state. Return whether it was recorded. One conditional write."""

    def migrate(self, version: int, cursor: str | None, *, write: bool) -> MigratedPage:
        """Migrate one page of records to `version`, or only count them without `write`.

        Each record changes in one conditional write, so that changes of concurrent writers are not lost. Safe to retry.
        """
