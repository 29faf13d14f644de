"""What the figures were measured on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from infra.mongod import find_mongod

OURS = ("pymongo", "botocore", "simplejpeg", "numpy")
PEERS = ("pyvips", "pyvips-binary", "opentile", "large-image")


def describe(peer: Path | None) -> dict[str, Any]:
    """Return the machine and the versions of what takes part; `peer` is the Python of the other programs."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(terse=True),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {
            "python": platform.python_version(),
            "mongod": _mongod(),
            **{name: version(name) for name in OURS},
            **_peers(peer),
        },
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    found = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(found, platform.processor())


def _mongod() -> str:
    said = subprocess.run([str(find_mongod()), "--version"], check=True, capture_output=True, text=True).stdout
    return said.splitlines()[0].removeprefix("db version v")


def _peers(peer: Path | None) -> dict[str, str]:
    """Return the version of each peer that is installed."""
    if peer is None:
        return {}
    command = [str(peer), "-m", "pip", "list", "--format=freeze"]
    said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    found = dict(line.split("==", 1) for line in said.splitlines() if "==" in line)
    return {name: found[name] for name in PEERS if name in found}
