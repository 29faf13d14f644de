"""The options of the `upload` command."""

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
  ptif_upload.py -i folder/ -c COLLECTION          (the session gets the name of the folder)
  ptif_upload.py -n -i slide.svs -c COLLECTION -s SESSION

exit codes:
  0    everything was accepted (with --wait: is done; with --dry-run: would be accepted)
  1    at least one slide was refused, failed, or (with --wait --timeout) is not done yet; the others were processed
  2    wrong usage: an option, an id, an input that does not exist, a confirmation that was declined
  3    the service or S3 does not respond, or the token is not accepted
  130  interrupted; run the same command again to continue

COLLECTION and SESSION are ObjectIds. The service is found by --api, SLIDEHOOK_API, or .local/stack.json of a running
`make run`; the token by --token, SLIDEHOOK_TOKEN, or the same file.
"""


def parse(arguments: Sequence[str] | None, *, prog: str = "ptif_upload.py") -> argparse.Namespace:
    """Return the options. Exits with code 2 and a message if they are invalid."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Upload whole-slide images and publish them in SlideAtlas.",
        epilog=EXAMPLES.replace("ptif_upload.py", prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-i", "--input", required=True, help="a slide, a folder or .zip of slides, or s3://bucket/key")
    add("-c", "--collection", required=True, type=_object_id, help="id of the collection; it must exist")
    add("-s", "--session", type=_object_id, help="id of a session of the collection; required for a single slide")
    add(
        "--bindir",
        metavar="DIR",
        help="folder of vips or bfconvert, which convert other files to a tiled TIFF before the upload",
    )
    add("-t", "--tilesize", type=_tile_size, help="tile size in pixels; default: the tile size of the file")
    add("-m", "--mongo-collection", type=_object_id, help="id of an image to replace atomically; default: a new image")
    add("-b", "--base-only", action="store_true", help="publish the full resolution level only")
    add(
        "--on-bad-tile",
        choices=("blank", "skip", "fail"),
        default="blank",
        help="for a tile that cannot be read: a white tile (blank), no tile (skip), or failure (fail)",
    )
    add(
        "--associated",
        action="store_true",
        help="publish label, macro and thumbnail images; they can show a patient's name",
    )
    add("-n", "--dry-run", action="store_true", help="show what would be done, and change nothing")
    add(
        "--recreate-session",
        action="store_true",
        help="remove all slides from the session first (asks for confirmation; see --yes)",
    )
    add("--force", action="store_true", help="run the job again even if its slide is published")
    add("-o", "--overwrite", action="store_true", help="replace a slide of the same file name from another source")
    add("-v", "--verbose", action="count", default=0, help="print more (-vv: requests)")
    add("--callback-url", type=_callback_url, metavar="URL", help="https URL that receives a callback when a job ends")
    add("--wait", action="store_true", help="wait until the jobs end")
    add("--timeout", type=_seconds, default=None, metavar="SECONDS", help="with --wait: the longest time to wait")
    add("--json", action="store_true", help="print one JSON document to standard output")
    add("--yes", action="store_true", help="confirm without asking")
    add("--api", metavar="URL", help="URL of the service")
    add("--token", help="bearer token; SLIDEHOOK_TOKEN is safer, because other users cannot see it")
    options = parser.parse_args(arguments)
    if options.timeout is not None and not options.wait:
        parser.error("--timeout requires --wait")
    return options


def _object_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{24}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an ObjectId of 24 hexadecimal digits")
    return text.lower()


def _callback_url(text: str) -> str:
    try:
        # The service decides whether the URL may be on this machine.
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
        reason = str(error) if str(error).startswith("must") else "must be an integer of pixels"
        raise argparse.ArgumentTypeError(f"{text!r} {reason}") from error
