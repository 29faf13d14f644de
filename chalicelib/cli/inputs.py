"""The slides of an input: a file, a folder or a zip archive."""

import lzma
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from chalicelib.cli.failures import SlideFailure, UsageError, plain
from chalicelib.core.errors import NotTiffError, SlidehookError, TruncatedError, UnsupportedError
from chalicelib.core.jobs.source import DIRECT_PREFIX, SLIDE_SUFFIXES
from chalicelib.core.plan.slide_images import base_image
from chalicelib.core.tiff.directory import Ifd, read_ifds
from chalicelib.core.tiff.range_file import BlockStream

# Other formats that vips or bfconvert may convert.
CONVERTIBLE_SUFFIXES = frozenset({
    ".bif", ".bmp", ".btf", ".czi", ".dcm", ".jp2", ".jpeg", ".jpg", ".jxl", ".lif", ".mrxs", ".nd2", ".ndpi", ".png",
    ".qptiff", ".scn", ".svslide", ".vms", ".vmu", ".vsi", ".webp", ".zvi",
})  # fmt: skip
# Most slides are already compressed: a member with a higher compression ratio is not a slide.
MAX_ZIP_RATIO = 100
HARMLESS_BYTES = 64 * 1024 * 1024
MAX_ZIP_MEMBERS = 10_000
SYMLINK_MODE = 0o120000
FILE_TYPE_MASK = 0o170000
MAX_KEY_BYTES = 1024
UNREADABLE_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The slides of an input. `label` is the session's label for a folder or archive, None for a single file."""

    members: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    label: str | None = None
    folder: Path | None = None
    archive: Path | None = None


def find_inputs(given: str, *, convertible: bool) -> Inputs:
    """Return the slides of a local input. `convertible` includes other image files (for --bindir).

    Raises UsageError for an input that does not exist or contains no slide.
    """
    path = Path(given).expanduser()
    if not given or not path.exists():
        raise UsageError(f"the file or folder {given!r} does not exist")
    if path.is_dir():
        names = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
        slides, others = _split_names(names, convertible=convertible)
        inputs = Inputs(members=slides, skipped=others, label=path.resolve().name, folder=path)
    elif path.suffix.lower() == ".zip":
        slides, others = _split_names(_zip_names(path), convertible=convertible)
        inputs = Inputs(members=slides, skipped=others, label=path.stem, archive=path)
    elif path.is_file():
        return Inputs(members=(path.name,), folder=path.parent)
    else:
        raise UsageError(f"{given} is neither a file nor a folder")
    if not inputs.members:
        raise UsageError(f"{given} contains no slide (supported: {', '.join(SLIDE_SUFFIXES)})")
    return inputs


