"""S3, SQS and DynamoDB on loopback: the user's endpoint, ministack, or moto's server."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localstack_client.config import get_service_endpoint

from infra.local.children import LOOPBACK, Child, LocalError, free_port

REGION = "us-east-1"
KINDS = ("ministack", "moto")
_REQUIREMENTS = Path(__file__).resolve().parents[1] / "emulator-requirements.txt"
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """An endpoint, and the process behind it if it is ours."""

    endpoint: str
    child: Child | None


def users_endpoint(environment: Mapping[str, str]) -> str | None:
    """Return the endpoint that the user's environment names, or None. Raises LocalError."""
    if not environment.get("AWS_ENDPOINT_URL", "").strip() and not environment.get("LOCALSTACK_HOST", "").strip():
        return None
    try:
        return str(get_service_endpoint("s3"))
    except RuntimeError as error:
        raise LocalError(f"LOCALSTACK_HOST={environment['LOCALSTACK_HOST']}: {error}") from error


def aws_environment(environment: Mapping[str, str], endpoint: str, *, ours: bool) -> dict[str, str]:
    """Return `environment` made to reach `endpoint` and nothing else of AWS.

    For an emulator of our own every setting of the user's real account is taken out. For the
    user's endpoint the credentials stay, because that endpoint may check them.
    """
    kept = {name: value for name, value in environment.items() if not (ours and name.startswith("AWS_"))}
    kept |= {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    kept.setdefault("AWS_DEFAULT_REGION", environment.get("AWS_REGION", REGION) if not ours else REGION)
    if "AWS_PROFILE" not in kept:
        kept.setdefault("AWS_ACCESS_KEY_ID", "test")
        kept.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    if ours:
        kept |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept


def start(kind: str, state: Path, environment: Mapping[str, str], started: list[Child]) -> Emulator:
    """Start an emulator with its files under `state` and add it to `started`. Raises LocalError."""
    for attempt in range(1, _TRIES + 1):
        port = free_port()
        child = _ministack(port, state, environment) if kind == "ministack" else _moto(port, state, environment)
        started.append(child)
        child.start()
        endpoint = f"http://{LOOPBACK}:{port}"
        path = "/_ministack/health" if kind == "ministack" else "/moto-api/data.json"
        try:
            child.wait_until(lambda url=endpoint + path: responds(url))  # type: ignore[misc]
        except LocalError:
            child.stop()
            started.remove(child)
            if attempt == _TRIES or "in use" not in child.tail(50):
                raise
        else:
            return Emulator(endpoint=endpoint, child=child)
    raise AssertionError("the last attempt returns or raises")


def responds(url: str, timeout_seconds: float = 1) -> bool:
    """Whether something answers at `url` with success."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def reachable(url: str, timeout_seconds: float = 5) -> bool:
    """Whether something speaks HTTP at `url`, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=timeout_seconds).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def ensure_ministack(state: Path) -> Path:
    """Return the Python of ministack's own venv, made on first use. Raises LocalError.

    A venv of its own because ministack pins another botocore than the one that is deployed.
    """
    venv = _venv(state)
    state.mkdir(parents=True, exist_ok=True)
    with (state / "emulator-venv.lock").open("w") as lock:
        # Two test runs may want it at the same time; the second waits and finds it made.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ministack_is_installed(state):
            _install(venv, state / "log" / "emulator-setup.log")
            _stamp(venv).write_text(_digest())
    return venv / "bin" / "python"


def ministack_is_installed(state: Path) -> bool:
    """Whether ministack's venv under `state` is the one that the lock describes."""
    stamp = _stamp(_venv(state))
    return stamp.is_file() and stamp.read_text() == _digest()


def _venv(state: Path) -> Path:
    return state / "emulator-venv"


def _stamp(venv: Path) -> Path:
    return venv / "requirements.sha256"


def _digest() -> str:
    return hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()


def _install(venv: Path, log_path: Path) -> None:
    log_path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(venv, ignore_errors=True)
    # This Python's pip installs into the venv: putting another pip there first would double the time.
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")]
    locked = ["--require-hashes", "--no-deps", "-r", str(_REQUIREMENTS)]
    commands = (
        [sys.executable, "-m", "venv", "--without-pip", str(venv)],
        # The lock is complete: nothing is left to resolve (infra/setup.sh says what goes wrong otherwise).
        [*pip, "install", "--quiet", "--disable-pip-version-check", *locked],
    )
    with log_path.open("wb") as log:
        for command in commands:
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode != 0:
                tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-10:])
                raise LocalError(
                    f"Could not install ministack into {venv}; `make run EMULATOR=moto` does without it. "
                    f"The end of {log_path}:\n{tail}"
                )


def _ministack(port: int, state: Path, environment: Mapping[str, str]) -> Child:
    folder = state / "ministack"
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    settings = {
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1",
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(scratch),
    }
    return Child(
        name="emulator (ministack)",
        command=[str(ensure_ministack(state)), "-P", str(Path(__file__).with_name("run_ministack.py"))],
        log_path=state / "log" / "emulator.log",
        environment=_without_aws(environment) | settings,
        directory=state,
        on_launcher_death=signal.SIGTERM,
    )


def _moto(port: int, state: Path, environment: Mapping[str, str]) -> Child:
    return Child(
        name="emulator (moto)",
        command=[sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)],
        log_path=state / "log" / "emulator.log",
        environment=_without_aws(environment),
        directory=state,
        on_launcher_death=signal.SIGTERM,
    )


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    dropped = ("AWS_", "PYTHON", "LOCALSTACK_", "MINISTACK_")
    return {name: value for name, value in environment.items() if not name.startswith(dropped)}
