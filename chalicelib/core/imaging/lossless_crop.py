"""JPEG tiles cut into smaller ones without decoding them: their coefficients are moved, not computed.

All pieces of a tile are cut in one pass of libturbojpeg's transform. Inside, a piece is exact; along a cut, the colour
of one row or column of pixels may differ from the uncut tile's where colour is stored coarser than brightness, since
decoders interpolate colour across the edge.

Interface: TurboJPEG C API 1.2 and later (tjTransform). The library comes with the wheel `turbojpeg`, or is the
system's own.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chalicelib.core.errors import CorruptTileError
from chalicelib.core.imaging.jpeg import check_scans

TRANSFORM_NONE = 0
PERFECT, CROP, COPY_NONE = 1, 4, 64

Region = tuple[int, int, int, int]


class _Transform(ctypes.Structure):
    _fields_ = (
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("operation", ctypes.c_int),
        ("options", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("filter", ctypes.c_void_p),
    )


def is_available() -> bool:
    """Tell whether tiles can be cut here."""
    return _library() is not None


def cut(jpeg: bytes, regions: Sequence[Region]) -> list[bytes]:
    """Return the pieces of a JPEG, one for each (x, y, width, height) in pixels, which lie between coded blocks.

    Raises CorruptTileError if the JPEG cannot be read or cut so.
    """
    library = _library()
    assert library is not None
    check_scans(jpeg)
    count = len(regions)
    transforms = (_Transform * count)(
        *(_Transform(*region, TRANSFORM_NONE, PERFECT | CROP | COPY_NONE, None, None) for region in regions)
    )
    buffers = (ctypes.c_void_p * count)()
    sizes = (ctypes.c_ulong * count)()
    # A handle is not to be shared between threads, and making one costs microseconds.
    handle = library.tjInitTransform()
    try:
        failed = library.tjTransform(handle, jpeg, len(jpeg), count, buffers, sizes, transforms, 0)
        if failed:
            raise CorruptTileError(f"it cannot be cut: {library.tjGetErrorStr2(handle).decode(errors='replace')}")
        return [ctypes.string_at(buffers[index], sizes[index]) for index in range(count)]  # type: ignore[arg-type]
    finally:
        for buffer in buffers:
            if buffer:
                library.tjFree(buffer)
        library.tjDestroy(handle)


@cache
def _library() -> Any:
    for path in candidates():
        try:
            library = ctypes.CDLL(path)
            library.tjInitTransform.restype = ctypes.c_void_p
            library.tjTransform.argtypes = (
                ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p,
                ctypes.c_void_p, ctypes.c_int,
            )  # fmt: skip
            library.tjGetErrorStr2.argtypes, library.tjGetErrorStr2.restype = (ctypes.c_void_p,), ctypes.c_char_p
            library.tjFree.argtypes, library.tjFree.restype = (ctypes.c_void_p,), None
            library.tjDestroy.argtypes = (ctypes.c_void_p,)
        except (OSError, AttributeError):
            continue
        return library
    return None


# As Debian and others name it; looking further would ask compilers and write temporary files.
SYSTEM_NAMES = ("libturbojpeg.so.0", "libturbojpeg.so", "libturbojpeg.dylib")


def candidates() -> list[str]:
    """Return where the library may be, the best place first."""
    wheel = find_spec("turbojpeg")
    folder = Path(wheel.origin).parent / "turbojpeg.libs" if wheel is not None and wheel.origin else None
    bundled = sorted(str(path) for path in folder.glob("libturbojpeg*")) if folder is not None else []
    return [*bundled, *SYSTEM_NAMES]
