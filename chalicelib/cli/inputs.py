"""What `-i` names: a file, a folder, a zip archive, or an object; and what of it is a slide."""

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from chalicelib.cli.failures import SlideFailure, UsageError, plain
from chalicelib.core.errors import NotTiledError, SlidehookError
from chalicelib.core.tiff import read_ifds

SLIDE_SUFFIXES = frozenset({".svs", ".tif", ".tiff", ".ptif"})
# Most slides are compressed already; what a zip shrinks further than this is no slide.
MAX_ZIP_RATIO = 100
CONVERT_SECONDS = 4 * 3600
SYMLINK_MODE = 0o120000
FILE_TYPE_MASK = 0o170000


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What was found. `label` names the session of a folder or archive; None for a single file."""

    members: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    label: str | None = None
    folder: Path | None = None
    archive: Path | None = None


def find_inputs(given: str, *, convertible: bool) -> Inputs:
    """Return the slides that a local input holds. `convertible` takes other image files too (for --bindir).

    Raises UsageError for an input that does not exist or holds no slide.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        names = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
        found = _sorted_out(names, convertible=convertible)
        inputs = Inputs(members=found[0], skipped=found[1], label=path.resolve().name, folder=path)
    elif path.suffix.lower() == ".zip" and path.is_file():
        found = _sorted_out(sorted(_zip_names(path)), convertible=convertible)
        inputs = Inputs(members=found[0], skipped=found[1], label=path.stem, archive=path)
    elif path.is_file():
        return Inputs(members=(path.name,), folder=path.parent)
    else:
        raise UsageError(f"there is no file or folder {given}")
    if not inputs.members:
        raise UsageError(f"{given} holds no slide (of the kinds {', '.join(sorted(SLIDE_SUFFIXES))})")
    return inputs


def _sorted_out(names: list[str], *, convertible: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    visible = [
        name for name in names if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    ]
    slides = [name for name in visible if convertible or PurePosixPath(name).suffix.lower() in SLIDE_SUFFIXES]
    return tuple(slides), tuple(name for name in visible if name not in slides)


def _zip_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [member.filename for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise UsageError(f"{path} is no zip archive that can be read: {plain(error)}") from error


@contextmanager
def opened(inputs: Inputs, member: str) -> Iterator[Path]:
    """Give a member as a local file, unpacked to a temporary folder if it is in an archive."""
    if inputs.archive is None:
        assert inputs.folder is not None
        yield inputs.folder / member
        return
    with tempfile.TemporaryDirectory(prefix="slidehook-") as folder:
        yield _unpacked(inputs.archive, member, Path(folder))


def _unpacked(archive_path: Path, member: str, folder: Path) -> Path:
    """Unpack one member under its bare file name: whatever path it claims, it stays in `folder`."""
    try:
        with zipfile.ZipFile(archive_path) as archive:
            info = archive.getinfo(member)
            _check_member(info, folder)
            target = folder / (PurePosixPath(member.replace("\\", "/")).name or "slide")
            with archive.open(info) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)
            return target
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise SlideFailure(f"{member} cannot be unpacked: {plain(error)}", code="bad_archive") from error


def _check_member(info: zipfile.ZipInfo, folder: Path) -> None:
    if info.flag_bits & 1:
        raise SlideFailure(f"{info.filename} is encrypted", code="bad_archive", hint="Unpack it first.")
    if (info.external_attr >> 16) & FILE_TYPE_MASK == SYMLINK_MODE:
        raise SlideFailure(f"{info.filename} is a link, not a file", code="bad_archive")
    if info.file_size > MAX_ZIP_RATIO * max(1, info.compress_size):
        raise SlideFailure(f"{info.filename} would grow {MAX_ZIP_RATIO} times and more", code="bad_archive")
    if info.file_size > shutil.disk_usage(folder).free:
        raise SlideFailure(f"there is no room to unpack {info.filename} ({info.file_size} bytes)", code="no_room")


@contextmanager
def as_tiled_tiff(path: Path, bindir: Path | None) -> Iterator[Path]:
    """Give the file itself if it is a tiled TIFF, else what the converter in `bindir` makes of it.

    Raises SlideFailure if it is none and cannot be made one.
    """
    reason = why_not_tiled(path)
    if reason is None:
        yield path
        return
    if bindir is None:
        raise SlideFailure(
            f"{path.name}: {reason}",
            code="not_a_tiled_tiff",
            hint="Give --bindir, the folder of vips or bfconvert, to have it converted first.",
        )
    with tempfile.TemporaryDirectory(prefix="slidehook-") as folder:
        target = Path(folder) / f"{path.stem}.ptif"
        _convert(path, target, bindir)
        yield target


def why_not_tiled(path: Path) -> str | None:
    """Return why a file is no tiled TIFF, None if it is one."""
    try:
        with path.open("rb") as file:
            ifds = read_ifds(file, size_bytes=path.stat().st_size)
        largest = max(ifds, key=lambda ifd: ifd.width_px * ifd.height_px)
        if not largest.is_tiled:
            raise NotTiledError("it is stored in strips, not tiles")
    except SlidehookError as error:
        return str(error)
    except OSError as error:
        raise SlideFailure(f"{path} cannot be read: {plain(error.strerror)}", code="unreadable") from error
    return None


def _convert(path: Path, target: Path, bindir: Path) -> None:
    command = _converter(path, target, bindir)
    try:
        done = subprocess.run(command, capture_output=True, timeout=CONVERT_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlideFailure(f"{path.name}: {command[0]} did not run: {plain(error)}", code="not_converted") from error
    if done.returncode != 0 or not target.is_file():
        last = " ".join(done.stderr.decode(errors="replace").strip().splitlines()[-3:])
        raise SlideFailure(
            f"{path.name}: {Path(command[0]).name} failed with exit code {done.returncode}: {plain(last)}",
            code="not_converted",
            hint="Look at what the converter says, or convert the file by hand.",
        )


def _converter(path: Path, target: Path, bindir: Path) -> list[str]:
    vips, bfconvert = bindir / "vips", bindir / "bfconvert"
    if vips.is_file():
        tiling = ["--tile", "--pyramid", "--tile-width", "256", "--tile-height", "256", "--bigtiff"]
        return [str(vips), "tiffsave", str(path), str(target), *tiling, "--compression", "jpeg", "--Q", "90"]
    if bfconvert.is_file():
        tiling = ["-tilex", "256", "-tiley", "256", "-pyramid-resolutions", "4", "-pyramid-scale", "2"]
        return [str(bfconvert), "-bigtiff", "-compression", "JPEG", *tiling, str(path), str(target)]
    raise UsageError(f"there is neither vips nor bfconvert in {bindir}")
