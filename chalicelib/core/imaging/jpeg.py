"""JPEG streams as TIFF stores them, made into complete files without touching the scan data.

Formats: ITU-T T.81 (markers), T.871 (JFIF), T.872 6.5.3 (Adobe APP14), TIFF Technical Note 2 (shared tables).

A stored tile says little about its colour space, so decoders guess. The IFD's photometric tag knows: RGB tiles get an
Adobe marker with transform 0 (without it every decoder treats them as YCbCr), YCbCr tiles a JFIF marker (always right
there, and old iPads need it). Markers of either kind that are in the stream already are taken out, since decoders let
JFIF win over Adobe, and the last one over the first. One of them says more than the tag: a JFIF marker at the very
start of a stored tile. Such a tile was written by a whole encoder, for which it is YCbCr, even if the directory
differs.
"""

from dataclasses import dataclass

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.tiff.directory import PHOTOMETRIC_RGB

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
SOS = 0xDA
FILL = 0xFF
# Baseline, extended and progressive, all with Huffman coding: what browsers and codecs decode.
FRAMES = frozenset({0xC0, 0xC1, 0xC2})
OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
# Quantization, Huffman and arithmetic coding tables, restart interval; applications' data and comments.
TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})
APPLICATIONS = frozenset({*range(0xE0, 0xF0), 0xFE})
# All that may stand before a scan.
KNOWN = FRAMES | TABLES | APPLICATIONS | {SOS}
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"
# Some writers fill tiles up to an even or whole length behind their end.
END_BYTES = 64
MAX_HEADER_BYTES = 128 * 1024
# A progressive picture has about ten, and at most some dozens.
MAX_SCANS = 64


@dataclass(frozen=True, slots=True)
class Frame:
    """What the frame header of a JPEG says: size in pixels, bits a sample, and (horizontal, vertical) sampling factors
    by component."""

    width_px: int
    height_px: int
    bits: int
    sampling: tuple[tuple[int, int], ...]


def tile_prefix(jpeg_tables: bytes, photometric: int) -> bytes:
    """Return the bytes that stand before every tile of a level: SOI, the colour marker, the shared tables.

    `jpeg_tables` is the IFD's JPEGTables value, empty if its tiles are complete. Raises CorruptTileError if it is no
    JPEG stream.
    """
    colour = ADOBE_RGB if photometric == PHOTOMETRIC_RGB else JFIF
    if not jpeg_tables:
        return SOI + colour
    if not (jpeg_tables.startswith(SOI) and len(jpeg_tables) >= 4):
        raise CorruptTileError("the shared JPEG tables of the level are damaged")
    tables = []
    position = 2
    while position < len(jpeg_tables) and jpeg_tables[position : position + 2] != EOI:
        marker, end = _segment(jpeg_tables, position)
        if marker == FILL:
            position += 1
            continue
        # An image among the tables would be decoded in the place of every tile.
        if marker not in TABLES | APPLICATIONS or end > len(jpeg_tables):
            raise CorruptTileError("the shared JPEG tables of the level are damaged")
        if marker in TABLES:
            tables.append(jpeg_tables[position:end])
        position = end
    return b"".join((SOI, colour, *tables))


def complete_tile(prefix: bytes, stored: bytes | memoryview) -> bytes:
    """Return a stored tile as a JPEG file of its own: `prefix` in place of its SOI. Scan data stay as they are.

    Raises CorruptTileError if the stored bytes are no whole JPEG stream.
    """
    return Splicer(prefix).complete(stored)


