"""Other programs of the field, in a virtual environment of their own. They are no dependency of the project."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PEER_SECONDS = 1800


def python(folder: Path) -> Path | None:
    """Return the Python of the peers' environment, made now if it is not there; None where that fails."""
    found = folder / "bin" / "python"
    wanted = (HERE / "peers.txt").read_text(encoding="utf-8")
    stamp = folder / "peers.txt"
    if found.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return found
    print("installing the peers", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=False)
    if made.returncode != 0:
        return None
    names = [line for line in wanted.splitlines() if line.strip()]
    pip = [str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, *names], check=False).returncode != 0:
        # One that cannot be had does not cost the others.
        for name in names:
            subprocess.run([*pip, name], check=False)
    stamp.write_text(wanted, encoding="utf-8")
    return found


def run(peers: Path, script: str, *arguments: str, environment: Mapping[str, str]) -> dict[str, float]:
    """Return the figures that a peer's script prints. Raises RuntimeError with its last words."""
    ended = subprocess.run(
        [str(peers), str(HERE / "peer" / f"{script}.py"), *arguments],
        check=False, capture_output=True, text=True, timeout=PEER_SECONDS, env=os.environ | environment,
    )  # fmt: skip
    if ended.returncode != 0:
        last = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(last[:300])
    figures: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return figures
