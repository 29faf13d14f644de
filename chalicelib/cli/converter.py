"""External converters to tiled TIFF: vips, or bfconvert of Bio-Formats."""

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
    """A converter and the tile size of its output."""

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
        """Convert a file to a tiled TIFF in `folder` and return its path.

        Raises SlideFailure with the converter's output.
        """
        target = folder / f"{path.stem}.ptif"
        # bfconvert chooses the format by the suffix, and keeps a pyramid in OME-TIFF only.
        written = folder / "converted.ome.tiff"
        with tempfile.TemporaryFile() as output:
            ended = _run(self._command(path.resolve(), written), output.fileno(), within_seconds, path.name)
            size_bytes = output.seek(0, os.SEEK_END)
            output.seek(max(0, size_bytes - LAST_BYTES))
            last = output.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        if ended != 0 or not written.is_file():
            how = f"exit code {ended}" if ended else "no output file"
            raise SlideFailure(
                f"{path.name}: {self.program.name} ended with {how}: {plain(' | '.join(last)) or 'no output'}",
                code="not_converted",
                hint="Fix what the converter reports, or convert the file manually.",
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
                raise UsageError(f"--bindir: {program} is not executable")
            return Converter(program=program, tile_size_px=tile_size_px or DEFAULT_TILE_SIZE_PX)
    raise UsageError(f"--bindir: {folder} contains neither vips nor bfconvert")


def _run(command: list[str], stderr: int, within_seconds: float, name: str) -> int:
    try:
        running = subprocess.Popen(  # noqa: S603 - the user names the program
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
        )
    except OSError as error:
        raise SlideFailure(
            f"{name}: {command[0]} did not start: {error.strerror}",
            code="not_converted",
            hint="Check that the program runs on its own.",
        ) from error
    try:
        return running.wait(within_seconds)
    except subprocess.TimeoutExpired as error:
        raise SlideFailure(
            f"{name}: {command[0]} did not end within {within_seconds:g} s",
            code="not_converted",
            hint="Convert the file manually.",
        ) from error
    finally:
        # bfconvert is a script that starts another program: both are ended, also on Ctrl-C.
        with contextlib.suppress(ProcessLookupError):
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
        running.wait()
