"""The table of routes, and app.py as each Lambda function loads it."""

import json
import re
import subprocess
import sys
from inspect import Parameter, signature
from pathlib import Path

import pytest

from chalicelib.core.plan.chunks import build_plan
from chalicelib.core.plan.plan_format import dump_plan
from chalicelib.core.plan.pyramid import plan_pyramid
from chalicelib.core.tiff.directory import read_ifds
from chalicelib.entrypoints.http.dispatch import contract
from chalicelib.entrypoints.http.operations import operations
from chalicelib.entrypoints.http.routes import ROUTES, Route
from tests.slides import Slide, write
from tests.world import World

ROOT = Path(__file__).parent.parent.parent
SETTINGS = {
    "SLIDEHOOK_INCOMING_BUCKET": "incoming",
    "SLIDEHOOK_WORK_BUCKET": "work",
    "SLIDEHOOK_JOBS_TABLE": "jobs",
    "SLIDEHOOK_JOBS_QUEUE": "http://127.0.0.1:1/1/jobs",
    "SLIDEHOOK_CHUNKS_QUEUE": "http://127.0.0.1:1/1/chunks",
    "SLIDEHOOK_MONGO_URI": "mongodb://127.0.0.1:1/",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
}
# A chunk is copied by the real step, between ports in memory; then the real clients are made.
COPIES_A_CHUNK = """
import json, sys
import app
from chalicelib.adapters.memory import MemoryArchive, MemoryClock, MemoryJobs, MemoryQueue, MemorySlides, MemoryWork
from chalicelib.core.plan.plan_format import load_plan
from chalicelib.core.jobs.model import Destination, Options, State, new_job
from chalicelib.core.plan.messages import plan_key, records_key
from chalicelib.steps.tile import tile
from dataclasses import replace

head, records, data = (open(path, "rb").read() for path in sys.argv[1:])
slides, work, jobs, archive = MemorySlides(), MemoryWork(), MemoryJobs(), MemoryArchive()
slides.put("incoming", "slide.tif", data)
source, _ = slides.pin("incoming", "slide.tif", first_bytes=4)
there = Destination(collection="c", session="s", image_store="i", database="d", mongo_collection=None)
job = new_job("upload", source, there, Options(), now=1.0)
job = jobs.create(replace(job, state=State.TILING, plan_digest="digest", chunks_total=1))
work.put(plan_key(job, "digest"), head)
work.put(records_key(job, "digest"), records)
archive.stage(job)
tile(job, 0, threads=2, cores=1, slides=slides, jobs=jobs, archive=archive, work=work, queue=MemoryQueue(),
     clock=MemoryClock())
services = app.services
assert all((services.slides, services.work, services.jobs, services.events, services.queue, services.archive))
stored = sum(archive.staged_stats(job).tiles_by_depth.values())
print(json.dumps({"stored": stored, "loaded": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def test_worker_that_copies_a_chunk_loads_no_codecs_and_no_pydantic(tmp_path: Path) -> None:
    data = write(Slide(width_px=700, height_px=500))
    slide = tmp_path / "slide.tif"
    slide.write_bytes(data)
    with slide.open("rb") as file:
        pyramid = plan_pyramid(
            read_ifds(file, size_bytes=len(data)), size_bytes=len(data), tile_size=None, base_only=False
        )
    plan, records = build_plan(pyramid, chunk_bytes=1 << 20)
    assert plan.chunks[0].kind == "copy"
    (tmp_path / "head").write_bytes(dump_plan(plan))
    (tmp_path / "records").write_bytes(records)
    command = [
        sys.executable,
        "-c",
        COPIES_A_CHUNK,
        *(str(tmp_path / name) for name in ("head", "records", "slide.tif")),
    ]
    ran = subprocess.run(command, cwd=ROOT, env=SETTINGS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["stored"] == plan.chunks[0].tiles
    assert {"numpy", "tifffile", "simplejpeg", "imagecodecs", "pydantic", "PIL"}.isdisjoint(found["loaded"])


def key(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", ROUTES, ids=key)
def test_handler_of_a_route_takes_its_path_parameters(route: Route) -> None:
    parameters = list(signature(route.handler()).parameters.values())
    path = re.findall(r"{(\w+)}", route.path)
    positional = [each.name for each in parameters if each.kind is Parameter.POSITIONAL_OR_KEYWORD]
    assert positional[1:] == path
    assert {each.name for each in parameters if each.kind is Parameter.KEYWORD_ONLY} <= {"query", "body"}


@pytest.mark.parametrize("route", ROUTES, ids=key)
def test_documented_request_of_a_route_is_the_validated_one(route: Route) -> None:
    query, body = contract(route.handler())
    (found,) = (each for each in operations([route]) if each.path == route.path)
    spec = route.spec()
    # A handler that parses its request itself documents the class in its spec, and only there.
    assert not (query and spec.query)
    assert not (body and spec.body)
    assert (found.query, found.body) == (query or spec.query, body or spec.body)


def test_table_has_each_method_of_a_path_once() -> None:
    keys = [key(route) for route in ROUTES]
    assert len(keys) == len(set(keys))


def test_app_registers_head_and_options_for_each_path(world: World) -> None:
    import app

    for path, methods in app.app.routes.items():
        assert "OPTIONS" in methods
        assert ("HEAD" in methods) == ("GET" in methods), path
