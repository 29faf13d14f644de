"""Verification: is what readers get of a published slide what its source says?

A tile that was copied or cut has one right content, known by its id. A re-encoded tile may differ
with the release of the encoder: it is intact as long as its bytes are those that its own id was made of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chalicelib.core.ids import tile_id

Fault = Literal["missing", "altered", "doubled"]

# As for bad tiles (core.jobs.transitions): a hundred positions show the pattern.
MAX_FAULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a verification looks at: the generation that `attempt` of the upload `job` published as `image`. With
    `repair` the upload runs again if anything is wrong."""

    job: str
    attempt: int
    image: str
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A document of the tile collection: its `_id` (empty if it is none of ours) and its bytes."""

    id: bytes
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TileFault:
    """A tile that is not what it should be: its place in the pyramid, its name in SlideAtlas, and what is wrong.
    `documents` is how many bear its name."""

    level: int
    column: int
    row: int
    name: str
    fault: Fault
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a verification found: tiles by fault, the first of them, and documents that are no tile of the slide."""

    missing: int = 0
    altered: int = 0
    doubled: int = 0
    unexpected: int = 0
    faults: tuple[TileFault, ...] = ()

    @property
    def are_clean(self) -> bool:
        return not (self.missing or self.altered or self.doubled or self.unexpected)


def judge(name: str, expected_id: bytes, stored: Sequence[Stored], *, is_exact: bool) -> Fault | None:
    """Return what is wrong with the documents `stored` under a tile's name, None if nothing is.

    `expected_id` is that of the tile made from the source now; with `is_exact` no other content is right.
    """
    if not stored:
        return "missing"
    if len(stored) > 1:
        return "doubled"
    (only,) = stored
    found = tile_id(name, only.jpeg)
    return None if found == expected_id or (not is_exact and found == only.id) else "altered"
