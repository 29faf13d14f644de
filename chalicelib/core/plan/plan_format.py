"""The stored form of a plan: a JSON head and packed tile records."""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from chalicelib.core.imaging.encoding import dump_storage, load_storage
from chalicelib.core.plan.chunks import RECORD, Chunk, Plan, PlannedLevel, TileRecord


def unpack_records(packed: bytes) -> Iterator[TileRecord]:
    """Yield the records of a packed run."""
    return map(TileRecord._make, RECORD.iter_unpack(packed))


def plan_digest(head: bytes, records: bytes) -> str:
    """Return the digest of a plan: equal digests mean equal work, so what is done stays done."""
    found = hashlib.sha256(hashlib.sha256(head).digest())
    found.update(records)
    return found.hexdigest()[:32]


def dump_plan(plan: Plan) -> bytes:
    """Return the plan's head as JSON, the same bytes for the same plan."""
    levels = [
        {**_fields(level), "storage": dump_storage(level.storage) if level.storage else None} for level in plan.levels
    ]
    head = {
        "width_px": plan.width_px,
        "height_px": plan.height_px,
        "tile_size_px": plan.tile_size_px,
        "depth": plan.depth,
        "levels": levels,
        "chunks": [_fields(chunk) for chunk in plan.chunks],
        "blank": base64.b64encode(plan.blank).decode(),
    }
    return json.dumps(head, separators=(",", ":")).encode()


def load_plan(head: bytes) -> Plan:
    """Return the plan of a head that `dump_plan` wrote, in this version or an earlier one."""
    fields = json.loads(head)
    levels = tuple(
        PlannedLevel(**_renamed({**level, "storage": load_storage(level["storage"]) if level["storage"] else None}))
        for level in fields["levels"]
    )
    chunks = tuple(Chunk(**_renamed(chunk)) for chunk in fields["chunks"])
    return Plan(**{**fields, "levels": levels, "chunks": chunks, "blank": base64.b64decode(fields["blank"])})


# Names and values in plans of earlier versions. A plan outlives a deployment in the middle of its job.
EARLIER_NAMES = {"made": "method", "made_levels": "downsampled_levels"}


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        EARLIER_NAMES.get(name, name): "downsampled" if value == "made" else value for name, value in fields.items()
    }


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]
