"""Other programs that make a tiled TIFF of what is none: vips, or Bio-Formats' bfconvert."""

import contextlib
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chalicelib.cli.failures import SlideFailure, UsageError, plain
from chalicelib.core.errors import NotTiffError, SlidehookError
from chalicelib.core.plan.slide_images import base_image
from chalicelib.core.tiff.directory import read_ifds

DEFAULT_TILE_SIZE_PX = 256
CONVERT_SECONDS = 4 * 3600.0
LAST_LINES, LAST_BYTES = 5, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """A program that was found, and the edge of the tiles that it is asked to cut."""

    program: Path
    tile_size_px: int

    def check_first_image(self, file: BinaryIO, size_bytes: int) -> None:
        """Raise SlideFailure if the program would convert another image of a TIFF than the slide. vips converts the
        first one, which some scanners use for the label or a photograph of the glass."""
        if self.program.name != "vips":
            return
        try:
            ifds = read_ifds(file, size_bytes=size_bytes)
            base = base_image(ifds)
        except NotTiffError:
            return
        except SlidehookError as error:
            raise SlideFailure(str(error), code=error.code, hint=error.advice) from error
        if base is not ifds[0]:
            raise SlideFailure(
                f"vips converts the first image of a TIFF, and the slide is image {base.index}",
                code="not_converted",
                hint="Put bfconvert into the folder of --bindir instead, or export the slide to a file of its own.",
            )

    def convert(self, path: Path, folder: Path, *, within_seconds: float = CONVERT_SECONDS) -> Path:
        """Return the tiled TIFF in `folder` that was made of a file. Raises SlideFailure with the program's words."""
        target = folder / f"{path.stem}.ptif"
        # bfconvert chooses the format by the suffix, and keeps a pyramid in OME-TIFF only.
        written = folder / "converted.ome.tiff"
        with tempfile.TemporaryFile() as said:
            ended = _run(self._command(path.resolve(), written), said.fileno(), within_seconds, path.name)
            size_bytes = said.seek(0, os.SEEK_END)
            said.seek(max(0, size_bytes - LAST_BYTES))
            last = said.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        if ended != 0 or not written.is_file():
            how = f"exit code {ended}" if ended else "no output file"
            raise SlideFailure(
                f"{path.name}: {self.program.name} ended with {how}: {plain(' | '.join(last)) or 'it said nothing'}",
                code="not_converted",
                hint="Mend what the converter says, or convert the file by hand.",
            )
        return written.rename(target)

    def _command(self, path: Path, target: Path) -> list[str]:
        edge = str(self.tile_size_px)
        if self.program.name == "vips":
            return [
                str(self.program), "tiffsave", str(path), str(target), "--tile", "--pyramid", "--compression", "jpeg",
                "--Q", "90", "--tile-width", edge, "--tile-height", edge, "--bigtiff",
            ]  # fmt: skip
        return [
            str(self.program), "-overwrite", "-bigtiff", "-compression", "JPEG", "-tilex", edge, "-tiley", edge,
            "-pyramid-resolutions", "4", "-pyramid-scale", "2", str(path), str(target),
        ]  # fmt: skip


def find_converter(folder: str, tile_size_px: int | None) -> Converter:
    """Return the converter in a folder. Raises UsageError if there is none."""
    for name in ("vips", "bfconvert"):
        program = Path(folder).expanduser().resolve() / name
        if program.is_file():
            if not os.access(program, os.X_OK):
                raise UsageError(f"--bindir: {program} may not be run; make it executable")
            return Converter(program=program, tile_size_px=tile_size_px or DEFAULT_TILE_SIZE_PX)
    raise UsageError(f"--bindir: there is neither vips nor bfconvert in {folder}")


def _run(command: list[str], stderr: int, within_seconds: float, name: str) -> int:
    try:
        running = subprocess.Popen(  # noqa: S603 - the user names the program
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
        )
    except OSError as error:
        raise SlideFailure(
            f"{name}: {command[0]} did not start: {error.strerror}",
            code="not_converted",
            hint="See whether it runs by itself.",
        ) from error
    try:
        return running.wait(within_seconds)
    except subprocess.TimeoutExpired as error:
        raise SlideFailure(
            f"{name}: {command[0]} did not end within {within_seconds:g} s",
            code="not_converted",
            hint="Convert the file by hand.",
        ) from error
    finally:
        # bfconvert is a script that starts another program: both have to go, also on Ctrl-C.
        with contextlib.suppress(ProcessLookupError):
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
        running.wait()
