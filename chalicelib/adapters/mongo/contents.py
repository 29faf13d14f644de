"""The contents of a tile collection, read from its indexes only."""

import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from chalicelib.adapters.mongo.client import NAMESPACE_NOT_FOUND
from chalicelib.core.ids import ID_BYTES, SUM_MODULUS
from chalicelib.ports.archive import CollectionStats

BAD_HINT = 2

DIGEST_BATCH = 20_000

# A BSON document with an ObjectId as its only field: size, type and name of the field, id, end (bsonspec.org).
ID_DOCUMENT = struct.Struct(f"<4x5x{ID_BYTES}sx")


def stats_of(tiles: "Collection[dict[str, Any]]") -> CollectionStats:
    """Return the number of tiles by depth and the digest of a collection.

    Both are read from an index, concurrently. The tiles are not read.
    """
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
        return {}  # without the index, the collection was not created by `stage`
    return {each["_id"] - len(".jpg"): each["tiles"] for each in found}


def _digest(tiles: "Collection[dict[str, Any]]") -> int:
    """Return the sum of all ids modulo SUM_MODULUS.

    Raw batches are read, because decoding 250 000 documents (a slide of 3 GB) takes longer than reading them.
    """
    total = 0
    batches: Iterable[Any] = tiles.find_raw_batches({}, {"_id": 1}, batch_size=DIGEST_BATCH).hint("_id_")
    for batch in batches:
        total += sum([int.from_bytes(found, "big") for (found,) in ID_DOCUMENT.iter_unpack(batch)])
    return total % SUM_MODULUS
