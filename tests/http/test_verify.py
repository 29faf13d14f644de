"""The `verify` hook over HTTP: faults of stored tiles are found, and repaired on request."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.ids import tile_id
from chalicelib.core.jobs.backoff import GRACE_SECONDS, LATE_SECONDS
from chalicelib.core.jobs.model import Job, State
from chalicelib.ports.archive import Tile
from chalicelib.steps.verify import finish_verification
from tests.http.client import Call
from tests.slides import Slide, write
from tests.world import DATABASE, SESSION, World

COPIED, MADE = "tqqq.jpg", "tqq.jpg"  # of levels 0 and 1


@pytest.fixture
def slide(world: World) -> Job:
    """A published slide with copied levels (0, 2) and made levels."""
    world.put(write(Slide(width_px=300, height_px=200, levels=(0, 2))))
    return world.finish(world.submit())


def verify(call: Call, job: Job, **asked: Any) -> tuple[int, dict[str, Any]]:
    answer = call("POST", "/hooks/verify", {"job": job.id} | asked)
    return answer.status_code, json.loads(answer.body)


def verified(world: World, call: Call, job: Job, **asked: Any) -> dict[str, Any]:
    """Run a verification. Returns its status."""
    status, started = verify(call, job, **asked)
    assert status == 202, started
    world.run()
    return status_of(call, started["id"])


def status_of(call: Call, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("GET", f"/jobs/{job_id}").body)
    return found


def stored(world: World, job: Job) -> dict[str, Tile]:
    return world.memory_archive.tiles[DATABASE, world.job(job).image]


def counts(status: dict[str, Any]) -> tuple[int, ...]:
    found = status["verification"]
    return tuple(found[name] for name in ("missing", "altered", "doubled", "unexpected"))


def faults(status: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(each["name"], each["fault"], each["documents"]) for each in status["verification"]["faults"]]


def test_unchanged_slide_is_intact(world: World, call: Call, slide: Job) -> None:
    before = dict(stored(world, slide))
    status = verified(world, call, slide)
    assert (status["state"], status["hook"], status["verification"]["intact"]) == ("done", "verify", True)
    assert counts(status) == (0, 0, 0, 0)
    assert status["tiles"] == {"done": len(before), "total": len(before)}
    assert (stored(world, slide), world.job(slide)) == (before, slide)


def test_altered_copied_tile_is_found(world: World, call: Call, slide: Job) -> None:
    tiles = stored(world, slide)
    # The id fits the altered bytes, but a copied tile has only one correct content.
    tiles[COPIED] = replace(tiles[COPIED], jpeg=b"other", id=tile_id(COPIED, b"other"))
    status = verified(world, call, slide)
    assert (status["state"], status["verification"]["intact"]) == ("done", False)
    assert counts(status) == (0, 1, 0, 0)
    assert faults(status) == [(COPIED, "altered", 1)]
    assert [status["verification"]["faults"][0][name] for name in ("level", "column", "row")] == [0, 0, 0]


def test_made_tile_that_differs_from_its_id_is_altered(world: World, call: Call, slide: Job) -> None:
    tiles = stored(world, slide)
    tiles[MADE] = replace(tiles[MADE], jpeg=tiles[MADE].jpeg + b"!")
    assert faults(verified(world, call, slide)) == [(MADE, "altered", 1)]


def test_made_tile_of_another_encoder_is_intact(world: World, call: Call, slide: Job) -> None:
    tiles = stored(world, slide)
    tiles[MADE] = replace(tiles[MADE], jpeg=b"as it was encoded then", id=tile_id(MADE, b"as it was encoded then"))
    assert verified(world, call, slide)["verification"]["intact"] is True


def test_missing_tile_is_found(world: World, call: Call, slide: Job) -> None:
    del stored(world, slide)[COPIED]
    status = verified(world, call, slide)
    assert (counts(status), faults(status)) == ((1, 0, 0, 0), [(COPIED, "missing", 0)])


def test_unexpected_document_is_counted(world: World, call: Call, slide: Job) -> None:
    tiles = stored(world, slide)
    tiles["other.jpg"] = replace(tiles[COPIED], name="other.jpg")
    status = verified(world, call, slide)
    assert (counts(status), faults(status)) == ((0, 0, 0, 1), [])
    assert status["verification"]["intact"] is False


def test_doubled_tile_is_found(world: World, call: Call, slide: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = world.memory_archive
    read, count = archive.stored, archive.documents

    def twice(database: str, image: str, names: list[str]) -> dict[str, Any]:
        return {
            name: [*found, *found] if name == COPIED else found for name, found in read(database, image, names).items()
        }

    monkeypatch.setattr(archive, "stored", twice)
    monkeypatch.setattr(archive, "documents", lambda database, image: count(database, image) + 1)
    status = verified(world, call, slide)
    assert (counts(status), faults(status)) == ((0, 0, 1, 0), [(COPIED, "doubled", 2)])


def test_first_hundred_faults_are_listed_and_all_counted(world: World, call: Call) -> None:
    world.put(write(Slide(width_px=1000, height_px=700)), "large.svs")
    job = world.finish(world.submit("large.svs"))
    tiles = stored(world, job)
    total = len(tiles)
    assert total > 100
    tiles.clear()
    status = verified(world, call, job)
    assert counts(status) == (total, 0, 0, 0)
    assert len(faults(status)) == 100
    assert {each["level"] for each in status["verification"]["faults"]} == {0}


def test_repair_republishes_slide_while_readers_continue(world: World, call: Call, slide: Job) -> None:
    right = world.tiles(slide)
    tiles = stored(world, slide)
    del tiles[COPIED]
    tiles[MADE] = replace(tiles[MADE], jpeg=b"wrong")
    status = verified(world, call, slide, repair=True)
    assert sorted(faults(status)) == [(MADE, "altered", 1), (COPIED, "missing", 0)]
    again = world.finish(slide)
    assert (again.state, again.attempt) == (State.DONE, 2)
    assert world.tiles(again) == right
    assert verified(world, call, slide)["verification"]["intact"] is True
    for _ in range(3):
        world.clock.advance(GRACE_SECONDS + LATE_SECONDS)
        world.minute()
    assert list(world.memory_archive.tiles) == [(DATABASE, again.image)]


def test_repair_leaves_intact_slide_unchanged(world: World, call: Call, slide: Job) -> None:
    assert verified(world, call, slide, repair=True)["verification"]["intact"] is True
    assert world.job(slide) == slide


def test_named_image_is_verified_and_repaired_in_place(world: World, call: Call) -> None:
    named = "0000000000000000000a0001"
    job = world.finish(world.submit(mongo_collection=named))
    right = world.tiles(job)
    del world.memory_archive.tiles[DATABASE, named]["t.jpg"]
    assert faults(verified(world, call, job, repair=True)) == [("t.jpg", "missing", 0)]
    again = world.finish(job)
    assert (again.image, world.tiles(again)) == (named, right)


def test_omitted_damaged_tile_is_not_missing(world: World, call: Call) -> None:
    data = bytearray(write(Slide(width_px=300, height_px=200)))
    at = data.find(b"\xff\xda")
    data[at - 40 : at + 2] = bytes(42)
    world.put(bytes(data), "damaged.svs")
    job = world.finish(world.submit("damaged.svs", on_bad_tile="skip"))
    assert (job.state, job.tiles_bad) == (State.DONE, 1)
    assert verified(world, call, job)["verification"]["intact"] is True


def test_repeated_verification_runs_again(world: World, call: Call, slide: Job) -> None:
    first = verified(world, call, slide)
    del stored(world, slide)[COPIED]
    second = verified(world, call, slide)
    assert (second["id"], second["attempt"]) == (first["id"], 2)
    assert [each["outcome"] for each in second["attempts"]] == ["done", "done"]
    assert counts(second) == (1, 0, 0, 0)


def test_running_verification_is_returned_by_second_call(world: World, call: Call, slide: Job) -> None:
    _, first = verify(call, slide)
    _, second = verify(call, slide)
    assert (first["id"], first["attempt"]) == (second["id"], second["attempt"])
    assert first["verification"]["intact"] is None
    assert first["links"]["verifies"] == f"/jobs/{slide.id}"


def test_slide_replaced_during_verification_is_not_judged(world: World, call: Call, slide: Job) -> None:
    _, started = verify(call, slide, repair=True)
    verification = world.memory_queue.sent.pop()
    world.finish(world.submit(force=True))
    world.memory_queue.sent.append(verification)
    world.run()
    status = status_of(call, started["id"])
    assert (status["state"], status["error"]["code"]) == ("superseded", "newer_generation")
    assert world.job(slide).attempt == 2


def test_gone_or_changed_source_ends_verification(world: World, call: Call, slide: Job) -> None:
    _, started = verify(call, slide, repair=True)
    world.put(write(Slide(width_px=300, height_px=200, seed=5)))
    world.run()
    assert status_of(call, started["id"])["error"]["code"] == "source_changed"
    _, started = verify(call, slide, repair=True)
    world.memory_slides.delete("incoming", "slide.svs")
    world.run()
    status = status_of(call, started["id"])
    assert (status["state"], status["error"]["code"], "retry" in status["links"]) == ("failed", "source_gone", False)
    assert world.job(slide) == slide


def test_repair_survives_worker_death_at_any_call(world: World, call: Call, slide: Job) -> None:
    right = world.tiles(slide)
    dies_at = 0
    while True:
        dies_at += 1
        del stored(world, slide)[COPIED]
        _, started = verify(call, slide, repair=True)
        world.calls, world.dies_at, world.after = 0, dies_at, dies_at % 2 == 0
        world.finish(job_of(world, started["id"]))
        world.finish(slide)
        died, world.dies_at = world.calls >= dies_at, None
        assert world.tiles(slide) == right
        assert world.job(slide).state is State.DONE
        status = status_of(call, started["id"])
        assert (status["state"], faults(status)) == ("done", [(COPIED, "missing", 0)])
        if not died:
            return


def job_of(world: World, job_id: str) -> Job:
    found = world.memory_jobs.get(job_id)
    assert found is not None
    return found


def test_finish_of_ended_verification_changes_nothing(world: World, call: Call, slide: Job) -> None:
    started = verified(world, call, slide)
    ended = world.memory_jobs.get(started["id"])
    assert ended is not None
    finish_verification(
        ended, jobs=world.memory_jobs, archive=world.memory_archive, queue=world.memory_queue, clock=world.clock
    )
    assert world.memory_jobs.get(started["id"]) == ended


def test_verification_can_be_cancelled_and_not_retried(world: World, call: Call, slide: Job) -> None:
    _, started = verify(call, slide)
    assert json.loads(call("POST", f"/jobs/{started['id']}/cancel").body)["state"] == "cancelled"
    refused = call("POST", f"/jobs/{started['id']}/retry")
    assert (refused.status_code, json.loads(refused.body)["code"]) == (409, "not_retryable")
    assert slide.id in json.loads(refused.body)["hint"]
    assert verified(world, call, slide)["verification"]["intact"] is True


def test_verification_of_invisible_slide_is_refused(world: World, call: Call, slide: Job) -> None:
    world.put(b"II*\0 no slide at all", "broken.svs")
    broken = world.finish(world.submit("broken.svs"))
    status, problem = verify(call, broken)
    assert (status, problem["code"]) == (409, "not_verifiable")
    call("POST", "/hooks/remove", {"session": SESSION, "whole_session": True})
    status, problem = verify(call, slide)
    assert (status, problem["code"]) == (409, "not_verifiable")


def test_verification_of_verification_is_refused(world: World, call: Call, slide: Job) -> None:
    started = verified(world, call, slide)
    status, problem = verify(call, job_of(world, started["id"]))
    assert (status, problem["code"], slide.id in problem["detail"]) == (409, "not_verifiable", True)


@pytest.mark.parametrize("job", ["", "0" * 31, "0" * 32 + "\n", 7, None, "../x"])
def test_invalid_job_id_is_refused_with_pointer(call: Call, job: object) -> None:
    answer = call("POST", "/hooks/verify", {"job": job})
    assert (answer.status_code, json.loads(answer.body)["errors"][0]["pointer"]) == (422, "/job")


def test_unknown_job_is_not_found_and_token_is_required(call: Call) -> None:
    assert call("POST", "/hooks/verify", {"job": "0" * 32}).status_code == 404
    assert call("POST", "/hooks/verify", {"job": "0" * 32}, token="wrong").status_code == 401


def test_verification_of_forbidden_bucket_is_refused(world: World, call: Call, slide: Job) -> None:
    world.settings = replace(world.settings, source_buckets=frozenset())
    code, problem = verify(call, slide)
    assert (code, problem["code"]) == (403, "bucket_not_allowed")
