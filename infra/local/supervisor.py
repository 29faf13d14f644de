"""Supervisor of the child processes: it restarts them, records them in .local/stack.json, and stops them in order."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from infra.local.children import (
    Child,
    describe_end,
)

ROOT = Path(__file__).resolve().parents[2]


STATE = ROOT / ".local"


_QUICK_DEATH_SECONDS = 2.0


_LONGEST_PAUSE_SECONDS = 10.0


class StopRequestedError(Exception):
    """Ctrl-C or SIGTERM."""


@dataclass(slots=True)
class Kept:
    """A child that is started again when it dies, and when that may happen next."""

    child: Child
    started_at: float = 0.0
    pause_seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class System:
    """The parts of a running system. `stores` end it when they die; `kept` are started again."""

    stack_path: Path
    stores: list[Child] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    def keep(self, child: Child) -> None:
        """Start a child that from now on is started again whenever it dies."""
        child.start()
        self.kept.append(Kept(child, started_at=time.monotonic()))

    def drop(self, child: Child) -> None:
        """End a child and keep it no longer."""
        child.stop()
        self.kept = [kept for kept in self.kept if kept.child is not child]

    def look_after(self) -> None:
        """Start again what died. Raises LocalError if a store is gone, for its contents are too."""
        for store in self.stores:
            if not store.alive:
                raise store.failure(f"ended with {describe_end(store)}")
        changed = [kept for kept in self.kept if self._revive(kept)]
        if changed:
            self.write()

    def _revive(self, kept: Kept) -> bool:
        now = time.monotonic()
        if kept.child.alive:
            return False
        if now - kept.started_at < kept.pause_seconds:
            return False
        end, old_pid = describe_end(kept.child), kept.child.pid
        # What dies at once would be started without end: wait longer each time.
        quick = now - kept.started_at < _QUICK_DEATH_SECONDS + kept.pause_seconds
        kept.pause_seconds = min(2 * kept.pause_seconds + 0.5, _LONGEST_PAUSE_SECONDS) if quick else 0.0
        kept.child.start()
        kept.started_at = now
        tqdm.write(f"{kept.child.name} (pid {old_pid}) ended with {end}; started again as pid {kept.child.pid}")
        return True

    def write(self) -> None:
        """Write stack.json, whole or not at all, readable by this user only."""
        pids = {
            "launcher": os.getpid(),
            "api": self._pid("api"),
            "emulator": self._pid("emulator"),
            "mongod": self._pid("mongod"),
            "workers": [kept.child.pid for kept in self.kept if kept.child.name.startswith("worker")],
        }
        unfinished = self.stack_path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({**self.document, "pids": pids}, file, indent=2)
        unfinished.replace(self.stack_path)

    def runs(self, name: str) -> bool:
        """Whether a child of this name is part of the system."""
        return self._pid(name) is not None

    def _pid(self, name: str) -> int | None:
        children = [*self.stores, *(kept.child for kept in self.kept)]
        return next((child.pid for child in children if child.name.startswith(name)), None)

    def stop(self) -> None:
        """End every child, those first that use the others."""
        self.stack_path.unlink(missing_ok=True)
        for group in ([kept.child for kept in self.kept], self.stores):
            for child in group:
                child.terminate()
            for child in group:
                child.finish(within_seconds=10)
