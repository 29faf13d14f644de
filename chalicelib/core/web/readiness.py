"""What the checks of the parts of the service find, and what that means for the service."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

# WiredTiger aborts the server when it cannot open a file. Connections and the journal take descriptors as well.
MAX_OPEN_FRACTION = 0.7


class Condition(StrEnum):
    """`UNKNOWN` could not be measured, `DEGRADED` works and needs attention, `SILENT` did not answer."""

    OK = "ok"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A condition, with a sentence for the operator. The sentence names no host and no count: everybody may read it."""

    condition: Condition = Condition.OK
    detail: str = ""


def judge_open_files(open_files: int, *, limit: int) -> Finding:
    """Return whether a MongoDB server that may open `limit` files is about to run out of them."""
    if open_files > MAX_OPEN_FRACTION * limit:
        return Finding(
            condition=Condition.DEGRADED,
            detail=f"MongoDB has more than {MAX_OPEN_FRACTION:.0%} of the files open that it may open; "
            "raise its limit or close idle files sooner (docs/mongodb.md).",
        )
    return Finding()


def judge_service(conditions: Collection[Condition]) -> str:
    """Return `not ready` if a part is silent, `degraded` if one is degraded, else `ready`."""
    if Condition.SILENT in conditions:
        return "not ready"
    return "degraded" if Condition.DEGRADED in conditions else "ready"
