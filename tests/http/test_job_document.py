"""The status document of a job."""

from dataclasses import replace

from chalicelib.core.jobs.model import Problem
from chalicelib.entrypoints.http.schemas.jobs import job_document
from tests.steps.jobs import SLIDE, world_with_tiling_job
from tests.world import World


def test_status_document_shows_progress_and_result() -> None:
    world, job = world_with_tiling_job()
    world.clock.advance(10)
    document = job_document(job, now=world.clock.now())
    assert document["state"] == "tiling"
    assert document["tiles"] == {"done": job.tiles_done, "total": 29}
    assert document["chunks"] == {"done": 1, "total": job.chunks_total}
    assert document["rate"] == {
        "tiles_per_second": round(job.tiles_done / 10, 1),
        "bytes_per_second": round(job.bytes_done / 10, 1),
    }
    assert document["eta_seconds"] == round((29 - job.tiles_done) * 10 / job.tiles_done, 1)
    assert (document["result"], document["error"], document["last_transient_error"]) == (None, None, None)
    with_error = job_document(
        replace(job, last_transient_error=Problem(code="c", message="m", hint="h")), now=world.clock.now()
    )
    assert with_error["last_transient_error"] == {"code": "c", "message": "m", "hint": "h"}
    done = job_document(world.finish(job), now=world.clock.now())
    assert (done["state"], done["tiles"], done["eta_seconds"]) == ("done", {"done": 29, "total": 29}, None)
    result = done["result"]
    assert isinstance(result, dict)
    assert result["thumbnail"] == f"/thumb?img={result['image']}&db={result['image_store']}"
    attempts = done["attempts"]
    assert isinstance(attempts, list)
    assert [attempt["outcome"] for attempt in attempts] == ["done"]


def test_queued_job_has_no_rate() -> None:
    world = World()
    world.put(SLIDE)
    document = job_document(world.submit(), now=world.clock.now())
    assert (document["rate"], document["eta_seconds"], document["levels"]) == (
        {"tiles_per_second": None, "bytes_per_second": None}, None, [],
    )  # fmt: skip
