"""The command line's options."""

import argparse
import math
import re
from collections.abc import Sequence

from chalicelib.core.plan.pyramid import check_tile_size
from chalicelib.core.web.callback_url import parse_callback_url

EXAMPLES = """\
examples:
  ptif_upload.py -i slide.svs -c COLLECTION -s SESSION --wait
  ptif_upload.py -i s3://bucket/slides/a.svs -c COLLECTION -s SESSION
  ptif_upload.py -i folder/ -c COLLECTION          (the session is named like the folder)
  ptif_upload.py -n -i slide.svs -c COLLECTION -s SESSION

exit codes:
  0    everything was accepted (with --wait: is done; with --dry-run: would be accepted)
  1    at least one slide was refused, failed, or (with --wait --timeout) is not done yet; the others went on
  2    wrong usage: an option, an id, an input that does not exist, a question answered with no
  3    the service or S3 does not answer, or does not know the token
  130  interrupted; the same command again goes on where it was

COLLECTION and SESSION are ObjectIds. The service is found by --api, SLIDEHOOK_API, or .local/stack.json of a running
`make run`; the token by --token, SLIDEHOOK_TOKEN, or the same file.
"""


def parse(arguments: Sequence[str] | None, *, prog: str = "ptif_upload.py") -> argparse.Namespace:
    """Return the options; exits with code 2 and a sentence if they are wrong."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Bring whole-slide images into SlideAtlas.",
        epilog=EXAMPLES.replace("ptif_upload.py", prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-i", "--input", required=True, help="a slide, a folder or .zip of slides, or s3://bucket/key")
    add("-c", "--collection", required=True, type=_object_id, help="id of the collection; it must exist")
    add("-s", "--session", type=_object_id, help="id of a session of the collection; needed for a single slide")
    add(
        "--bindir",
        metavar="DIR",
        help="folder of vips or bfconvert, which convert what is no tiled TIFF before the upload",
    )
    add("-t", "--tilesize", type=_tile_size, help="edge of the published tiles in pixels; the file's own if left out")
    add(
        "-m", "--mongo-collection", type=_object_id, help="id of an image to replace, atomically; a new one if left out"
    )
    add("-b", "--base-only", action="store_true", help="publish the full resolution level only")
    add(
        "--on-bad-tile",
        choices=("blank", "skip", "fail"),
        default="blank",
        help="what stands for a tile that cannot be read: a white one (blank), nothing (skip), or the job fails (fail)",
    )
    add(
        "--associated",
        action="store_true",
        help="publish label, macro and thumbnail beside the slide; they can show a patient's name",
    )
    add("-n", "--dry-run", action="store_true", help="write nothing anywhere; show what would be done")
    add("--recreate-session", action="store_true", help="first take all slides out of the session (asks; see --yes)")
    add("--force", action="store_true", help="do it again, also when the slide is published already")
    add("-o", "--overwrite", action="store_true", help="replace a slide of the same file name from another source")
    add("-v", "--verbose", action="count", default=0, help="say more, each time it is given (-vv: requests)")
    add("--callback-url", type=_callback_url, metavar="URL", help="https URL that is told of each end of the jobs")
    add("--wait", action="store_true", help="follow the jobs to their end")
    add("--timeout", type=_seconds, default=None, metavar="SECONDS", help="with --wait: how long at most")
    add("--json", action="store_true", help="print one JSON document, and nothing else, to standard output")
    add("--yes", action="store_true", help="answer yes to every question")
    add("--api", metavar="URL", help="address of the service")
    add("--token", help="bearer token; better given as SLIDEHOOK_TOKEN, where other users cannot see it")
    options = parser.parse_args(arguments)
    if options.timeout is not None and not options.wait:
        parser.error("--timeout goes with --wait")
    return options


def _object_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{24}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no ObjectId: it has 24 hexadecimal digits")
    return text.lower()


def _callback_url(text: str) -> str:
    try:
        # Whether it may be on this machine is the service's to say.
        parse_callback_url(text, loopback=True)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"the URL {error}") from None
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds above 0")
    return seconds


def _tile_size(text: str) -> int:
    try:
        return check_tile_size(int(text))
    except ValueError as error:
        reason = str(error) if str(error).startswith("must") else "must be a whole number of pixels"
        raise argparse.ArgumentTypeError(f"{text!r} {reason}") from error