def _split_names(names: list[str], *, convertible: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (slides, other files) without hidden files."""
    suffixes = {*SLIDE_SUFFIXES, *(CONVERTIBLE_SUFFIXES if convertible else ())}
    visible = [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in folders_of(name))]
    slides = tuple(name for name in visible if PurePosixPath(name).suffix.lower() in suffixes)
    return slides, tuple(name for name in visible if PurePosixPath(name).suffix.lower() not in suffixes)


def _zip_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted({member.filename for member in archive.infolist() if not member.is_dir()})
    except UNREADABLE_ZIP as error:
        raise UsageError(f"{path} is not a readable zip archive: {plain(error)}") from error
    if len(names) > MAX_ZIP_MEMBERS:
        raise UsageError(f"{path} holds {len(names)} files; the limit is {MAX_ZIP_MEMBERS}. Extract it first.")
    return names


def folders_of(member: str) -> list[str]:
    """Return the folders and the file name of a member, without `..` and absolute parts."""
    parts = PurePosixPath(member.replace("\\", "/")).parts
    return [part for part in parts if part.strip("/") not in ("", ".", "..")]


def key_of(member: str, file_name: str, collection: str, session: str) -> str:
    """Return the key of a member in the incoming bucket. The key contains the folders, so two slides of one name in two
    folders are two objects. Raises SlideFailure for a name that S3 does not allow."""
    key = f"{DIRECT_PREFIX}{collection}/{session}/{'/'.join([*folders_of(member)[:-1], file_name])}"
    try:
        too_long = len(key.encode()) > MAX_KEY_BYTES
    except UnicodeEncodeError as error:
        raise SlideFailure(
            f"{member} has a name that is not UTF-8", code="bad_name", hint="Rename the file."
        ) from error
    if too_long:
        raise SlideFailure(f"{member} has a name that is too long", code="bad_name", hint="Rename the file.")
    return key


# -- a member, as a file or a stream ----------------------------------------------------------------------------------


@contextmanager
def opened(inputs: Inputs, member: str) -> Iterator[Path]:
    """Yield the path of a member, extracted to a temporary folder if it is in an archive."""
    if inputs.archive is None:
        assert inputs.folder is not None
        yield inputs.folder / member
        return
    with tempfile.TemporaryDirectory(prefix="slidehook-") as folder:
        # Only the file name is used, so that a path in the archive cannot leave the folder.
        target = Path(folder) / folders_of(member)[-1]
        with _member(inputs.archive, member, target_folder=Path(folder)) as (packed, _), target.open("wb") as file:
            shutil.copyfileobj(packed, file)
        yield target


@contextmanager
def peeked(inputs: Inputs, member: str) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a member as (seekable stream, size in bytes) without extracting it."""
    if inputs.archive is None:
        assert inputs.folder is not None
        path = inputs.folder / member
        with path.open("rb") as file:
            yield file, path.stat().st_size
        return
    with _member(inputs.archive, member) as (packed, size_bytes):

        def fetch(start: int, stop: int) -> bytes:
            packed.seek(start)
            return packed.read(stop - start)

        # Seeking backward in a compressed member decompresses it again, so blocks are cached.
        yield cast(BinaryIO, BlockStream(fetch, size_bytes)), size_bytes


@contextmanager
def _member(archive_path: Path, member: str, *, target_folder: Path | None = None) -> Iterator[tuple[BinaryIO, int]]:
    try:
        with zipfile.ZipFile(archive_path) as archive:
            info = archive.getinfo(member)
            _check_member(info, target_folder)
            with archive.open(info) as packed:
                yield cast(BinaryIO, packed), info.file_size
    except UNREADABLE_ZIP as error:
        raise SlideFailure(
            f"{member} cannot be extracted: {plain(error)}", code="bad_archive", hint="Test the archive, or extract it."
        ) from error


def _check_member(info: zipfile.ZipInfo, target_folder: Path | None) -> None:
    if info.flag_bits & 1:
        raise SlideFailure(f"{info.filename} is encrypted", code="bad_archive", hint="Extract the archive first.")
    if (info.external_attr >> 16) & FILE_TYPE_MASK == SYMLINK_MODE:
        raise SlideFailure(
            f"{info.filename} is a link, not a file", code="bad_archive", hint="Add the file itself to the archive."
        )
    if info.file_size > HARMLESS_BYTES and info.file_size > MAX_ZIP_RATIO * max(1, info.compress_size):
        raise SlideFailure(
            f"{info.filename} would expand more than {MAX_ZIP_RATIO} times",
            code="bad_archive",
            hint="Slides do not compress that well. Extract the archive yourself if you trust it.",
        )
    if target_folder is not None and info.file_size > shutil.disk_usage(target_folder).free:
        raise SlideFailure(
            f"not enough disk space to extract {info.filename} ({info.file_size} bytes)",
            code="disk_full",
            hint="Free disk space in the temporary folder, or set TMPDIR to a larger one.",
        )


def conversion_reason(file: BinaryIO, size_bytes: int) -> str | None:
    """Return the reason to convert a file, None for a tiled TIFF. Raises SlideFailure for a damaged file."""
    try:
        ifds = read_ifds(file, size_bytes=size_bytes)
        slide = _slide(ifds)
        end = max(map(sum, zip(slide.offsets, slide.byte_counts, strict=False)), default=0)
        if end > size_bytes:
            raise TruncatedError(f"the pixels end at byte {end}, but the file ends at byte {size_bytes}")
    except NotTiffError as error:
        return str(error)
    except SlidehookError as error:
        raise SlideFailure(str(error), code=error.code, hint=error.advice) from error
    return None if slide.is_tiled else "the image is stored in strips, not in tiles"


def _slide(ifds: Sequence[Ifd]) -> Ifd:
    """Return the image of full resolution, or the largest image if the slide of the file is uncertain."""
    try:
        return base_image(ifds)
    except UnsupportedError:
        return max(ifds, key=lambda ifd: ifd.width_px * ifd.height_px)
