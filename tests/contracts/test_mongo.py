"""The archive in MongoDB: the documents are SlideAtlas', and a server that is away asks for patience."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from chalicelib.adapters.mongo import contents, generations
from chalicelib.adapters.mongo.archive import MongoArchive
from chalicelib.core.errors import MongoUnavailableError
from chalicelib.core.ids import digest_sum
from chalicelib.core.jobs.verification import Stored
from infra.local.seed import index_catalogue
from tests.contracts.archives import MongoBench
from tests.contracts.samples import COLLECTION, NAMED_IMAGE, SESSION, STORE, a_job, a_source, a_tile, facts_of


@pytest.fixture
def bench(mongo_uri: str) -> Iterator[MongoBench]:
    found = MongoBench(mongo_uri)
    yield found
    found.drop()


def without_ours(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "slidehook"}


@pytest.mark.parametrize("mongo_collection", [None, NAMED_IMAGE], ids=["new image", "named image"])
def test_the_documents_are_those_of_slideatlas(bench: MongoBench, mongo_collection: str | None) -> None:
    job = a_job("scanner/$slide.svs", database=bench.database, mongo_collection=mongo_collection)
    bench.archive.stage(job)
    bench.archive.write(job, 0, [a_tile("t.jpg", b"root"), a_tile("tq.jpg", b"corner")])
    switch = bench.archive.publish(job, facts_of(job), now=1700000000.0)
    images, tiles = bench.tiles.images, bench.tiles[job.image]
    assert [without_ours(each) for each in images.find()] == [
        {
            "_id": ObjectId(job.image),
            "filename": "$slide.svs",
            "label": "$slide.svs",
            "origin": [0, 0, 0],
            "spacing": [1, 1, 1],
            "dimensions": [500, 400, 1],
            "levels": 2,
            "components": 3,
            "TileSize": 256,
            "CoordinateSystem": "Pixel",
            "bounds": [0, 500, 0, 400],
            "metadataready": True,
            "uploaded_at": datetime.fromtimestamp(1700000000.0, UTC).replace(tzinfo=None),
        }
    ]
    assert [without_ours(each) for each in bench.admin.views.find()] == [
        {
            "_id": ObjectId(switch.view),
            "ViewerRecords": [{"Image": ObjectId(job.image), "Database": ObjectId(STORE)}],
            "Title": "$slide.svs",
            "Type": "Note",
            "CoordinateSystem": "Pixel",
        }
    ]
    session = bench.admin.sessions.find_one({"_id": ObjectId(SESSION)})
    assert session is not None
    assert session["views"] == [ObjectId(switch.view)]
    assert sorted(({**each, "_id": None} for each in tiles.find()), key=lambda each: each["level"]) == [
        {"_id": None, "name": "t.jpg", "level": 1, "file": b"root"},
        {"_id": None, "name": "tq.jpg", "level": 2, "file": b"corner"},
    ]
    assert tiles.index_information()["name_1"]["unique"] is True


def test_tiles_are_staged_on_large_pages(bench: MongoBench) -> None:
    job = a_job(database=bench.database)
    bench.archive.stage(job)
    assert bench.tiles[job.image].options() == {
        "storageEngine": {"wiredTiger": {"configString": "leaf_page_max=128KB"}}
    }


def test_a_server_that_refuses_large_pages_stages_on_its_own(
    bench: MongoBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "LARGE_PAGES", {"wiredTiger": {"configString": "no_such_setting=1"}})
    job = a_job(database=bench.database)
    bench.archive.stage(job)
    bench.archive.write(job, 0, [a_tile("t.jpg")])
    assert bench.tiles[job.image].options() == {}
    assert bench.tiles[job.image].index_information()["name_1"]["unique"] is True


def test_more_tiles_than_come_in_one_answer_are_in_the_digest(
    bench: MongoBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "DIGEST_BATCH", 2)
    job = a_job(database=bench.database)
    tiles = [a_tile(name) for name in ("t.jpg", "tq.jpg", "tr.jpg", "tt.jpg", "ts.jpg")]
    bench.archive.stage(job)
    bench.archive.write(job, 0, tiles)
    assert bench.archive.staged_stats(job).digest == digest_sum(tile.id for tile in tiles)


def test_a_made_session_is_one_of_slideatlas(bench: MongoBench) -> None:
    made, _ = bench.archive.make_session(COLLECTION, "Spleen")
    assert bench.admin.sessions.find_one({"label": "Spleen"}) == {
        "_id": ObjectId(made.id),
        "collection": ObjectId(COLLECTION),
        "label": "Spleen",
        "views": [],
        "attachments": [],
        "imagefiles": [],
    }


EVERY_CALL: dict[str, Callable[[MongoArchive], Any]] = {
    "locate": lambda archive: archive.locate(COLLECTION, SESSION, None),
    "stage": lambda archive: archive.stage(a_job()),
    "write": lambda archive: archive.write(a_job(), 0, [a_tile("t.jpg")]),
    "staged_stats": lambda archive: archive.staged_stats(a_job()),
    "publish": lambda archive: archive.publish(a_job(), facts_of(a_job()), now=1.0),
    "shows": lambda archive: archive.shows(a_job()),
    "discard": lambda archive: archive.discard(a_job(), 0),
    "tile": lambda archive: archive.tile(STORE, NAMED_IMAGE, "t.jpg"),
    "has_tile": lambda archive: archive.has_tile(STORE, NAMED_IMAGE, bytes(12)),
    "image_of": lambda archive: archive.image_of(NAMED_IMAGE),
    "image": lambda archive: archive.image(STORE, NAMED_IMAGE),
    "collection": lambda archive: archive.collection(COLLECTION),
    "session": lambda archive: archive.session(SESSION),
    "make_session": lambda archive: archive.make_session(COLLECTION, "Spleen"),
    "shown": lambda archive: archive.shown(SESSION),
    "remove_views": lambda archive: archive.remove_views(SESSION, None),
    "ping": lambda archive: archive.ping(),
}


@pytest.mark.parametrize("call", EVERY_CALL.values(), ids=EVERY_CALL.keys())
def test_a_server_that_is_away_asks_for_patience(call: Callable[[MongoArchive], Any]) -> None:
    # Nobody listens on port 1.
    nowhere = MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1/", serverSelectionTimeoutMS=50)
    with nowhere as client, pytest.raises(MongoUnavailableError, match="MongoDB"):
        call(MongoArchive(client, "slideatlas"))


def test_documents_that_somebody_else_has_put_among_the_tiles_are_read_as_they_are(bench: MongoBench) -> None:
    job = a_job(database=bench.database)
    tile = a_tile("t.jpg", b"root")
    bench.archive.stage(job)
    bench.archive.write(job, 0, [tile])
    tiles = bench.tiles[job.image]
    tiles.drop_index("name_1")
    tiles.insert_many([{"_id": "by hand", "name": "t.jpg", "file": b"other"}, {"name": "t.jpg"}, {"file": "no name"}])
    found = bench.archive.stored(bench.database, job.image, ["t.jpg"])["t.jpg"]
    assert found[:2] == [Stored(tile.id, b"root"), Stored(b"", b"other")]
    assert [each.jpeg for each in found[2:]] == [b""]
    assert bench.archive.documents(bench.database, job.image) == 4


def test_whose_an_image_is_is_answered_from_indexes_however_many_views_there_are(bench: MongoBench) -> None:
    index_catalogue(bench.admin)
    job = a_job(database=bench.database)
    bench.archive.stage(job)
    bench.archive.write(job, 0, [a_tile("t.jpg", b"root")])
    bench.archive.publish(job, facts_of(job), now=1700000000.0)
    others = [
        {"_id": ObjectId(), "ViewerRecords": [{"Image": ObjectId(), "Database": ObjectId(STORE)}]} for _ in range(99)
    ]
    bench.admin.views.insert_many(others)
    bench.admin.sessions.insert_many([{"views": [view["_id"]], "collection": ObjectId(COLLECTION)} for view in others])
    bench.admin.command("profile", 2)
    assert bench.archive.collections_of(STORE, job.image) == {COLLECTION}
    bench.admin.command("profile", 0)
    (asked,) = bench.admin["system.profile"].find({"command.aggregate": "views"})
    assert (asked["planSummary"], asked["docsExamined"]) == ("IXSCAN { ViewerRecords.Image: 1 }", 2)


@pytest.mark.parametrize("mongo_collection", [None, NAMED_IMAGE])
def test_publish_wins_over_an_older_one_inserted_at_the_same_time(
    bench: MongoBench, mongo_collection: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = (
        a_job(
            source=a_source(etag=f'"{number}"', at=500.0 + number),
            database=bench.database,
            now=1000.0 + number,
            mongo_collection=mongo_collection,
        )
        for number in range(2)
    )
    for job in (older, newer):
        bench.archive.stage(job)
        bench.archive.write(job, job.generation, [a_tile("t.jpg", job.source.etag.encode())])
    upsert, raced = Collection.find_one_and_update, []

    def lose_the_insert(self: Any, *arguments: Any, **options: Any) -> Any:
        """The first upsert finds no document, and its insert meets that of the older publication."""
        if not raced:
            raced.append(self.name)
            assert bench.archive.publish(older, facts_of(older), now=2000.0).won
            raise DuplicateKeyError("E11000 duplicate key error")
        return upsert(self, *arguments, **options)

    monkeypatch.setattr(Collection, "find_one_and_update", lose_the_insert)
    result = bench.archive.publish(newer, facts_of(newer), now=2001.0)
    assert raced == ["views" if mongo_collection is None else "images"]
    assert result.won
    assert [bench.archive.shows(job) for job in (older, newer)] == [False, True]
