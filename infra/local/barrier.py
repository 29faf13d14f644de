"""Barriers: files that make the workers of a local system wait before they process a message.

    echo '{"step": "tile", "from_chunk": 3}' > .local/barriers/look.json
    rm .local/barriers/look.json

A barrier is a JSON object. `do` and `job` match a message with these values, `from_chunk` matches a message for this
chunk or a later one; a field that is left out matches every message, and so does an empty file. A worker that received
a matching message waits until the file is removed. Meanwhile the message stays hidden, and the function's timeout does
not run. While a worker waits, `.local/barriers/waiting/` has a file with the message's body.

Tests use barriers to look at a state that would otherwise be over before they see it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Barriers:
    """The barriers in one folder. The folder need not exist."""

    folder: Path

    def hold(self, bodies: Sequence[str]) -> bool:
        """Whether a barrier matches one of these messages."""
        barriers = list(self._barriers())
        return any(matches(barrier, body) for barrier in barriers for body in bodies)

    def wait(self, bodies: Sequence[str], stopping: threading.Event) -> bool:
        """Block while a barrier matches one of these messages. Return False if `stopping` is set meanwhile."""
        name = f"{os.getpid()}-{threading.get_ident()}"
        waiting, unfinished = self.folder / "waiting" / name, self.folder / name
        waiting.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text("\n".join(bodies), encoding="utf-8")
        unfinished.replace(waiting)
        try:
            while self.hold(bodies):
                if stopping.wait(_POLL_SECONDS):
                    return False
            return True
        finally:
            waiting.unlink(missing_ok=True)

    def _barriers(self) -> Sequence[dict[str, Any]]:
        if not self.folder.is_dir():
            return []
        found = []
        for path in self.folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                found.append(_object(path.read_text(encoding="utf-8")))
        return found


def matches(barrier: dict[str, Any], body: str) -> bool:
    """Whether a message with this body has to wait at `barrier`."""
    message = _object(body)
    chunk = message.get("chunk")
    if "from_chunk" in barrier and (chunk is None or chunk < barrier["from_chunk"]):
        return False
    return all(message.get(name) == barrier[name] for name in ("step", "job") if name in barrier)


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for any other text, such as a file that is not written to its end yet."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
