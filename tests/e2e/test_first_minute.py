"""The first minute of a new user: the output of `make run`, its sign-in link, and the commands of README."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import urllib3

from infra.local import options as options_module
from infra.local import stack as stack_module
from tests.e2e.system import ROOT, LocalSystem, started

pytestmark = pytest.mark.xdist_group("first minute")

README = "\n" + (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"sign in (http://127\.0\.0\.1:\d+/sign-in/links/[\w-]{43})\n")
# What differs from run to run.
VARYING = (
    (r"\b[0-9a-f]{24,32}\b", "ID"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"links/[\w-]{43}", "links/CODE"),
    (r"token   [\w-]{43}", "token   TOKEN"),
    (r"[\d.]+ s\b", "SECONDS s"),
    (r"\d+ tiles/s", "RATE tiles/s"),
    (r"^\d/\d ", "N/M "),
)
# Stand-ins for the programs that README uses, for machines without them.
CURL = f"""#!{sys.executable}
import sys, urllib3
method, url, headers, body, rest = "GET", "", {{}}, None, sys.argv[1:]
while rest:
    given = rest.pop(0)
    if given == "-H":
        headers.update([rest.pop(0).split(": ", 1)])
    elif given == "-d":
        method, body = "POST", rest.pop(0)
    elif given != "-i":
        url = given
answer = urllib3.request(method, url, body=body, headers=headers)
print(f"HTTP/1.1 {{answer.status}} {{answer.reason}}")
print("\\n".join(f"{{name}}: {{value}}" for name, value in answer.headers.items()), answer.data.decode(), sep="\\n\\n", end="")
"""
AWS = f"""#!{sys.executable}
import os, sys, boto3
file, url = [each for each in sys.argv[1:] if not each.startswith("--")][-2:]
assert sys.argv[1:3] == ["s3", "cp"]
bucket, _, key = url.removeprefix("s3://").partition("/")
boto3.client("s3").upload_file(file, bucket, key)
print(f"upload: {{file}} to {{url}}")
"""
STAND_INS = {"curl": CURL, "aws": AWS}


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A system of its own: nobody else has used it, nor tried to sign in."""
    with started(tmp_path_factory.mktemp("slidehook"), sample=True) as running:
        yield running


def printed(first_run: LocalSystem) -> str:
    return (first_run.folder / "output.log").read_text(encoding="utf-8")


def blocks(section: str) -> list[tuple[str, str]]:
    """Return (language, text) of each fenced block of a section of README."""
    text = README.partition(f"\n{section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def normal(line: str) -> str:
    for pattern, word in VARYING:
        line = re.sub(pattern, word, line)
    return line


def unprinted(recorded: str, lines: list[str]) -> list[str]:
    """Return the lines that README shows and nothing has printed. `…` stands for the rest of a line."""
    found = [normal(line) for line in lines]
    return [
        line
        for line in map(normal, recorded.splitlines())
        if not any(each == line or (line.endswith("…") and each.startswith(line[:-1])) for each in found)
    ]


def test_run_prints_numbered_steps_and_no_bar_into_a_log(first_run: LocalSystem) -> None:
    text = printed(first_run)
    steps = re.findall(r"^(\d)/(\d) ", text, re.MULTILINE)
    assert steps == [(str(number), str(len(steps))) for number in range(1, len(steps) + 1)]
    assert len(steps) == 5
    assert "\r" not in text
    assert "%|" not in text
    begin, end = text.index("Uploading 2.8 MB to s3://"), text.index("done: sample-4096x3072.tif")
    assert begin < end < text.index("  tiles   257 of 257, 2.8 MB in")


def test_readme_shows_what_the_first_run_prints(first_run: LocalSystem, tmp_path: Path) -> None:
    options = options_module.parse([], {})
    first_time = [f"1/6 {text}" for text in stack_module.plan_steps(options, {}, tmp_path).texts.values()]
    (recorded,) = (text for _, text in blocks("## Try it") if text.startswith("1/6 "))
    assert unprinted(recorded, [*printed(first_run).splitlines(), *first_time]) == []


def test_second_run_prints_a_link_that_signs_in_once(first_run: LocalSystem) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLIDEHOOK", "AWS_"))}
    command = [sys.executable, "-m", "infra.local"]
    ran = subprocess.run(command, cwd=first_run.folder, env=environment, capture_output=True, text=True, check=True)
    first, second = (LINK.search(text) for text in (printed(first_run), ran.stdout))
    assert first is not None
    assert second is not None
    assert first[1] != second[1]
    answers = [urllib3.request("GET", second[1], redirect=False) for _ in range(2)]
    assert [(answer.status, answer.headers.get("Location")) for answer in answers] == [(303, "/"), (410, None)]
    cookie = answers[0].headers["Set-Cookie"].partition(";")[0]
    recorded = urllib3.request("GET", f"{first_run.stack['api']}/sign-in", headers={"Cookie": cookie}).json()
    assert (recorded["name"], recorded["collections"]) == ("token", None)
    assert second[1].rpartition("/")[2] not in first_run.log


@pytest.fixture
def shell(first_run: LocalSystem, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell in the running checkout, which a test makes complete."""
    for name, target in ((".venv", Path(sys.prefix)), ("ptif_upload.py", ROOT / "ptif_upload.py")):
        if not (first_run.folder / name).exists():
            (first_run.folder / name).symlink_to(target)
    for name, text in STAND_INS.items():
        if shutil.which(name) is None:
            (tmp_path / name).write_text(text, encoding="utf-8")
            (tmp_path / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLIDEHOOK", "AWS_"))}
    return kept | {"PATH": f"{kept['PATH']}:{tmp_path}"}


def test_commands_of_readme_print_what_it_shows(first_run: LocalSystem, shell: dict[str, str]) -> None:
    found = blocks("## Submit a slide")
    commands = [text for language, text in found if language == "sh"]
    outputs = [recorded for (language, _), (_, recorded) in pairwise(found) if language == "sh"]
    assert (len(commands), len(outputs)) == (3, 3)
    for command, text in zip(("curl -i $API/hooks/upload", "aws s3 cp", "ptif_upload.py -i"), commands, strict=True):
        assert command in text
    # In one shell: the later blocks use the variables of the first.
    script = "\n".join(f"{text}\nprintf '\\n'" for text in commands)
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=first_run.folder, env=shell, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert unprinted("".join(outputs), [*ran.stdout.splitlines(), *ran.stderr.splitlines()]) == []
