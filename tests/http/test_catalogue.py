"""Collections, sessions, and the slides of a session."""

from chalicelib.ports.archive import ImageFacts
from tests.http.client import Call
from tests.http.uploads import NOWHERE, upload_and_finish
from tests.slides import Slide, write
from tests.world import BUCKET, COLLECTION, SESSION, STORE, World


def test_session_is_created_once_per_label_and_can_be_recreated(world: World, call: Call) -> None:
    made = call("POST", f"/collections/{COLLECTION}/sessions", {"label": " Kidney "})
    assert (made.status_code, made.json_body["label"], made.json_body["collection"]) == (201, "Kidney", COLLECTION)
    again = call("POST", f"/collections/{COLLECTION}/sessions", {"label": "Kidney"})
    assert (again.status_code, again.json_body) == (200, made.json_body)
    for label in ("", "  ", "x" * 201, 7, None, "a\0b", "\ud800", "a\x1b[2J"):
        assert call("POST", f"/collections/{COLLECTION}/sessions", {"label": label}).status_code == 422
    job = upload_and_finish(world, call)
    assert call("GET", f"/sessions/{SESSION}").json_body["views"] == [job["result"]["view"]]
    labels = {each["label"]: each["views"] for each in call("GET", f"/collections/{COLLECTION}").json_body["sessions"]}
    assert labels == {"Lung": 1, "Kidney": 0}
    emptied = call("POST", f"/sessions/{SESSION}/recreate")
    assert (emptied.status_code, emptied.json_body["views_removed"], emptied.json_body["label"]) == (200, 1, "Lung")
    assert call("GET", f"/sessions/{SESSION}").json_body["views"] == []


def test_slides_of_session_are_paged_newest_first(world: World, call: Call) -> None:
    assert call("GET", f"/sessions/{SESSION}/slides").json_body == {"slides": [], "next": None}
    first = upload_and_finish(world, call)
    world.put(write(Slide(width_px=100, height_px=80)), "second.svs")
    second = upload_and_finish(world, call, source=f"s3://{BUCKET}/second.svs")
    page = call("GET", f"/sessions/{SESSION}/slides?limit=1").json_body
    (slide,) = page["slides"]
    assert (slide["title"], slide["job"], slide["view"]) == ("second.svs", second["id"], second["result"]["view"])
    assert (slide["slide"]["width_px"], slide["slide"]["height_px"], slide["slide"]["tile_size_px"]) == (100, 80, 64)
    assert slide["links"] == {"thumbnail": second["result"]["thumbnail"], "job": f"/jobs/{second['id']}"}
    rest = call("GET", f"/sessions/{SESSION}/slides?limit=1&cursor={page['next']}").json_body
    assert ([each["job"] for each in rest["slides"]], rest["next"]) == ([first["id"]], None)
    for wrong in ("limit=0", "limit=101", "cursor=xyz"):
        assert call("GET", f"/sessions/{SESSION}/slides?{wrong}").status_code == 422, wrong
    assert call("GET", f"/sessions/{NOWHERE}/slides").status_code == 404


def test_slide_of_other_publisher_has_no_job(world: World, call: Call) -> None:
    image = "0000000000000000000a0009"
    facts = ImageFacts(file_name="theirs.svs", width_px=10, height_px=10, tile_size_px=256, levels=1)
    world.memory_archive.add_view("0" * 23 + "b", session=SESSION, image=image, image_store=STORE, facts=facts)
    (slide,) = call("GET", f"/sessions/{SESSION}/slides").json_body["slides"]
    assert (slide["title"], slide["job"], slide["slide"]["levels"]) == ("theirs.svs", None, 1)
    assert slide["links"] == {"thumbnail": f"/thumb?img={image}&db={STORE}"}
    world.memory_archive.images.clear()
    (slide,) = call("GET", f"/sessions/{SESSION}/slides").json_body["slides"]
    assert (slide["image"], slide["slide"]) == (image, None)