@dataclass(slots=True)
class Splicer:
    """Completes the tiles of one level. Their headers are nearly always the same to the byte, so what was found out
    about one is kept for the others: a tile then costs a comparison and one copy.

    `size` is (width, height) in pixels that every tile must have; None takes any.
    """

    prefix: bytes
    size: tuple[int, int] | None = None
    # One value, since threads share it: a header, and what stands in its place.
    _known: tuple[bytes, bytes] = (b"", b"")

    def complete(self, stored: bytes | memoryview) -> bytes:
        """Return a stored tile as a JPEG file. Raises CorruptTileError if it is no whole stream, or of another size."""
        header, replacement = self._known
        if not header or stored[: len(header)] != header:
            header, replacement = self._known = self._looked_at(stored)
        if stored[-2:] != EOI and EOI not in bytes(stored[-END_BYTES:]):
            raise CorruptTileError("its JPEG stream has no end: it was cut off")
        return b"".join((replacement, stored[len(header) :]))

    def _looked_at(self, stored: bytes | memoryview) -> tuple[bytes, bytes]:
        """Return the header of a stored tile (up to the start of its scan), and what stands in its place."""
        if stored[:2] != SOI:
            raise CorruptTileError("its bytes are no JPEG stream")
        head = bytes(stored[:MAX_HEADER_BYTES])
        segments = _segments(head)
        frame = _frame(head, segments)
        if self.size is not None and (frame.width_px, frame.height_px) != self.size:
            width, height = self.size
            raise CorruptTileError(
                f"it holds {frame.width_px} x {frame.height_px} px where {width} x {height} px are expected"
            )
        marker, scan, _ = segments[-1]
        if marker != SOS:
            raise CorruptTileError("its JPEG stream has no scan")
        strange = next((each for each, _, _ in segments if each not in KNOWN), None)
        if strange is not None:
            raise CorruptTileError(f"its JPEG header holds a segment of no known kind (0x{strange:02X})")
        # The prefix contains the color markers. All other application segments are text that may
        # name a patient, or a profile that is kept once, not with each tile.
        kept = [head[start:end] for marker, start, end in segments[:-1] if marker not in APPLICATIONS]
        prefix = self.prefix
        if head[6:10] == b"JFIF" and ADOBE_RGB in prefix:
            prefix = prefix.replace(ADOBE_RGB, JFIF, 1)
        return head[:scan], b"".join((prefix, *kept))


def check_scans(jpeg: bytes) -> None:
    """Raise CorruptTileError for more scans than anybody writes: a decoder goes over all pixels for each, and a few
    bytes make one. Within a scan the marker cannot stand (ITU-T T.81, B.1.1.5)."""
    scans = jpeg.count(bytes((FILL, SOS)))
    if scans > MAX_SCANS:
        raise CorruptTileError(f"its JPEG stream has {scans} scans")


def colour_prefix(jpeg: bytes) -> bytes:
    """Return the first bytes of a tile that `complete_tile` returned: SOI and the marker of its color space."""
    return SOI + (ADOBE_RGB if jpeg[2:].startswith(ADOBE_RGB) else JFIF)


def frame_of(jpeg: bytes) -> Frame:
    """Return the frame header of a JPEG. Raises CorruptTileError if there is none that can be decoded."""
    if jpeg[:2] != SOI:
        raise CorruptTileError("its bytes are no JPEG stream")
    head = jpeg[:MAX_HEADER_BYTES]
    return _frame(head, _segments(head))


def _segment(data: bytes, position: int) -> tuple[int, int]:
    """Return the marker at a position, 0 if there is none, and where its segment ends."""
    marker = data[position + 1] if data[position] == FILL and position + 1 < len(data) else 0
    return marker, position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def _segments(head: bytes) -> list[tuple[int, int, int]]:
    """Return (marker, start, end) of the segments after SOI up to the start of scan, as far as they can be followed."""
    found = []
    position = 2
    while position + 4 <= len(head) and head[position] == FILL:
        marker = head[position + 1]
        if marker == FILL:
            position += 1
            continue
        end = _segment(head, position)[1]
        found.append((marker, position, end))
        if marker == SOS or end == position + 2:
            break
        position = end
    return found


def _frame(head: bytes, segments: list[tuple[int, int, int]]) -> Frame:
    marker, start, end = next((each for each in segments if each[0] in FRAMES | OTHER_FRAMES), (0, 0, 0))
    body = head[start + 4 : end]
    if not marker or len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise CorruptTileError("its JPEG stream has no frame header")
    if marker in OTHER_FRAMES or body[0] != 8:
        raise CorruptTileError(f"its JPEG stream is of a kind that is not published (SOF{marker & 15}, {body[0]} bits)")
    sampling = tuple((body[at] >> 4, body[at] & 15) for at in range(7, 6 + 3 * body[5], 3))
    if len(sampling) not in (1, 3) or not all(1 <= factor <= 4 for pair in sampling for factor in pair):
        raise CorruptTileError(f"its JPEG frame has {len(sampling)} components, sampled {sampling}")
    return Frame(int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"), body[0], sampling)
