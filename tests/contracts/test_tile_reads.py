"""What a tile costs: which queries the server sees, and what it examines for them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from chalice.test import Client, HTTPResponse
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chalicelib.adapters import ttl_cache as recent
from chalicelib.adapters.mongo.archive import MongoArchive
from chalicelib.adapters.mongo.client import STORE_SECONDS
from chalicelib.adapters.ttl_cache import TtlCache
from chalicelib.core.ids import tile_id
from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import ImageFacts, PublishedImage
from tests.contracts.archives import MongoBench
from tests.contracts.samples import NAMED_IMAGE, SESSION, STORE, a_job, a_tile, facts_of

SIZE = 24_000


class _Asked(CommandListener):
    def __init__(self) -> None:
        self.commands: list[tuple[str, str]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append((event.command_name, str(event.command.get(event.command_name))))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


class Reader:
    """A published slide of 85 tiles, an archive with a clock of its own, and what it asks the server."""

    def __init__(self, uri: str) -> None:
        self.bench, self.asked, self.seconds = MongoBench(uri), _Asked(), 0.0
        self.client = MongoClient[dict[str, Any]](uri, event_listeners=[self.asked])
        self.archive = MongoArchive(self.client, self.bench.admin.name, seconds_now=lambda: self.seconds)
        self.job: Job = a_job(database=self.bench.database)
        names = [""]
        for _ in range(3):
            names += [name + step for name in names for step in "qrst" if len(name) == len(names[-1])]
        self.tiles = [a_tile(f"t{name}.jpg", name.encode() + bytes(SIZE)) for name in names]
        self.bench.archive.stage(self.job)
        self.bench.archive.write(self.job, 0, self.tiles)
        self.view = self.bench.archive.publish(self.job, facts_of(self.job), now=1.0).view

    def commands(self, do: Callable[[], object]) -> list[tuple[str, str]]:
        self.asked.commands.clear()
        do()
        return list(self.asked.commands)

    def examined(self, do: Callable[[], object]) -> list[dict[str, Any]]:
        """Return what the server's profiler says of each operation on the data database."""
        database = self.bench.tiles
        database.command("profile", 2)
        try:
            do()
        finally:
            database.command("profile", 0)
        return list(database["system.profile"].find({"ns": f"{database.name}.{self.job.image}"}))

    def close(self) -> None:
        self.client.close()
        self.bench.drop()


@pytest.fixture
def reader(mongo_uri: str) -> Iterator[Reader]:
    found = Reader(mongo_uri)
    yield found
    found.close()


def test_the_first_tile_asks_for_its_store_and_the_next_ones_only_for_themselves(reader: Reader) -> None:
    image = reader.job.image
    assert reader.commands(lambda: reader.archive.tile(STORE, image, "t.jpg")) == [
        ("find", "databases"),
        ("find", image),
    ]
    for name in ("tq.jpg", "tqr.jpg", "nothing"):
        assert reader.commands(lambda name=name: reader.archive.tile(STORE, image, name)) == [("find", image)]
    reader.seconds += STORE_SECONDS
    assert reader.commands(lambda: reader.archive.tile(STORE, image, "t.jpg")) == [
        ("find", "databases"),
        ("find", image),
    ]


def test_a_tile_is_found_by_its_index_and_nothing_else_is_looked_at(reader: Reader) -> None:
    assert len(reader.tiles) == 85
    [found] = reader.examined(lambda: reader.archive.tile(STORE, reader.job.image, "trts.jpg"))
    assert found["planSummary"] == "IXSCAN { name: 1 }"
    assert (found["keysExamined"], found["docsExamined"], found["nreturned"]) == (1, 1, 1)


def test_that_a_tile_is_there_is_told_by_the_index_alone(reader: Reader) -> None:
    tile = next(each for each in reader.tiles if each.name == "trts.jpg")
    [found] = reader.examined(lambda: reader.archive.has_tile(STORE, reader.job.image, tile.id))
    assert found["planSummary"] == "IXSCAN { _id: 1 }"
    assert (found["keysExamined"], found["docsExamined"], found["nreturned"]) == (1, 0, 1)
    assert found["responseLength"] < 300
    [found] = reader.examined(lambda: reader.archive.has_tile(STORE, reader.job.image, tile_id("t.jpg", b"")))[1:]
    assert (found["docsExamined"], found["nreturned"]) == (0, 0)


def test_a_slide_is_looked_up_once_for_the_tiles_of_a_moment(reader: Reader) -> None:
    def look(max_age_seconds: float) -> None:
        place = reader.archive.image_of(reader.view, max_age_seconds=max_age_seconds)
        assert place == (STORE, reader.job.image)
        assert reader.archive.image(*place, max_age_seconds=max_age_seconds) is not None

    once = [("find", "views"), ("find", "images")]
    assert reader.commands(lambda: look(5.0)) == [("find", "views"), ("find", "databases"), ("find", "images")]
    assert reader.commands(lambda: look(5.0)) == []
    reader.seconds = 4.9
    assert reader.commands(lambda: look(5.0)) == []
    reader.seconds = 5.0
    assert reader.commands(lambda: look(5.0)) == once
    assert reader.commands(lambda: look(0.0)) == once


