"""The limit: the very same documents, prebuilt in memory, into the same server.

bare_insert.py MONGO_URI DATABASE COLLECTION MONGOD_PID THREADS...: reads a published collection into memory, then
inserts it into a new one for each number of threads, and drops both. Prints the figures of each as a line of JSON.

The new one is created with the options of the published one and has its index: the same storage, for both.

What does not fit into a third of the free memory is read and inserted in pieces; only the inserting is timed.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from pymongo import MongoClient
from pymongo.collection import Collection

BATCH_BYTES = 4 * 1024 * 1024
Document = dict[str, Any]
Batch = list[Document]


def batches(documents: Iterable[Document]) -> Iterator[Batch]:
    """Return documents in batches of the size that the service sends."""
    found: Batch = []
    held = 0
    for document in documents:
        if held >= BATCH_BYTES:
            yield found
            found, held = [], 0
        found.append(document)
        held += len(document["file"])
    if found:
        yield found


def pieces(found: Iterable[Batch], most_bytes: int) -> Iterator[list[Batch]]:
    """Return batches in lists of so many bytes, of one batch at least."""
    most = max(1, most_bytes // BATCH_BYTES)
    piece: list[Batch] = []
    for batch in found:
        piece.append(batch)
        if len(piece) == most:
            yield piece
            piece = []
    if piece:
        yield piece


def insert(target: Collection[Document], piece: list[Batch], pool: ThreadPoolExecutor) -> tuple[float, int]:
    """Insert a piece; return the seconds it took and the number of its tiles."""
    begun = time.perf_counter()
    for _ in pool.map(lambda batch: target.insert_many(batch, ordered=False), piece):
        pass
    return time.perf_counter() - begun, sum(map(len, piece))


def main() -> None:
    uri, database, name, pid, *threads = sys.argv[1:]
    processes = {"cpu_s": psutil.Process(), "mongod_cpu_s": psutil.Process(int(pid))}
    client: MongoClient[Document] = MongoClient(uri)
    source, target = client[database][name], client[database]["bare_insert"]
    options = source.options()
    most_bytes = psutil.virtual_memory().available // 3
    whole: list[list[Batch]] | None = None
    if client[database].command("collStats", name)["size"] <= most_bytes:
        whole = [list(batches(source.find()))]
        source.drop()  # it is in memory: the disk need not hold it twice
    for count in map(int, threads):
        target.drop()
        client[database].create_collection(target.name, **options)
        target.create_index("name", unique=True)
        os.sync()  # what was written before is no part of this run
        before = {field: sum(process.cpu_times()[:2]) for field, process in processes.items()}
        with ThreadPoolExecutor(count) as pool:
            done = [insert(target, piece, pool) for piece in whole or pieces(batches(source.find()), most_bytes)]
        used = {field: sum(process.cpu_times()[:2]) - before[field] for field, process in processes.items()}
        target.drop()
        wall, tiles = sum(seconds for seconds, _ in done), sum(number for _, number in done)
        line = {"threads": count, "wall_s": wall, "tiles": tiles, "tiles_per_s": tiles / wall, "pieces": len(done)}
        print(json.dumps(line | (used if whole else {})), flush=True)  # else reading is in it
    source.drop()


if __name__ == "__main__":
    main()
