"""Runs of a sync: schedule, time limit, worker death, and changes during the run."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.errors import AwsUnavailableError
from chalicelib.core.jobs.model import Job
from chalicelib.entrypoints import consumers
from chalicelib.steps import sync as steps
from tests.http.client import Call
from tests.http.syncs import FOLDER, PLACE, counts, slide, status, sync, synced
from tests.world import BUCKET, COLLECTION, OTHER_SESSION, SESSION, Context, Died, World

pytestmark = pytest.mark.usefixtures("empty_bucket")


def test_scheduled_sync_recovers_lost_events(world: World, call: Call) -> None:
    world.settings = replace(world.settings, sync_interval_seconds=3600.0)
    world.put(slide(1), f"{FOLDER}a.svs")
    world.put(slide(2), "direct/by-its-uploader.svs")
    world.put(slide(3), "nowhere.svs")
    world.minute()
    world.run()
    (found,) = json.loads(call("GET", "/syncs").body)["syncs"]
    assert (found["state"], found["prefix"], counts(found)) == (
        "done", f"s3://{BUCKET}/", {"added": 1, "failed": 1, "ignored": 1},
    )  # fmt: skip
    assert len(world.views()) == 1
    world.put(slide(4), f"{COLLECTION}/{OTHER_SESSION}/b.svs")  # of another collection
    world.put(slide(4), f"{FOLDER}c.svs")
    world.clock.advance(3000)
    world.minute()
    assert json.loads(call("GET", "/syncs").body)["syncs"][0]["run"] == 1
    world.clock.advance(601)
    world.minute()
    world.run()
    (found,) = json.loads(call("GET", "/syncs").body)["syncs"]
    assert (found["run"], counts(found)) == (2, {"present": 1, "added": 1, "failed": 2, "ignored": 1})
    assert {each["code"] for each in found["highlights"] if each["outcome"] == "failed"} == {
        "invalid_object_key", "session_not_in_collection",
    }  # fmt: skip


def test_second_call_returns_running_sync(world: World, call: Call) -> None:
    world.put(slide(), "lung/a.svs")
    _, first = sync(call, **PLACE)
    _, second = sync(call, **PLACE)
    assert (first["id"], first["run"]) == (second["id"], second["run"])
    assert first["state"] == "running"
    world.run()
    assert counts(status(call, first["id"])) == {"added": 1}


def test_sync_stops_in_time_and_next_minute_continues(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "PAGE", 2)
    for number in range(9):
        world.put(slide(number), f"lung/{number}.svs")
    listed = []
    real = world.memory_slides.list

    def slow(*arguments: Any, **options: Any) -> Any:
        listed.append(options["cursor"])
        Clocks.spent += 15.0
        return real(*arguments, **options)

    class Clocks:
        spent = 0.0

    class Ending(Context):
        def get_remaining_time_in_millis(self) -> int:
            return int(1000 * (60 - Clocks.spent))

    class EndingClock:
        def now(self) -> float:
            return world.clock.now()

        def remaining_seconds(self) -> float:
            return 60 - Clocks.spent

    monkeypatch.setattr(world.memory_slides, "list", slow)
    monkeypatch.setattr(world, "clock_until", lambda _: EndingClock())
    _, started = sync(call, **PLACE)
    world.memory_queue.sent.clear()
    minutes = 0
    while status(call, started["id"])["state"] == "running":
        Clocks.spent = 0.0
        consumers.on_minute(world.services, Ending())
        minutes += 1
        assert minutes < 10
    assert minutes > 1
    assert len(listed) == len(set(listed)) == 5
    assert counts(status(call, started["id"])) == {"added": 9}


def test_sync_survives_worker_death_at_any_call(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "PAGE", 2)
    for number in range(3):
        world.put(slide(number), f"lung/{number}.svs")
    dies_at = 0
    died = True
    while died:
        dies_at += 3
        world.clock.advance(60)
        world.put(slide(100 + dies_at), "lung/0.svs")
        _, started = sync(call, **PLACE)
        world.calls, world.dies_at = 0, dies_at
        for _ in range(5):
            try:
                world.run()
                world.minute()
            except Died:
                continue
        died, world.dies_at = world.calls >= dies_at and dies_at < 60, None
        world.run()
        found = status(call, started["id"])
        assert found["state"] == "done"
        assert sum(counts(found).values()) == 3
        shown = {job.source.etag for job in world.memory_jobs._jobs.values() if world.memory_archive.shows(job)}
        assert shown == {source.etag for source, _ in world.memory_slides._objects.values()}


def test_busy_storage_does_not_end_sync(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(slide(), "lung/a.svs")
    real = world.memory_slides.list
    answers = iter([AwsUnavailableError("slow down"), None])

    def busy(*arguments: Any, **options: Any) -> Any:
        if error := next(answers, None):
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(world.memory_slides, "list", busy)
    _, started = sync(call, **PLACE)
    world.run()
    assert status(call, started["id"])["state"] == "running"
    world.minute()
    assert status(call, started["id"])["state"] == "done"


def test_slide_published_during_sync_is_present(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(slide(1), "lung/a.svs")
    world.put(slide(1), "lung/b.svs")
    for name in ("a", "b"):
        world.finish(world.submit(f"lung/{name}.svs"))
    before = world.memory_archive.shown_slides(SESSION)
    before = {shown: job for shown, job in before.items() if "a.svs" in shown}
    monkeypatch.setattr(world.memory_archive, "shown_slides", lambda _: before)
    assert counts(synced(world, call)) == {"present": 2}


def test_sync_with_stale_run_changes_nothing(world: World, call: Call) -> None:
    world.put(slide(), "lung/1.svs")
    _, started = sync(call, **PLACE)
    stale = world.memory_syncs.get(started["id"])
    assert stale is not None
    world.run()
    ended = world.memory_syncs.get(started["id"])

    def submit(*_: object) -> Job:
        pytest.fail("a slide was submitted")

    ports = {name: getattr(world, name) for name in ("slides", "jobs", "archive", "syncs", "clock")}
    steps.work(stale, submit, **ports)
    assert world.memory_syncs.get(started["id"]) == ended
