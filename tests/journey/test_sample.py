"""The sample: what `make run` publishes when it is given no slide."""

import re
from pathlib import Path

import pytest

from tests.journey.system import started


@pytest.mark.long
def test_a_system_without_a_slide_draws_and_publishes_a_sample(tmp_path: Path) -> None:
    with started(tmp_path, sample=True) as system:
        (job,) = system.call("GET", "/jobs").json()["jobs"]
        assert job["state"] == "done"
        assert re.fullmatch(r"direct/\w+/\w+/sample-\d+x\d+\.tif", job["source"]["key"])
        assert system.session_views() == [job["result"]["view"]]
