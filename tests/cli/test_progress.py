"""Progress bars: drawn on a terminal, absent from logs."""

import ast
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("chalicelib", "infra", "benchmarks", "tests")
BAR = 'from chalicelib.cli.progress import progress_bar; [None for _ in progress_bar(range(3), label="counting")]'


def modules() -> list[Path]:
    skipped = {".local", "node_modules", "peers"}
    found = [path for name in SOURCES for path in (ROOT / name).rglob("*.py") if not skipped & set(path.parts)]
    return [*found, *ROOT.glob("*.py")]


def test_progress_bar_is_the_only_place_that_makes_a_tqdm() -> None:
    makers = [
        path.relative_to(ROOT).as_posix()
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tqdm", "trange")
    ]
    assert makers == ["chalicelib/cli/progress.py"]


@pytest.mark.parametrize("stream", ["pipe", "file"])
def test_progress_bar_writes_nothing_without_a_terminal(tmp_path: Path, stream: str) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        target = file if stream == "file" else subprocess.PIPE
        ran = subprocess.run([sys.executable, "-c", BAR], cwd=ROOT, stderr=target, stdout=target, check=True)
    assert (ran.stdout or b"") + (ran.stderr or b"") + log.read_bytes() == b""


def test_progress_bar_is_drawn_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    subprocess.run([sys.executable, "-c", BAR], cwd=ROOT, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "counting: 100%" in shown
    assert "3/3" in shown


def test_simulation_prints_only_lines_into_a_pipe() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", "4", "--cores", "1"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    first, *_, last = ran.stdout.splitlines()
    assert first == "4 histories from seed 0, on one core"
    assert last.startswith("4 histories without a violation in ")
    assert "\r" not in ran.stdout
    assert ran.stderr == ""
