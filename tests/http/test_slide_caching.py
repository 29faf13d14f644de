"""ETags of tiles, and immutable addresses."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.jobs.model import Job
from chalicelib.ports.archive import ImageFacts, Tile
from tests.http.client import Call
from tests.http.slides import NAMED, NOWHERE, PATHS, WEEK, exact, publish, view_of
from tests.slides import Slide, write
from tests.world import DATABASE, SESSION, STORE, World


class ArchiveWithoutTiles:
    """An archive that fails the test when a tile is read."""

    def __init__(self, archive: Any) -> None:
        self.archive = archive

    def __getattr__(self, name: str) -> Any:
        assert name != "tile", "a tile was read"
        return getattr(self.archive, name)


@pytest.mark.parametrize("path", [*PATHS, "/tile/{1}/{2}/tqqq.jpg", "/thumb?db={1}&img={2}"])
def test_known_etag_returns_304_without_reading_tiles(world: World, call: Call, job: Job, path: str) -> None:
    path = path.format(exact(job), STORE, job.image)
    first = call("GET", path)
    assert first.status_code == 200
    world.archive = ArchiveWithoutTiles(world.memory_archive)
    for known in (first.headers["ETag"], f'"x", W/{first.headers["ETag"]}'):
        again = call("GET", path, If_None_Match=known)
        assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"]


def test_etag_of_other_tile_or_crop_does_not_match(call: Call, job: Job) -> None:
    here = view_of(job)
    whole, cut = call("GET", f"/slides/{here}/0/4_3.jpg"), call("GET", f"/slides/{here}_files/9/4_3.jpg")
    other = call("GET", f"/slides/{here}/0/0_0.jpg")
    assert len({each.headers["ETag"] for each in (whole, cut, other)}) == 3
    for tag in (cut.headers["ETag"], other.headers["ETag"]):
        assert call("GET", f"/slides/{here}/0/4_3.jpg", If_None_Match=tag).body == whole.body


def test_foreign_tile_is_identified_by_content(world: World, call: Call) -> None:
    archive = world.memory_archive
    facts = ImageFacts(file_name="theirs.ptif", width_px=60, height_px=60, tile_size_px=64, levels=1)
    archive.add_view(NOWHERE, session=SESSION, image=NAMED, image_store=STORE, facts=facts)
    archive.tiles[DATABASE, NAMED] = {"t.jpg": Tile("t.jpg", 1, b"their jpeg", bytes(12))}
    answer = call("GET", f"/slides/{NOWHERE}/0/0_0.jpg")
    assert (answer.body, answer.headers["Cache-Control"]) == (b"their jpeg", "public, no-cache")
    for known in (answer.headers["ETag"], "*"):
        assert call("GET", f"/slides/{NOWHERE}/0/0_0.jpg", If_None_Match=known).status_code == 304
    found = call("GET", f"/slides/{NOWHERE}").json_body
    assert (found["generation"], found["job"]) == (None, None)
    assert found["tiles"] == f"/slides/{STORE}-{NAMED}/{{level}}/{{column}}_{{row}}.jpg"
    damaged = call("GET", f"/slides/{NOWHERE}_files/6/0_0.jpg")
    assert (damaged.status_code, damaged.json_body["code"]) == (404, "not_found")
    assert "is damaged" in damaged.json_body["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_exact_address_is_immutable_and_others_revalidate(world: World, call: Call, job: Job, path: str) -> None:
    def caching(address: str) -> str:
        return str(call("GET", path.format(address)).headers["Cache-Control"])

    assert caching(exact(job)) == WEEK
    assert caching(view_of(job)) == caching(f"{STORE}-{job.image}") == "public, no-cache"
    world.settings = replace(world.settings, allow_anonymous_local_reads=False)
    assert caching(exact(job)) == "private, max-age=604800, immutable"
    assert caching(view_of(job)) == "private, no-cache"


def test_republished_slide_has_new_tile_urls_and_keeps_old_ones(world: World, call: Call, job: Job) -> None:
    old = call("GET", f"/slides/{view_of(job)}").json_body["tiles"].format(level=0, column=0, row=0)
    before = call("GET", old)
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    new_job = publish(world)
    assert view_of(new_job) == view_of(job)
    new = call("GET", f"/slides/{view_of(job)}").json_body["tiles"].format(level=0, column=0, row=0)
    assert new != old
    assert call("GET", old).body == before.body
    assert call("GET", new).body == call("GET", f"/slides/{view_of(job)}/0/0_0.jpg").body != before.body


def test_replaced_named_image_is_not_found_under_old_address(world: World, call: Call) -> None:
    first = publish(world, mongo_collection=NAMED)
    old = call("GET", f"/slides/{view_of(first)}").json_body["tiles"].format(level=0, column=0, row=0)
    assert call("GET", old).headers["Cache-Control"] == "public, no-cache"
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    publish(world, mongo_collection=NAMED)
    gone = call("GET", old)
    assert (gone.status_code, gone.json_body["code"]) == (404, "not_found")
    assert "was replaced" in gone.json_body["detail"]
    new = call("GET", f"/slides/{view_of(first)}").json_body["tiles"].format(level=0, column=0, row=0)
    assert call("GET", new).status_code == 200


def test_exact_address_expires_if_image_is_named_later(world: World, call: Call, job: Job) -> None:
    assert call("GET", f"/slides/{exact(job)}/0/0_0.jpg").headers["Cache-Control"] == WEEK
    world.put(write(Slide(width_px=300, height_px=200, seed=7)))
    later = publish(world, mongo_collection=job.image)
    assert later.image == job.image
    assert call("GET", f"/slides/{exact(job)}/0/0_0.jpg").status_code == 404
    assert call("GET", f"/slides/{exact(later)}/0/0_0.jpg").headers["Cache-Control"] == "public, no-cache"
