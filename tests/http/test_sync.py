"""The `sync` hook: the outcome of each object, and requests that are refused."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.jobs.model import State
from chalicelib.steps import sync as steps
from tests.http.client import Call
from tests.http.syncs import FOLDER, PLACE, counts, slide, status, sync, synced, synced_by_keys
from tests.world import BUCKET, COLLECTION, SESSION, World

pytestmark = pytest.mark.usefixtures("empty_bucket")


def test_sync_submits_new_slides_and_is_idempotent(world: World, call: Call) -> None:
    for number in range(3):
        world.put(slide(number), f"lung/{number}.svs")
    world.put(b"notes", "lung/notes.txt")
    world.put(slide(9), "liver/other.svs")
    first = synced(world, call)
    assert (first["state"], counts(first)) == ("done", {"added": 3, "ignored": 1})
    assert [(each["key"], each["outcome"]) for each in first["highlights"]] == [
        (f"lung/{number}.svs", "added") for number in range(3)
    ]
    jobs = {job.id: job for job in world.memory_jobs._jobs.values()}
    assert {job.state for job in jobs.values()} == {State.DONE}
    assert {each["job"] for each in first["highlights"]} == set(jobs)
    second = synced(world, call)
    assert (second["id"], second["run"], counts(second)) == (first["id"], 2, {"present": 3, "ignored": 1})
    assert {job.id: job for job in world.memory_jobs._jobs.values()} == jobs


def test_sync_entries_are_paged(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "PAGE", 2)
    for number in range(5):
        world.put(slide(number), f"lung/{number}.svs")
    found = synced(world, call)
    assert counts(found) == {"added": 5}
    pages = [status(call, found["id"], f"?page={page}")["entries"] for page in range(found["pages"])]
    assert [[each["key"][5] for each in page] for page in pages] == [["0", "1"], ["2", "3"], ["4"], []]
    assert status(call, found["id"], "?page=99")["entries"] == []
    assert call("GET", f"/syncs/{found['id']}?page=x").status_code == 422


def test_changed_slides_are_replaced_and_missing_ones_reported(world: World, call: Call) -> None:
    for number in range(3):
        world.put(slide(number), f"lung/{number}.svs")
    synced(world, call)
    world.put(slide(7), "lung/1.svs")
    world.memory_slides.delete(BUCKET, "lung/2.svs")
    found = synced(world, call)
    assert counts(found) == {"present": 1, "replaced": 1, "missing": 1}
    recorded = {each["key"]: each for each in found["highlights"]}
    assert recorded["lung/1.svs"]["outcome"] == "replaced"
    gone = world.memory_jobs.get(recorded["lung/2.svs"]["job"])
    assert gone is not None
    assert world.memory_archive.shows(gone)
    assert counts(synced(world, call)) == {"present": 2, "missing": 1}


def test_previous_bytes_are_published_again(world: World, call: Call) -> None:
    for seed in (1, 2, 1):
        world.put(slide(seed), "lung/a.svs")
        found = synced(world, call)
    assert counts(found) == {"replaced": 1}
    assert counts(synced(world, call)) == {"present": 1}
    assert len(world.memory_jobs._jobs) == 2


def test_failing_file_does_not_stop_sync(world: World, call: Call) -> None:
    world.put(b"no TIFF", "lung/a.svs")
    world.put(slide(1)[:3000], "lung/b.svs")
    world.put(slide(2), "lung/c.svs")
    assert counts(synced(world, call)) == {"failed": 1, "added": 2}
    found = synced(world, call)
    assert counts(found) == {"failed": 2, "present": 1}
    recorded = {each["key"]: (each["code"], each["job"] is None) for each in found["highlights"]}
    assert recorded == {"lung/a.svs": ("not_a_tiff", True), "lung/b.svs": ("truncated", False)}
    assert len(world.memory_jobs._jobs) == 2


def test_removed_and_cancelled_slides_are_not_submitted(world: World, call: Call) -> None:
    for number in range(2):
        world.put(slide(number), f"lung/{number}.svs")
    first = synced(world, call)
    shown = world.memory_jobs.get(first["highlights"][0]["job"])
    assert shown is not None
    assert shown.published is not None
    view = shown.published.view
    call("POST", "/hooks/remove", {"session": SESSION, "views": [view]})
    world.put(slide(5), "lung/2.svs")
    job = world.submit("lung/2.svs")
    call("POST", f"/jobs/{job.id}/cancel")
    assert counts(synced(world, call)) == {"removed": 1, "present": 1, "cancelled": 1}
    assert len(world.views()) == 1


def test_running_job_is_not_submitted_again(world: World, call: Call) -> None:
    world.put(slide(), "lung/a.svs")
    job = world.submit("lung/a.svs")
    messages = list(world.memory_queue.sent)
    world.memory_queue.sent.clear()
    assert counts(synced(world, call)) == {"running": 1}
    assert world.memory_queue.sent == []
    world.memory_queue.sent += messages
    assert world.finish(job).state is State.DONE


def test_slide_published_with_other_options_is_present(world: World, call: Call) -> None:
    world.put(slide(), "lung/a.svs")
    world.finish(world.submit("lung/a.svs", tile_size=128))
    assert counts(synced(world, call)) == {"present": 1}


def test_options_apply_to_each_slide(world: World, call: Call) -> None:
    world.put(slide(), "lung/a.svs")
    found = synced(world, call, base_only=True)
    job = world.memory_jobs.get(found["highlights"][0]["job"])
    assert job is not None
    assert job.options.base_only


def test_direct_uploads_are_synced_only_under_their_prefix(world: World, call: Call) -> None:
    world.put(slide(1), f"direct/{FOLDER}a.svs")
    world.put(slide(2), f"{FOLDER}b.svs")
    assert counts(synced_by_keys(world, call, "")) == {"added": 1, "ignored": 1}
    assert counts(synced_by_keys(world, call, "direct/")) == {"added": 1}
    assert counts(synced_by_keys(world, call, f"direct/{FOLDER}")) == {"present": 1}
    assert len(world.views()) == 2


def test_key_without_session_does_not_stop_sync(world: World, call: Call) -> None:
    world.put(slide(1), f"{FOLDER}a.svs")
    world.put(slide(2), f"{COLLECTION}/zz.svs")  # follows it in the listing
    found = synced_by_keys(world, call, f"{COLLECTION}/")
    assert (found["state"], counts(found)) == ("done", {"added": 1, "failed": 1})


def test_key_without_slide_name_or_session_is_ignored(world: World, call: Call) -> None:
    for key in ("notes.txt", "lung/notes.txt", f"{FOLDER}scan without a suffix"):
        world.put(slide(1), key)
    assert counts(synced_by_keys(world, call, "")) == {"added": 1, "ignored": 2}


def test_session_without_objects_reports_missing_slides(world: World, call: Call) -> None:
    world.put(slide(), "lung/a.svs")
    synced(world, call)
    world.memory_slides.delete(BUCKET, "lung/a.svs")
    assert counts(synced(world, call)) == {"missing": 1}


def test_sync_of_empty_prefix_is_done(world: World, call: Call) -> None:
    world.settings = replace(world.settings, sync_interval_seconds=0.0)
    code, started = sync(call, "empty/")
    world.run()
    found = status(call, started["id"])
    assert (code, found["state"], counts(found)) == (202, "done", {})


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        ({"prefix": "lung/"}, ["/prefix"]),
        ({"prefix": "s3://"}, ["/prefix"]),
        ({"collection": COLLECTION}, [""]),
        ({"base_only": True}, [""]),
        ({"collection": "x", "session": SESSION}, ["/collection"]),
        ({"source": "s3://a/b"}, ["/source"]),
    ],
)
def test_invalid_sync_request_is_refused_with_pointer(
    world: World, call: Call, asked: dict[str, Any], pointers: list[str]
) -> None:
    answer = call("POST", "/hooks/sync", {"prefix": f"s3://{BUCKET}/lung/"} | asked)
    assert answer.status_code == 422
    assert [each["pointer"] for each in json.loads(answer.body)["errors"]] == pointers
    assert world.memory_syncs.latest(live=True, limit=9) == ()


def test_sync_of_forbidden_bucket_is_refused(world: World, call: Call) -> None:
    answer = call("POST", "/hooks/sync", {"prefix": "s3://somebody-elses/", **PLACE})
    assert (answer.status_code, json.loads(answer.body)["code"]) == (403, "bucket_not_allowed")
    assert world.memory_syncs.latest(live=True, limit=9) == ()


def test_unknown_sync_is_not_found_and_token_is_required(call: Call) -> None:
    assert call("GET", f"/syncs/{'0' * 32}").status_code == 404
    assert call("GET", "/syncs/x").status_code == 404
    assert call("POST", "/hooks/sync", {"prefix": f"s3://{BUCKET}/"}, token="wrong").status_code == 401


def test_slides_outside_prefix_are_not_missing(world: World, call: Call) -> None:
    world.put(slide(1), "liver/other.svs")
    synced(world, call, "liver/")
    world.memory_slides.delete(BUCKET, "liver/other.svs")
    world.put(slide(2), "lung/1.svs")
    assert counts(synced(world, call)) == {"added": 1}
    assert counts(synced(world, call, "liver/")) == {"missing": 1}


def test_sync_of_missing_bucket_ends_with_reason(world: World, call: Call) -> None:
    world.settings = replace(world.settings, source_buckets=frozenset({BUCKET, "nowhere"}))
    answer = call("POST", "/hooks/sync", PLACE | {"prefix": "s3://nowhere/lung/"})
    assert answer.status_code == 202
    world.run()
    found = status(call, answer.json_body["id"])
    assert (found["state"], counts(found)) == ("done", {"failed": 1})
    (entry,) = found["highlights"]
    assert (entry["key"], entry["code"]) == ("lung/", "no_such_source")
    assert "nowhere" in entry["message"]
