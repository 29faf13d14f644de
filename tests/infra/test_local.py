"""The parts of the local launcher that need no running system; tests/e2e has the whole."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chalicelib.core.jobs.deliveries import parse_secrets
from infra.deploy.package import ROOT
from infra.local import credentials as credentials_module
from infra.local import emulator, seed, supervisor
from infra.local import launcher as local
from infra.local import options as options_module
from infra.local import stack as stack_module
from infra.local.children import LOOPBACK, Child, LocalError, port_is_free
from infra.local.client import Stack, summary
from infra.local.mongod import PORT_FILE, kept_port
from infra.local.supervisor import System
from tests.timeouts import eventually


def python(folder: Path, code: str, *, name: str = "worker 1") -> Child:
    return Child(
        name=name,
        command=[sys.executable, "-c", textwrap.dedent(code)],
        log_path=folder / "log" / f"{name}.log",
        environment=dict(os.environ),
        directory=folder,
    )


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    found = System(stack_path=tmp_path / "stack.json")
    yield found
    found.stop()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        yield server.getsockname()[1]


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one sentence with which a command line is refused."""
    with pytest.raises(SystemExit) as end:
        options_module.parse(arguments, {})
    assert end.value.code == 2
    return capsys.readouterr().err.strip()


def test_a_slide_that_is_not_there_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(["--slide", "/no/such.svs"], capsys) == "error: there is no file /no/such.svs"


def test_a_folder_is_no_slide(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert refusal(["--slide", str(tmp_path)], capsys) == f"error: {tmp_path} is not a file"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "8000.5"])
def test_a_port_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert refusal([f"--port={port}"], capsys) == f"error: port must be a whole number from 1 to 65535, not {port!r}"


def test_a_system_without_workers_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(["--workers", "0"], capsys) == "error: workers must be a whole number from 1 to 64, not '0'"


def test_a_port_that_the_user_chose_and_is_taken_is_an_error(taken_port: int) -> None:
    with pytest.raises(LocalError, match=f"Port {taken_port} is taken"):
        credentials_module.choose_port(taken_port)


def test_the_default_port_gives_way_when_it_is_taken(
    taken_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(credentials_module, "DEFAULT_PORT", taken_port)
    chosen = credentials_module.choose_port(None)
    assert chosen != taken_port
    assert capsys.readouterr().out == f"Port {taken_port} is taken; using {chosen}\n"


def test_the_secret_of_callbacks_is_one_that_the_service_takes_and_made_once(tmp_path: Path) -> None:
    secret = credentials_module.kept_callback_secret(tmp_path / "secret")
    assert len(parse_secrets(secret)) == 1
    assert credentials_module.kept_callback_secret(tmp_path / "secret") == secret
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_the_token_is_made_once_and_for_this_user_only(tmp_path: Path) -> None:
    token = credentials_module.kept_token(tmp_path / "token")
    assert len(token) >= 32
    assert credentials_module.kept_token(tmp_path / "token") == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_the_token_is_printed_when_it_is_made_and_not_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = credentials_module.kept_token(tmp_path / "token")
    assert token in capsys.readouterr().out
    credentials_module.kept_token(tmp_path / "token")
    assert capsys.readouterr().out == ""


def test_stack_json_is_for_this_user_only_and_names_the_processes(tmp_path: Path, system: System) -> None:
    system.keep(python(tmp_path, "import time; time.sleep(60)"))
    system.document = {"api": "http://127.0.0.1:1"}
    system.write()
    path = tmp_path / "stack.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = json.loads(path.read_text())
    assert written["api"] == "http://127.0.0.1:1"
    assert written["pids"]["workers"] == [system.kept[0].child.pid]
    assert written["pids"]["launcher"] == os.getpid()


def test_a_worker_that_is_killed_is_started_again_and_stack_json_says_so(tmp_path: Path, system: System) -> None:
    system.keep(python(tmp_path, "import time; time.sleep(60)"))
    system.write()
    worker = system.kept[0].child
    killed = worker.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: system.look_after() or worker.pid != killed)
    assert worker.alive
    assert json.loads((tmp_path / "stack.json").read_text())["pids"]["workers"] == [worker.pid]


def test_a_worker_that_dies_at_once_is_started_less_and_less_often(
    tmp_path: Path, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        supervisor, "_QUICK_DEATH_SECONDS", 3600.0
    )  # on a busy machine an interpreter takes long to start
    system.keep(python(tmp_path, "raise SystemExit(3)"))
    kept = system.kept[0]
    eventually(lambda: system.look_after() or kept.child.starts == 3)
    assert kept.pause_seconds > 1


