"""Processes that the local system starts, and that never outlive it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
# What MongoDB asks for. Some systems allow a billion, which programs that count up to their limit take badly.
_MOST_OPEN_FILES = 64_000


class LocalError(Exception):
    """The local system cannot go on; the message tells the user why and what to do."""


def free_port() -> int:
    """Return a port of loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen on `port` of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def raise_open_files_limit() -> int:
    """Raise this process's soft limit of open files to its hard limit, at most to 64 000, and return what it is then.

    Children inherit it. Systems that refuse (macOS has a lower limit of its kernel) leave it as it was.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST_OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


@dataclass(slots=True, kw_only=True)
class Child:
    """One process: its command, its log, and how it is asked to end."""

    name: str
    command: Sequence[str]
    log_path: Path
    environment: Mapping[str, str]
    directory: Path
    # What the kernel sends if the launcher dies without a word. Stores end in an orderly way;
    # workers and the API lose nothing when they are killed.
    on_launcher_death: signal.Signals = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None
    starts: int = field(default=0)

    @property
    def pid(self) -> int | None:
        """The process' id once it was started."""
        return self.process.pid if self.process else None

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches the launcher only."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        mode = "ab" if self.starts else "wb"
        with self.log_path.open(mode) as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=die_with(os.getpid(), self.on_launcher_death),  # noqa: PLW1509
            )
        self.starts += 1

    def terminate(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            # A stopped process would sleep through the request.
            self.process.send_signal(signal.SIGCONT)

    def finish(self, within_seconds: float) -> None:
        """Wait for its end, and make an end of it when the time is up."""
        if self.process is None:
            return
        try:
            self.process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def stop(self, within_seconds: float = 10) -> None:
        """End it, kindly first."""
        self.terminate()
        self.finish(within_seconds)

    def tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        text = self.log_path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def failure(self, what: str) -> LocalError:
        """Return the error that says what went wrong and shows the end of the log."""
        return LocalError(f"{self.name} {what}. The end of {self.log_path}:\n{self.tail()}")

    def wait_until(self, ready: Callable[[], bool], *, within_seconds: float = 120) -> None:
        """Block until `ready()`. Raises LocalError if it ends first or takes too long."""
        deadline = time.monotonic() + within_seconds
        while not ready():
            if not self.alive:
                raise self.failure(f"ended with {describe_end(self)} before it was ready")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {within_seconds:.0f} s")
            time.sleep(_POLL_SECONDS)


def describe_end(child: Child) -> str:
    """Return how a process ended, in words."""
    code = child.process.returncode if child.process else None
    if code is None:
        return "no exit code"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def die_with(parent_pid: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a child must do first so that the kernel signals it when its parent dies."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return ask_kernel
