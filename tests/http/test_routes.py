"""app.py as the functions load it: each starts with what it needs, and every door leads somewhere."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.core.plan.chunks import cut, dump_plan
from chalicelib.core.plan.pyramid import plan_pyramid
from chalicelib.core.tiff.directory import read_ifds
from chalicelib.entrypoints.http.responses import handler
from tests.slides import Slide, write

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
from chalicelib.core.plan.chunks import load_plan
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
system = app.system
assert all((system.slides, system.work, system.jobs, system.events, system.queue, system.archive))
stored = sum(archive.holding(job).tiles_by_depth.values())
print(json.dumps({"stored": stored, "loaded": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def test_a_worker_that_copies_a_chunk_loads_neither_codecs_nor_what_checks_requests(tmp_path: Path) -> None:
    data = write(Slide(width_px=700, height_px=500))
    slide = tmp_path / "slide.tif"
    slide.write_bytes(data)
    with slide.open("rb") as file:
        pyramid = plan_pyramid(
            read_ifds(file, size_bytes=len(data)), size_bytes=len(data), tile_size=None, base_only=False
        )
    plan, records = cut(pyramid, chunk_bytes=1 << 20)
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


def doors() -> list[str]:
    """The handlers that app.py names, as text because it loads their module with the first request only."""
    calls = [node for node in ast.walk(ast.parse((ROOT / "app.py").read_text())) if isinstance(node, ast.Call)]
    return [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "answer" and isinstance(call.args[0], ast.Constant)
    ]


@pytest.mark.parametrize("name", doors())
def test_every_door_of_the_app_leads_to_a_handler(name: str) -> None:
    assert callable(handler(name))


def test_the_doors_are_found() -> None:
    assert {"catalogue.health", "hooks.call_hook", "jobs.show_job", "tiles.show_tile"} <= set(doors())
