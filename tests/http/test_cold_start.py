"""Modules that app.py loads in a Lambda function that copies a chunk or serves a tile."""

import json
import subprocess
import sys
from pathlib import Path

from chalicelib.core.plan.chunks import build_plan
from chalicelib.core.plan.plan_format import dump_plan
from chalicelib.core.plan.pyramid import plan_pyramid
from chalicelib.core.tiff.directory import read_ifds
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


# The real step copies a chunk between ports in memory; then the real clients are created.
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


SERVES_A_TILE = """
import json, sys
from types import SimpleNamespace
import app
from chalice.test import Client
from chalicelib.adapters.memory import MemoryArchive
from chalicelib.core.ids import tile_id
from chalicelib.ports.archive import ImageFacts, Tile
from dataclasses import replace

store, view, image = "0" * 23 + "d", "0" * 23 + "b", "0" * 23 + "a"
archive = MemoryArchive()
archive.add_store(store, database="tiles")
archive.add_session("s", collection="c")
facts = ImageFacts(file_name="a.svs", width_px=300, height_px=200, tile_size_px=64, levels=4)
archive.add_view(view, session="s", image=image, image_store=store, facts=facts)
archive.tiles["tiles", image] = {"tqqq.jpg": Tile("tqqq.jpg", 4, b"jpeg", tile_id("tqqq.jpg", b"jpeg"))}
app.services = SimpleNamespace(archive=archive, settings=replace(app.services.settings, allow_anonymous_local_reads=True))
paths = [f"/slides/{view}/0/0_0.jpg", f"/slides/{view}_files/9/0_0.jpg",
         f"/iiif/{view}/0,0,64,64/64,64/0/default.jpg", f"/tile/{store}/{image}/tqqq.jpg"]
with Client(app.app) as client:
    assert [client.http.get(path).body for path in paths] == [b"jpeg"] * 4
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules} | set(sys.modules))))
"""


def test_inner_tile_is_served_without_codecs() -> None:
    command = [sys.executable, "-c", SERVES_A_TILE]
    ran = subprocess.run(command, cwd=ROOT, env=SETTINGS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    loaded = set(json.loads(ran.stdout))
    assert {"numpy", "tifffile", "simplejpeg", "imagecodecs", "PIL", "turbojpeg", "boto3"}.isdisjoint(loaded)
    assert "chalicelib.core.imaging.lossless_crop" in loaded
