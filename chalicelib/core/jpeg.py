"""JPEG streams as TIFF stores them, made into complete files without touching the scan data.

Formats: ITU-T T.81 (markers), T.871 (JFIF), T.872 6.5.3 (Adobe APP14), TIFF Technical Note 2 (shared tables).

A stored tile says little about its colour space, so decoders guess. The IFD's photometric tag knows: RGB tiles get an
Adobe marker with transform 0 (without it every decoder treats them as YCbCr), YCbCr tiles a JFIF marker (always right
there, and old iPads need it). Markers of either kind that are in the stream already are taken out, since decoders let
JFIF win over Adobe, and the last one over the first.
"""

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.tiff import PHOTOMETRIC_RGB

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
APP0, APP14, SOS = 0xE0, 0xEE, 0xDA
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"


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
    tables = jpeg_tables[2:]
    if tables.endswith(EOI):
        tables = tables[:-2]
    return SOI + colour + _without_colour_markers(tables)


def complete_tile(prefix: bytes, stored: bytes | memoryview) -> bytes:
    """Return a stored tile as a JPEG file of its own: `prefix` in place of its SOI. Scan data stay as they are.

    Raises CorruptTileError if the stored bytes are no JPEG stream.
    """
    body = bytes(stored[2:])
    if stored[:2] != SOI or len(body) < 4:
        raise CorruptTileError("its bytes are no JPEG stream")
    # Scan data cannot hold these pairs (a 0xFF there is followed by 0x00 or a restart marker), so a tile without them
    # has no colour marker. A false alarm from inside a table only takes the slower way.
    if b"\xff\xee" in body or b"\xff\xe0" in body:
        body = _without_colour_markers(body)
    return prefix + body


def _without_colour_markers(segments: bytes) -> bytes:
    kept = []
    position = 0
    while position + 4 <= len(segments) and segments[position] == 0xFF:
        marker = segments[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == SOS:
            break
        end = position + 2 + int.from_bytes(segments[position + 2 : position + 4], "big")
        if marker not in (APP0, APP14):
            kept.append(segments[position:end])
        position = end
    kept.append(segments[position:])
    return b"".join(kept)
