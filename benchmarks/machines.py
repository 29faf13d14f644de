"""What the figures were measured on."""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from infra.local.mongod import find_mongod

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


def touch_memory() -> float:
    """Write to each page of most of the free memory once; return how many GiB that were.

    A virtual machine is given its memory at the first touch, which takes as long as copying tens of kilobytes. Whoever
    comes first pays for it: an insert of 300 MB took 0.4 or 0.9 s. A process of its own does it, and is gone then.
    """
    size_bytes = int(psutil.virtual_memory().available * TOUCHED_SHARE)
    subprocess.run([sys.executable, "-c", TOUCH, str(size_bytes)], check=True)
    return size_bytes / 2**30


# The rest is left to what runs beside: nothing is to be swapped out for a benchmark.
TOUCHED_SHARE = 0.7
TOUCH = """
import mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]))
block = bytes(1 << 20)
for _ in range(len(memory) >> 20):
    memory.write(block)
"""


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