def test_a_store_that_dies_ends_the_system_with_the_end_of_its_log(tmp_path: Path, system: System) -> None:
    store = python(tmp_path, "print('disk full'); raise SystemExit(14)", name="mongod")
    store.start()
    system.stores.append(store)
    eventually(lambda: not store.alive)
    with pytest.raises(LocalError, match=r"(?s)mongod ended with exit code 14.*mongod\.log.*disk full"):
        system.look_after()


def test_a_store_that_never_gets_ready_is_an_error(tmp_path: Path, system: System) -> None:
    store = python(tmp_path, "import time; time.sleep(60)", name="mongod")
    store.start()
    system.stores.append(store)
    with pytest.raises(LocalError, match="was not ready"):
        store.wait_until(lambda: False, within_seconds=0.1)


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    child = python(
        tmp_path,
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(60)
        """,
    )
    child.start()
    eventually(lambda: "deaf" in child.tail())
    child.stop(within_seconds=0.1)
    assert not child.alive


def test_a_stopped_worker_can_still_be_ended(tmp_path: Path) -> None:
    child = python(tmp_path, "import time; time.sleep(60)")
    child.start()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    child.stop()
    assert not child.alive


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_children_end_when_the_launcher_is_killed(tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                import sys, time
                from pathlib import Path
                from infra.local.children import Child
                child = Child(name="worker", command=[sys.executable, "-c", "import time; time.sleep(60)"],
                              log_path=Path({str(tmp_path)!r}) / "log", environment={{}}, directory=Path("/"))
                child.start()
                print(child.pid, flush=True)
                time.sleep(60)
            """),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        child = psutil.Process(pid)
        launcher.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_only_one_launcher_runs_in_a_checkout(tmp_path: Path) -> None:
    with local.only_launcher(tmp_path / "lock") as first, local.only_launcher(tmp_path / "lock") as second:
        assert (first, second) == (True, False)
    with local.only_launcher(tmp_path / "lock") as third:
        assert third


def test_an_emulator_of_ours_sees_nothing_of_the_users_account() -> None:
    users = {
        "AWS_ACCESS_KEY_ID": "real",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_PROFILE": "production",
        "AWS_REGION": "eu-north-1",
        "AWS_ENDPOINT_URL_S3": "https://elsewhere.example",
        "HOME": "/home/user",
    }
    assert emulator.aws_environment(users, "http://127.0.0.1:4566", ours=True) == {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "HOME": "/home/user",
    }