def test_what_is_gone_is_not_remembered(reader: Reader) -> None:
    reader.archive.image_of(reader.view, max_age_seconds=5.0)
    reader.bench.archive.remove_views(SESSION, [reader.view])
    assert reader.archive.image_of(reader.view) is None
    assert reader.archive.image_of(reader.view, max_age_seconds=5.0) is None


def test_only_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_ENTRIES", 2)
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        return number

    answers = TtlCache[int](lambda: 0.0)
    for number in (1, 2, 2, 1, 3, 1):
        assert answers.get(number, lambda number=number: ask(number), max_age_seconds=1.0) == number
    assert asked == [1, 2, 3, 1]


@pytest.fixture
def call(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HTTPResponse]:
    """The app's doors over the real archive."""
    for name in ("INCOMING_BUCKET", "WORK_BUCKET", "JOBS_TABLE", "JOBS_QUEUE", "CHUNKS_QUEUE", "MONGO_URI"):
        monkeypatch.setenv(f"SLIDEHOOK_{name}", "unused")
    import app

    settings = replace(app.services.settings, allow_anonymous_local_reads=True)
    monkeypatch.setattr(app, "services", SimpleNamespace(archive=reader.archive, settings=settings))

    def get(path: str, known: str = "") -> HTTPResponse:
        with Client(app.app) as client:
            return client.http.get(path, headers={"If-None-Match": known})

    return get


def test_a_warm_tile_costs_one_query_in_every_dialect_and_so_does_its_304(
    reader: Reader, call: Callable[..., HTTPResponse]
) -> None:
    image = reader.job.image
    exact = call(f"/slides/{reader.view}").json_body["tiles"].split("/")[2]
    paths = [
        f"/tile/{STORE}/{image}/tq.jpg", f"/tile?img={image}&db={STORE}&name=tq.jpg", f"/thumb?img={image}&db={STORE}",
        *(f"/slides/{address}/0/0_0.jpg" for address in (reader.view, f"{STORE}-{image}", exact)),
        *(f"/slides/{address}_files/9/0_0.jpg" for address in (reader.view, exact)),
        *(f"/iiif/{address}/0,0,256,256/256,256/0/default.jpg" for address in (reader.view, exact)),
    ]  # fmt: skip
    for path in paths:
        first = call(path)
        assert first.status_code == 200, path
        assert reader.commands(lambda path=path: call(path)) == [("find", image)], path
        tag = first.headers["ETag"]
        assert reader.commands(lambda path=path, tag=tag: call(path, tag)) == [("find", image)], path
    [found] = reader.examined(lambda: call(paths[-1], tag))
    assert (found["planSummary"], found["docsExamined"]) == ("IXSCAN { _id: 1 }", 0)


# -- documents of others -----------------------------------------------------------------------------------------------

FOREIGN = {
    "_id": ObjectId(NAMED_IMAGE), "filename": "theirs.ptif", "dimensions": [500, 400, 1], "levels": 2, "TileSize": 512,
}  # fmt: skip


def test_an_image_of_slideatlas_is_told_as_far_as_it_says(reader: Reader) -> None:
    facts = ImageFacts(file_name="theirs.ptif", width_px=500, height_px=400, tile_size_px=512, levels=2)
    reader.bench.tiles.images.insert_one(FOREIGN)
    assert reader.archive.image(STORE, NAMED_IMAGE) == PublishedImage(facts=facts, claim="")
    reader.bench.tiles.images.replace_one(
        {"_id": FOREIGN["_id"]}, {name: value for name, value in FOREIGN.items() if name != "TileSize"}
    )
    assert reader.archive.image(STORE, NAMED_IMAGE) == PublishedImage(facts=replace(facts, tile_size_px=256), claim="")


@pytest.mark.parametrize("change", [{"dimensions": None}, {"dimensions": [0, 400]}, {"levels": 0}, {"levels": None}])
def test_an_image_whose_size_is_not_known_is_not_told(reader: Reader, change: dict[str, Any]) -> None:
    reader.bench.tiles.images.insert_one({**FOREIGN, **change})
    assert reader.archive.image(STORE, NAMED_IMAGE) is None


@pytest.mark.parametrize(
    "view", [{}, {"ViewerRecords": []}, {"ViewerRecords": [{}]}, {"ViewerRecords": [{"Image": "x", "Database": "y"}]}]
)
def test_a_view_that_shows_no_image_shows_none(reader: Reader, view: dict[str, Any]) -> None:
    reader.bench.admin.views.insert_one({**view, "_id": ObjectId(NAMED_IMAGE)})
    assert reader.archive.image_of(NAMED_IMAGE) is None
