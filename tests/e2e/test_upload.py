"""What people see of the running system: real HTTP, a real mongod, real processes that are really killed."""

import io
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from bson import ObjectId
from PIL import Image

from chalicelib.core.geometry import tile_address
from tests.e2e.noise import assert_exact, noise_slide, scan, stored_tiles
from tests.e2e.system import LocalSystem
from tests.effort import few_or_all
from tests.scan import real_scan
from tests.timeouts import eventually

REAL = "CMU-1-Small-Region.svs"


def test_the_real_slide_is_published_exact_to_the_byte(system: LocalSystem) -> None:
    path = real_scan()
    data = path.read_bytes()
    answer = system.call("POST", "/hooks/upload", system.request(system.put(REAL, data)))
    assert answer.status == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/jobs/{job['id']}"
    assert answer.headers["Retry-After"].isdecimal()
    job = system.ended(job["id"])
    assert (job["state"], job["error"]) == ("done", None)
    grids = [(level["columns"], level["rows"], level["method"]) for level in job["levels"]]
    assert grids == [
        (10, 13, "passthrough"), (5, 7, "downsampled"), (3, 4, "downsampled"), (2, 2, "downsampled"), (1, 1, "downsampled"),
    ]  # fmt: skip

    tiles = system.tiles(job)
    base = {tile_address(name, levels=5): jpeg for name, jpeg in tiles.items() if len(name) == len("tqrst.jpg")}
    assert sorted(base) == sorted((0, column, row) for column in range(10) for row in range(13))
    assert sorted(len(name) - 4 for name in tiles) == [1] + [2] * 4 + [3] * 12 + [4] * 35 + [5] * 130
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        pixels = page.asarray()
        for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            column, row = index % 10, index // 10
            jpeg = base[0, column, row]
            assert scan(jpeg) == scan(data[offset : offset + size])
            region = pixels[row * 240 : row * 240 + 240, column * 240 : column * 240 + 240]
            decoded = np.asarray(Image.open(io.BytesIO(jpeg)))[: region.shape[0], : region.shape[1]]
            assert np.array_equal(decoded, region)
    assert len(system.collections() & {job["result"]["image"]}) == 1
    # Thumbnail, label and macro of the file are nowhere: all that is published are tiles of the grid.
    assert len(tiles) == 182


