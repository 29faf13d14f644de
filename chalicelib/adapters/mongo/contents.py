"""What a tile collection contains, answered from its indexes alone."""

import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import (
    OperationFailure,
)

from chalicelib.adapters.mongo.client import NAMESPACE_NOT_FOUND
from chalicelib.core.ids import ID_BYTES, SUM_MODULUS
from chalicelib.ports.archive import CollectionStats

BAD_HINT = 2

DIGEST_BATCH = 20_000

# A document that holds nothing but an ObjectId: its size, the field's type and name, the id, the end.
ID_DOCUMENT = struct.Struct(f"<4x5x{ID_BYTES}sx")


def stats_of(tiles: "Collection[dict[str, Any]]") -> CollectionStats:
    """Return what a collection holds. Both are answered from an index alone, side by side; the tiles themselves are
    not read."""
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(_tiles_by_depth, tiles)
        digest = _digest(tiles)
        return CollectionStats(tiles_by_depth=counted.result(), digest=digest)


def _tiles_by_depth(tiles: "Collection[dict[str, Any]]") -> dict[int, int]:
    names_only = {"$project": {"_id": 0, "name": 1}}
    by_length = {"$group": {"_id": {"$strLenBytes": "$name"}, "tiles": {"$sum": 1}}}
    try:
        found = list(tiles.aggregate([names_only, by_length], hint="name_1"))
    except OperationFailure as error:
        if error.code not in (BAD_HINT, NAMESPACE_NOT_FOUND):
            raise
        return {}  # the index is not there, and so neither is the collection
    return {each["_id"] - len(".jpg"): each["tiles"] for each in found}


def _digest(tiles: "Collection[dict[str, Any]]") -> int:
    """Return the sum of all ids. They come as the server sends them: a slide of 3 GB has a quarter of a million,
    and an object for each would take longer than the reading."""
    total = 0
    batches: Iterable[Any] = tiles.find_raw_batches({}, {"_id": 1}, batch_size=DIGEST_BATCH).hint("_id_")
    for batch in batches:
        total += sum([int.from_bytes(found, "big") for (found,) in ID_DOCUMENT.iter_unpack(batch)])
    return total % SUM_MODULUS
