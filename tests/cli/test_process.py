"""The command as a process: started from anywhere, interrupted, shown on a terminal."""

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.cli.service import COLLECTION, SESSION, Service
from tests.timeouts import TIMEOUT_SECONDS

PROGRAM = Path(__file__).resolve().parents[2] / "ptif_upload.py"
OBJECT = ["-i", "s3://slides/slide.svs", "-c", COLLECTION, "-s", SESSION]


def start(*arguments, folder, **streams):
    # As from a terminal: what runs in the background, the tests too, hands on that interrupts are ignored.
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        cwd=folder,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one system call
        **streams,
    )


def test_the_program_runs_from_any_folder(tmp_path, service: Service):
    with start(*OBJECT, "--wait", folder=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        out, err = running.communicate(timeout=TIMEOUT_SECONDS)

    assert running.returncode == 0, err
    assert out.endswith("1 done, 0 not done\n")
    assert "\r" not in err  # no bar where there is no terminal


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_an_interrupted_wait_says_that_the_job_goes_on_and_where(tmp_path, service: Service, how):
    service.endless = True
    with start(*OBJECT, "--wait", *how, folder=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert service.followed.wait(TIMEOUT_SECONDS)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=TIMEOUT_SECONDS)

    (job,) = service.jobs
    assert running.returncode == 130
    assert "interrupted" in err
    assert f"These jobs continue:\n  {service.url}/jobs/{job}\n" in err
    assert "Traceback" not in err
    assert not how or json.loads(out)["exit_code"] == 130


def test_a_terminal_shows_bars(tmp_path, slide, service: Service):
    path = slide()
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with start(
        *("-i", path, "-c", COLLECTION, "-s", SESSION, "--wait", "--json"),
        folder=tmp_path, stdout=subprocess.PIPE, stderr=theirs,
    ) as running:  # fmt: skip
        os.close(theirs)
        shown = _all_of(ours)
        out, _ = running.communicate(timeout=TIMEOUT_SECONDS)

    assert running.returncode == 0, shown
    assert "upload slide.svs: 100%" in shown
    assert "5/5" in shown
    assert json.loads(out)["failed"] == 0


def _all_of(terminal: int) -> str:
    shown = b""
    try:
        while block := os.read(terminal, 4096):
            shown += block
    except OSError:  # Linux' way to say that the other side has closed
        pass
    finally:
        os.close(terminal)
    return shown.decode(errors="replace")
