"""The command line against the running system: a folder with a bad file among good ones."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.noise import assert_exact, noise_slide
from tests.e2e.system import ROOT, LocalSystem


def run(system: LocalSystem, *arguments: str) -> subprocess.CompletedProcess[str]:
    stack = system.stack
    command = [sys.executable, str(ROOT / "ptif_upload.py"), "-c", stack["collection"], "--api", stack["api"]]
    return subprocess.run(
        [*command, "--token", stack["token"], "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_folder_becomes_a_session_and_a_bad_file_costs_the_others_nothing(
    system: LocalSystem, tmp_path: Path
) -> None:
    folder = tmp_path / "Kidney week 3"
    (folder / "deeper").mkdir(parents=True)
    slides = {"a.tif": noise_slide(4, 3, seed=31), "deeper/a.tif": noise_slide(2, 2, seed=32)}
    for name, data in slides.items():
        (folder / name).write_bytes(data)
    (folder / "bad.svs").write_bytes(b"not a slide")
    (folder / "notes.txt").write_text("no slide either")

    before = system.call("GET", f"/collections/{system.stack['collection']}").json()
    dry = run(system, "-i", str(folder), "--dry-run")
    assert system.call("GET", f"/collections/{system.stack['collection']}").json() == before
    assert json.loads(dry.stdout)["session"]["id"] is None
    assert dry.returncode == 1

    first = run(system, "-i", str(folder), "--wait")
    assert first.returncode == 1, first.stderr
    found = json.loads(first.stdout)
    assert found["session"]["label"] == "Kidney week 3"
    by_input = {entry["input"]: entry for entry in found["slides"]}
    assert sorted(by_input) == ["a.tif", "bad.svs", "deeper/a.tif"]
    assert by_input["bad.svs"]["error"]["hint"]
    for name, data in slides.items():
        job = system.job(by_input[name]["job"]["id"])
        assert (job["state"], job["error"]) == ("done", None)
        assert_exact(system, job, data)
    views = system.call("GET", f"/sessions/{found['session']['id']}").json()["views"]
    assert len(views) == 2

    again = run(system, "-i", str(folder), "--wait")
    repeated = {entry["input"]: entry for entry in json.loads(again.stdout)["slides"]}
    assert [repeated[name]["job"]["id"] for name in slides] == [by_input[name]["job"]["id"] for name in slides]
    assert system.call("GET", f"/sessions/{found['session']['id']}").json()["views"] == views