def test_an_endpoint_of_the_user_keeps_the_users_credentials() -> None:
    users = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs", "AWS_REGION": "eu-north-1"}
    found = emulator.aws_environment(users, "http://127.0.0.1:4566", ours=False)
    assert found["AWS_ACCESS_KEY_ID"] == "theirs"
    assert found["AWS_DEFAULT_REGION"] == "eu-north-1"


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({}, None),
        ({"AWS_ENDPOINT_URL": "http://10.0.0.5:4566"}, "http://10.0.0.5:4566"),
        ({"LOCALSTACK_HOST": "10.0.0.5:4567"}, "http://10.0.0.5:4567"),
        ({"LOCALSTACK_HOST": "10.0.0.5"}, "http://10.0.0.5:4566"),
    ],
)
def test_the_users_endpoint_is_found_as_localstacks_clients_find_it(
    settings: dict[str, str], endpoint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "LOCALSTACK_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert emulator.users_endpoint(settings) == endpoint


def test_a_localstack_host_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("LOCALSTACK_HOST", "host:port")
    with pytest.raises(LocalError, match="LOCALSTACK_HOST=host:port"):
        emulator.users_endpoint({"LOCALSTACK_HOST": "host:port"})


def test_names_on_a_shared_endpoint_are_this_checkouts_own() -> None:
    assert stack_module.prefix(ours=True) == "slidehook"
    assert stack_module.prefix(ours=False).startswith("slidehook-")


@pytest.mark.parametrize(
    ("uri", "fields"),
    [
        ("mongodb://127.0.0.1:27018/", {"host": "127.0.0.1:27018"}),
        ("mongodb://db.example", {"host": "db.example:27017"}),
        (
            "mongodb://ann:p%40ss@a:1,b:2/slideatlas?replicaSet=rs0",
            {"host": "a:1,b:2", "replica_set": "rs0", "username": "ann", "password": "p@ss", "auth_db": "slideatlas"},
        ),
        (
            "mongodb://ann:secret@a:1/?authSource=admin",
            {"host": "a:1", "username": "ann", "password": "secret", "auth_db": "admin"},
        ),
        ("mongodb://a:1/?tls=true", {"host": "mongodb://a:1/?tls=true"}),
        ("mongodb+srv://cluster.example/", {"host": "mongodb+srv://cluster.example/"}),
    ],
)
def test_an_image_store_says_where_its_server_is(uri: str, fields: dict[str, str]) -> None:
    assert seed.address(uri) == fields


def test_mongodb_keeps_its_port_while_nobody_else_takes_it(tmp_path: Path) -> None:
    with socket.socket() as ours:  # no other process gets it, and a server could still listen on it
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind((LOOPBACK, 0))
        port = ours.getsockname()[1]
        (tmp_path / PORT_FILE).write_text(f"{port}\n")
        assert kept_port(tmp_path) == port
        ours.listen()
        assert kept_port(tmp_path) != port
    (tmp_path / PORT_FILE).write_text("no port")
    assert port_is_free(kept_port(tmp_path))


def test_settings_of_the_user_go_before_those_of_a_local_run() -> None:
    environment = {"SLIDEHOOK_ALLOW_ANONYMOUS_LOCAL_READS": "false", "SLIDEHOOK_TOKENS": "", "HOME": "/"}
    assert stack_module.chosen_parameters(environment) == {"AllowAnonymousLocalReads": "false"}


def test_damaged_tiles_and_the_way_to_the_slide_are_in_the_summary() -> None:
    stack = Stack(api="http://here", bucket="b", collection="c", session="s", token="t", mongo_uri="mongodb://db/")
    job = {
        "id": "1e91", "state": "done", "source": {"key": "direct/c/s/a.svs"}, "tiles": {"done": 5, "total": 5},
        "bytes": {"done": 2_000_000}, "bad_tiles": {"count": 3}, "levels": [],
        "result": {"database": "slides", "image": "b80a"},
    }  # fmt: skip
    assert summary(job, stack, 2.0).splitlines() == [
        "done: a.svs",
        "  damaged 3 of its tiles cannot be read, and are shown as the status says",
        "  view    http://here/pages/viewer?slide=1e91",
        "  page    http://here/pages/job?id=1e91",
        "  status  http://here/jobs/1e91",
        "  mongo   mongodb://db/ database slides, collection b80a",
        "  tiles   5 of 5, 2.0 MB in 2.0 s, 2 tiles/s",
    ]
    assert "damaged" not in summary(job | {"bad_tiles": {"count": 0}}, stack, 2.0)


def options(**changes: Any) -> options_module.Options:
    given: dict[str, Any] = {"slide": None, "once": False, "port": None, "workers": 2, "emulator": "ministack"}
    return options_module.Options(**given | changes)


def test_first_run_announces_what_is_done_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = stack_module.plan_steps(options(), {}, tmp_path)
    for name in steps.texts:
        steps.begin(name)
    assert capsys.readouterr().out.splitlines() == [
        "1/6 Drawing a sample slide of 4096 x 3072 px",
        "2/6 Installing ministack, the emulator of S3, SQS and DynamoDB (only the first time)",
        "3/6 Starting S3, SQS and DynamoDB",
        "4/6 Starting MongoDB",
        "5/6 Starting the API and 2 workers",
        "6/6 Publishing sample-4096x3072.tif",
    ]


def test_second_run_has_fewer_steps(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "sample-4096x3072.tif").touch()
    steps = stack_module.plan_steps(options(emulator="moto", workers=1), {}, tmp_path)
    assert list(steps.texts) == ["emulator", "mongodb", "service", "publish"]
    assert steps.texts["service"] == "Starting the API and 1 worker"


def test_steps_name_the_users_servers_and_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "MONGO_URI": "mongodb://ann:secret@db/"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    steps = stack_module.plan_steps(options(slide=Path("/slides/a.svs")), environment, tmp_path)
    assert list(steps.texts.values()) == [
        "Connecting to S3, SQS and DynamoDB at http://127.0.0.1:4566",
        "Connecting to MongoDB at MONGO_URI",
        "Starting the API and 2 workers",
        "Publishing a.svs",
    ]
