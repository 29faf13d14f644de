"""Descriptions of a slide for viewers: slide document, DZI and IIIF."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

from chalicelib.core.jobs.model import Job
from chalicelib.core.web.slide_ids import mark_of
from tests.http.client import Call
from tests.http.slides import exact, publish, size_of, view_of
from tests.slides import Slide, write
from tests.world import SESSION, STORE, World


def test_slide_document_contains_viewer_metadata(call: Call, job: Job) -> None:
    answer = call("GET", f"/slides/{view_of(job)}")
    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        200, "application/json", "public, no-cache",
    )  # fmt: skip
    assert answer.json_body == {
        "id": view_of(job),
        "view": view_of(job),
        "image_store": STORE,
        "image": job.image,
        "generation": mark_of(f"{job.id}/0"),
        "job": job.id,
        "file_name": "slide.svs",
        "width_px": 300,
        "height_px": 200,
        "tile_size_px": 64,
        "mpp_x": None,
        "mpp_y": None,
        "magnification": None,
        "vendor": None,
        "levels": [
            {"level": 0, "width_px": 300, "height_px": 200, "columns": 5, "rows": 4},
            {"level": 1, "width_px": 150, "height_px": 100, "columns": 3, "rows": 2},
            {"level": 2, "width_px": 75, "height_px": 50, "columns": 2, "rows": 1},
            {"level": 3, "width_px": 38, "height_px": 25, "columns": 1, "rows": 1},
        ],
        "tiles": f"/slides/{exact(job)}/{{level}}/{{column}}_{{row}}.jpg",
        "links": {
            "self": f"/slides/{view_of(job)}",
            "dzi": f"/slides/{view_of(job)}.dzi",
            "iiif": f"/iiif/{view_of(job)}/info.json",
            "thumbnail": f"/slides/{exact(job)}/3/0_0.jpg",
        },
    }
    assert size_of(call("GET", answer.json_body["links"]["thumbnail"])) == (64, 64)
    for other in (f"{STORE}-{job.image}", exact(job)):
        found = call("GET", f"/slides/{other}").json_body
        assert (found["id"], found["view"], found["tiles"]) == (other, None, answer.json_body["tiles"])
    again = call("GET", f"/slides/{view_of(job)}", If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.body, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])


def test_slide_document_contains_scale_and_magnification(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=300, height_px=200, associated=True)), "aperio.svs")
    found = call("GET", f"/slides/{view_of(publish(world, key='aperio.svs'))}").json_body
    assert (found["mpp_x"], found["mpp_y"], found["magnification"], found["vendor"]) == (0.5, 0.5, 20.0, "Aperio")


def test_dzi_names_tiles_of_current_generation(call: Call, job: Job) -> None:
    answer = call("GET", f"/slides/{view_of(job)}.dzi", Host="slides.example")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/xml")
    assert ET.fromstring(answer.body).attrib["Url"] == f"http://slides.example/slides/{exact(job)}_files/"
    again = call("GET", f"/slides/{view_of(job)}.dzi", Host="slides.example", If_None_Match=answer.headers["ETag"])
    assert again.status_code == 304


def test_iiif_info_has_exact_address_as_id(world: World, call: Call, job: Job) -> None:
    answer = call("GET", f"/iiif/{view_of(job)}/info.json", Host="slides.example", X_Forwarded_Proto="https")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json_body["id"] == f"https://slides.example/iiif/{exact(job)}"
    world.settings = replace(world.settings, public_url="https://slides.hospital.example/viewer")
    info = call("GET", f"/iiif/{exact(job)}/info.json").json_body
    assert info["id"] == f"https://slides.hospital.example/viewer/iiif/{exact(job)}"
    redirect = call("GET", f"/iiif/{view_of(job)}")
    assert (redirect.status_code, redirect.headers["Location"]) == (
        303, f"https://slides.hospital.example/viewer/iiif/{view_of(job)}/info.json",
    )  # fmt: skip


def test_links_behind_api_gateway_contain_domain_and_stage(world: World, job: Job) -> None:
    import app

    event = {
        "requestContext": {
            "httpMethod": "GET", "resourcePath": "/iiif/{slide}/info.json", "path": f"/api/iiif/{view_of(job)}/info.json",
            "domainName": "abc.execute-api.example",
        },
        "headers": {"Host": "evil.example", "Authorization": "Bearer a token", "X-Forwarded-Proto": "https"},
        "pathParameters": {"slide": view_of(job)}, "stageVariables": {}, "body": None, "isBase64Encoded": False,
        "multiValueQueryStringParameters": None,
    }  # fmt: skip
    answer = app.app(event, None)
    assert json.loads(answer["body"])["id"] == f"https://abc.execute-api.example/api/iiif/{exact(job)}"


def test_base_only_slide_serves_published_levels_only(world: World, call: Call) -> None:
    here = view_of(publish(world, base_only=True))
    found = call("GET", f"/slides/{here}").json_body
    assert [level["level"] for level in found["levels"]] == [0]
    assert found["links"]["thumbnail"] is None
    (listed,) = call("GET", f"/sessions/{SESSION}/slides").json_body["slides"]
    assert listed["links"]["thumbnail"] is None
    (job,) = call("GET", "/jobs").json_body["jobs"]
    for found in (job, call("GET", f"/jobs/{job['id']}").json_body):
        assert found["result"]["thumbnail"] is None
        assert "thumbnail" not in found["links"]
    assert size_of(call("GET", f"/slides/{here}/0/4_3.jpg")) == (64, 64)
    dzi = call("GET", f"/slides/{here}.dzi")
    assert dzi.status_code == 404
    assert "base_only" in dzi.json_body["detail"]
    assert size_of(call("GET", f"/iiif/{here}/0,0,64,64/64,64/0/default.jpg")) == (64, 64)