def test_a_tile_is_served_with_an_etag_and_a_missing_one_is_a_404(system: LocalSystem) -> None:
    job = system.ended(system.submit(system.put(REAL, real_scan().read_bytes()))["id"])
    shown = job["result"]
    path = f"/tile?img={shown['image']}&db={shown['image_store']}&name=t.jpg"
    answer = system.call("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.data)).size == (240, 240)
    assert system.call("GET", path, headers={"If-None-Match": answer.headers["ETag"]}).status == 304
    assert system.call("GET", f"/thumb?img={shown['image']}&db={shown['image_store']}").data == answer.data
    assert system.call("GET", f"/tile/{shown['image_store']}/{shown['image']}/t.jpg").data == answer.data
    missing = system.call("GET", path.replace("t.jpg", "tqqqqqq.jpg"))
    assert missing.status == 404
    assert "error" in missing.json()


def test_twenty_webhooks_at_once_are_one_job_one_set_of_tiles_one_view(system: LocalSystem) -> None:
    source = system.put("twenty.tif", noise_slide(6, 5, seed=20))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: system.call("POST", "/hooks/upload", system.request(source)), range(20)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    job = system.ended(answers[0].json()["id"])
    assert (job["state"], job["attempt"]) == ("done", 1)
    assert len(system.tiles(job)) == 30 + 9 + 4 + 1
    assert system.session_views().count(job["result"]["view"]) == 1
    again = system.submit(source)
    assert (again["id"], again["state"], again["attempt"]) == (job["id"], "done", 1)


def test_a_worker_killed_in_the_middle_costs_time_and_nothing_else(system: LocalSystem) -> None:
    slide = noise_slide(12, 10, seed=9)
    stack = system.stack
    with system.barrier(step="tile", from_chunk=1) as barrier:
        job = system.submit(system.put("killed.tif", slide))
        eventually(lambda: system.job(job["id"])["tiles"]["done"] and barrier.waiting, what="the first chunk")
        # Without its database no worker comes to the end of a chunk that it begins.
        os.kill(stack["pids"]["mongod"], signal.SIGSTOP)
        try:
            barrier.remove()
            killed = stack["pids"]["workers"]
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            assert system.job(job["id"])["state"] == "tiling"
        finally:
            os.kill(stack["pids"]["mongod"], signal.SIGCONT)
    ended = system.ended(job["id"])
    assert (ended["state"], ended["attempt"]) == ("done", 1)
    assert_exact(system, ended, slide)
    assert system.session_views() == [ended["result"]["view"]]
    eventually(lambda: not set(system.stack["pids"]["workers"]) & set(killed), what="other workers")


@few_or_all("count", 40, 200)
def test_of_many_slides_the_broken_ones_fail_and_touch_no_other(system: LocalSystem, count: int) -> None:
    slides = {f"many-{number:03d}.tif": noise_slide(2, 1 + number % 2, seed=number) for number in range(count)}
    broken = {name: data[: len(data) // 3] for name, data in list(slides.items())[::40]}
    sources = {name: system.put(name, data) for name, data in (slides | broken).items()}
    with ThreadPoolExecutor(8) as pool:
        jobs = dict(zip(sources, pool.map(lambda source: system.submit(source)["id"], sources.values()), strict=True))
    ended = {name: system.ended(job) for name, job in jobs.items()}
    failed = {name: job["error"] for name, job in ended.items() if job["state"] == "failed"}
    assert failed.keys() == broken.keys()
    assert {error["code"] for error in failed.values()} == {"truncated"}
    assert all(error["message"] and error["hint"] for error in failed.values())
    done = {name: job for name, job in ended.items() if job["state"] == "done"}
    assert (len(done), len(failed)) == (count - count // 40, count // 40)
    assert {job["attempt"] for job in ended.values()} == {1}
    for name, job in done.items():
        assert_exact(system, job, slides[name])
    assert sorted(system.session_views()) == sorted(job["result"]["view"] for job in done.values())


def test_readers_see_the_old_version_until_the_switch_then_the_new_one(system: LocalSystem) -> None:
    old, new = noise_slide(12, 10, seed=1, levels=2), noise_slide(12, 10, seed=2, levels=2)
    first = system.ended(system.submit(system.put("versions.tif", old))["id"])
    versions = {
        place: (scan_old, stored_tiles(new)[place]) for place, scan_old in stored_tiles(old).items() if place[0] < 2
    }
    seen: list[set[str]] = []
    misses: list[str] = []
    over = threading.Event()

    def read_on() -> None:
        """Look at the view, then at tiles of the image that it names, as a viewer does."""
        with system.mongo() as client:
            while not over.is_set():
                view = client[system.stack["admin_db"]].views.find_one({"_id": ObjectId(first["result"]["view"])})
                image = str(view["ViewerRecords"][0]["Image"])
                names = ["tqqqq.jpg", "tqqqr.jpg", "tqqq.jpg"]
                found = set()
                for name in names:
                    tile = client[first["result"]["database"]][image].find_one({"name": name})
                    if tile is None:
                        misses.append(name)
                        continue
                    place = tile_address(name, levels=5)
                    found.add("new" if scan(bytes(tile["file"])) == versions[place][1] else "old")
                seen.append(found)

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        eventually(lambda: seen, what="a reader of the old version")
        second = system.ended(system.submit(system.put("versions.tif", new))["id"])
        eventually(lambda: seen and seen[-1] == {"new"}, what="a reader of the new version")
    finally:
        over.set()
        reader.join()
    assert first["id"] != second["id"]
    assert second["state"] == "done"
    assert second["result"]["view"] == first["result"]["view"]
    assert misses == []
    assert {frozenset(found) for found in seen} == {frozenset({"old"}), frozenset({"new"})}
    assert_exact(system, second, new)


def test_an_upload_to_the_sessions_folder_starts_its_job(system: LocalSystem) -> None:
    stack = system.stack
    key = f"{stack['collection']}/{system.session}/dropped slide+1.tif"
    slide = noise_slide(3, 2, seed=5)
    system.s3().put_object(Bucket=stack["bucket"], Key=key, Body=slide)

    def arrived() -> str | None:
        jobs = system.call("GET", f"/jobs?session={system.session}").json()["jobs"]
        return next((job["id"] for job in jobs if job["source"]["key"] == key), None)

    job = system.ended(eventually(arrived, what="the job of the upload"))
    assert (job["state"], job["hook"]) == ("done", "upload")
    assert_exact(system, job, slide)
    # The webhook for the same object is the same job.
    assert system.submit(f"s3://{stack['bucket']}/{key}")["id"] == job["id"]


def test_an_upload_that_fits_no_session_is_a_visible_failed_job(system: LocalSystem) -> None:
    system.s3().put_object(Bucket=system.stack["bucket"], Key="lost/in-no-session.svs", Body=b"II*\0 and so on")

    def failed() -> dict | None:
        jobs = system.call("GET", "/jobs?state=failed&text=in-no-session").json()["jobs"]
        return next((job for job in jobs if job["source"]["key"] == "lost/in-no-session.svs"), None)

    job = eventually(failed, what="the failed job")
    assert job["error"]["code"] == "invalid_object_key"
    assert "<collection id>/<session id>/<file name>" in job["error"]["hint"]


def test_a_truncated_slide_fails_with_a_reason_and_leaves_nothing(system: LocalSystem) -> None:
    before = system.collections()
    whole = real_scan().read_bytes()
    for name, size in (("cut-tiles.svs", 1_000_000), ("cut-header.svs", 20)):
        job = system.ended(system.submit(system.put(name, whole[:size]))["id"])
        assert (job["state"], job["error"]["code"]) == ("failed", "truncated")
        assert job["error"]["hint"]
    # What an earlier test has left to be swept may be gone meanwhile.
    assert system.collections() <= before
    assert system.session_views() == []


def test_the_status_never_runs_back_and_the_page_is_there(system: LocalSystem) -> None:
    job = system.submit(system.put("watched.tif", noise_slide(12, 10, seed=4)))
    order = ["queued", "planning", "tiling", "finishing", "done"]
    seen = [job]

    def look() -> bool:
        seen.append(system.job(job["id"]))
        return seen[-1]["state"] == "done"

    eventually(look, what="the end of the job")
    states = [order.index(each["state"]) for each in seen]
    tiles = [each["tiles"]["done"] for each in seen]
    assert states == sorted(states)
    assert tiles == sorted(tiles)
    assert tiles[-1] == seen[-1]["tiles"]["total"]
    page = system.call("GET", "/")
    assert page.status == 200
    assert "Slidehook" in page.data.decode()


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("rebound.example.com", 421), ("127.0.0.1.example.com:8000", 421), ("[::1", 421)],
)
def test_a_page_elsewhere_whose_name_resolves_to_this_machine_reads_nothing(
    system: LocalSystem, host: str, status: int
) -> None:
    assert system.call("GET", "/jobs", headers={"Host": host}).status == status


def test_a_body_that_api_gateway_would_not_pass_on_is_refused(system: LocalSystem) -> None:
    answer = system.call("POST", "/hooks/upload", b"", headers={"Content-Length": str(11 * 1024 * 1024)})
    assert answer.status == 413
