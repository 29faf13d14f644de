"""The limit: the very same documents, prebuilt in memory, into the same server.

bare_insert.py MONGO_URI DATABASE COLLECTION THREADS...: reads a published collection into memory, then inserts it into
a new one for each number of threads. Prints the figures of each as a line of JSON.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pymongo import MongoClient

BATCH_BYTES = 4 * 1024 * 1024


def batches(documents: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return documents in batches of the size that the service sends."""
    found: list[list[dict[str, Any]]] = [[]]
    held = 0
    for document in documents:
        if held >= BATCH_BYTES:
            found.append([])
            held = 0
        found[-1].append(document)
        held += len(document["file"])
    return found


def main() -> None:
    uri, database, collection, *threads = sys.argv[1:]
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    prebuilt = batches(list(client[database][collection].find()))
    tiles = sum(len(batch) for batch in prebuilt)
    for count in map(int, threads):
        target = client[database]["bare_insert"]
        target.drop()
        target.create_index("name", unique=True)
        begun = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            for _ in pool.map(lambda batch, target=target: target.insert_many(batch, ordered=False), prebuilt):
                pass
        wall = time.perf_counter() - begun
        target.drop()
        print(json.dumps({"threads": count, "wall_s": wall, "tiles": tiles, "tiles_per_s": tiles / wall}), flush=True)


if __name__ == "__main__":
    main()
