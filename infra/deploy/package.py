"""Build what is deployed: the code, its libraries as a layer, and one CloudFormation template.

    python -m infra.deploy.package [--out build/package] [--stage dev]

Chalice does the packing and merges resources.yaml into its template. Added here: it needs no AWS
account and no settings, the template holds no YAML aliases (CloudFormation knows none), and what
Lambda would refuse or could not run is refused now. Chalice compiles a library without a word if
it likes no wheel of it; such a wheel fits this machine, not Lambda.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.deploy import template as templates

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
UNPACKED_LIMIT_BYTES = 250 * 1024 * 1024
DIRECT_UPLOAD_LIMIT_BYTES = 50 * 1024 * 1024
_FOREIGN_TAG = "linux_x86_64"
# infra/web.sh brings it; it is no part of the repository. Without it the pages would be deployed with no viewer.
VIEWER = "chalicelib/entrypoints/static/vendor/openseadragon.min.js"
_NOT_NEEDED_YET = "known-when-deployed"


class PackageError(Exception):
    """The package cannot be deployed; the message says why."""


class _PlainDumper(yaml.SafeDumper):
    """Writes a value again wherever it occurs."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def package(out: Path, *, stage: str = "dev", project: Path = ROOT) -> Path:
    """Package `project` into the empty folder `out`; return the template. Raises PackageError."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("chalice")), "--project-dir", str(project), "package"]
    command += ["--stage", stage, "--merge-template", str(templates.RESOURCES_FILE), str(out)]
    result = subprocess.run(command, cwd=project, env=_environment(), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise PackageError(f"`chalice package` failed:\n{result.stdout}{result.stderr}")
    path = out / "sam.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.dump(document, Dumper=_PlainDumper, sort_keys=True), encoding="utf-8")
    for archive in archives(out):
        refuse_foreign_wheels(archive)
    refuse_without_viewer(archives(out))
    return path


def _environment() -> dict[str, str]:
    """Return an environment without AWS settings, in which app.py can be imported.

    Chalice imports it to learn the routes. The real settings are references in resources.yaml.
    """
    template = templates.load()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLIDEHOOK_"))}
    for name, value in template.environment.items():
        if isinstance(value, str):  # what it is everywhere
            kept[name] = value
        else:
            kept[name] = template.parameter_defaults.get(value.get("Ref", ""), _NOT_NEEDED_YET)
    return kept | {"AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION") or REGION}


def archives(out: Path) -> list[Path]:
    """Return the archives of a package: the code, and the layer if the project has libraries."""
    return sorted(out.glob("*.zip"))


def refuse_foreign_wheels(archive: Path) -> None:
    """Raise PackageError if a library in `archive` was built on this machine."""
    with zipfile.ZipFile(archive) as packed:
        foreign = [name for name, text in _wheel_notes(packed) if _FOREIGN_TAG in _tags(text)]
    if foreign:
        raise PackageError(
            f"{archive.name} holds libraries that were compiled on this machine and may not run on Lambda: "
            f"{', '.join(foreign)}. Lock a version that has a wheel for manylinux_2_17 or older in requirements.in."
        )


def refuse_without_viewer(packed: list[Path]) -> None:
    """Raise PackageError if no archive holds the viewer's library."""
    for archive in packed:
        with zipfile.ZipFile(archive) as opened:
            if VIEWER in opened.namelist():
                return
    raise PackageError(f"{VIEWER} is missing. `make setup` brings it.")


def _wheel_notes(packed: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    for name in packed.namelist():
        if name.endswith(".dist-info/WHEEL"):
            yield name.split("/")[-2].removesuffix(".dist-info"), packed.read(name).decode("utf-8")


def _tags(wheel_note: str) -> set[str]:
    """Return the platforms for which a wheel says it was built."""
    lines = [line.removeprefix("Tag:").strip() for line in wheel_note.splitlines() if line.startswith("Tag:")]
    return {platform for line in lines for platform in line.split("-")[-1].split(".")}


def sizes(out: Path) -> Iterator[str]:
    """Yield what a person should know about the sizes, the total last. Raises PackageError over the limit."""
    unpacked_bytes = 0
    for archive in archives(out):
        with zipfile.ZipFile(archive) as packed:
            archive_bytes = sum(entry.file_size for entry in packed.infolist())
        packed_bytes = archive.stat().st_size
        unpacked_bytes += archive_bytes
        yield f"{archive.name}: {packed_bytes / 1e6:.1f} MB, unpacked {archive_bytes / 1e6:.1f} MB"
        if packed_bytes > DIRECT_UPLOAD_LIMIT_BYTES:
            yield "  over 50 MB: it can be deployed through S3 only, which `aws cloudformation package` does"
    if unpacked_bytes > UNPACKED_LIMIT_BYTES:
        raise PackageError(f"unpacked it is {unpacked_bytes / 1e6:.1f} MB; Lambda takes 262.1 MB (250 MiB) at most")
    yield f"unpacked {unpacked_bytes / 1e6:.1f} MB of the 262.1 MB that Lambda takes"


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy.package")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "package")
    parser.add_argument("--stage", default="dev")
    options = parser.parse_args(arguments)
    print("Packaging; the first time this downloads the libraries for Lambda's platform")
    try:
        print(package(options.out, stage=options.stage))
        for line in sizes(options.out):
            print(line)
    except PackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
