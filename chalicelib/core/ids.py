"""Fingerprints. All that has to be the same on every run is derived from content here.

A tile's `_id` holds the digest of its name and bytes, so that the database itself says what it stores: a duplicate
`_id` proves that the very same tile is there already, and the sum of all ids of a collection is the digest of the
generation, read from the `_id` index alone.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

ID_BYTES = 12  # of a BSON ObjectId
SUM_MODULUS = 1 << (8 * ID_BYTES)


def canonical_json(value: Mapping[str, object]) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def content_id(kind: str, value: Mapping[str, object], *, hex_digits: int = 32) -> str:
    """Return a lower-case hexadecimal id derived from `value`; `kind` keeps ids of different things apart."""
    return hashlib.sha256(f"{kind}\n{canonical_json(value)}".encode()).hexdigest()[:hex_digits]


def object_id(kind: str, *parts: str) -> str:
    """Return the 24 hexadecimal digits of an ObjectId derived from `parts`."""
    return content_id(kind, {"parts": list(parts)}, hex_digits=2 * ID_BYTES)


def tile_id(name: str, jpeg: bytes) -> bytes:
    """Return the 12 bytes of a tile's `_id`: SHA-256 of its name, a zero byte and its JPEG, shortened."""
    digest = hashlib.sha256(name.encode() + b"\0")
    digest.update(jpeg)
    return digest.digest()[:ID_BYTES]


def digest_sum(ids: Iterable[bytes]) -> int:
    """Return the order-free digest of a set of tiles: the sum of their ids modulo 2**96."""
    return sum(int.from_bytes(tile, "big") for tile in ids) % SUM_MODULUS
