"""The whole system on one machine, on loopback, made of real parts.

    python -m infra.local [--slide PATH] [--once] [--port 8000] [--workers 2] [--emulator ministack]

Starts MongoDB, S3 + SQS + DynamoDB, the API and the workers, publishes a slide, and stays up
until Ctrl-C. Everything it keeps is under .local/, and no process outlives it: children are
stopped in order, and the kernel ends them if the launcher is killed. If a system of this checkout
is running already, the slide is handed to that one.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import functools
import hashlib
import io
import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import PyMongoError
from tqdm import tqdm

from infra import client, emulator, mongod, sample
from infra.children import (
    LOOPBACK,
    Child,
    LocalError,
    describe_end,
    die_with,
    free_port,
    port_is_free,
    raise_open_files_limit,
)
from infra.client import Stack
from infra.provision import Clients, Provisioned, provision
from infra.seed import Seeded, seed

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".local"
DEFAULT_PORT = 8000
# Of each worker. S3 keeps a thread waiting, for which the functions have one more; here it would be memory only.
WORKER_THREADS = "2"
# How long the message of a killed worker stays hidden. Workers renew it while they work.
VISIBILITY_SECONDS = 15
_QUICK_DEATH_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 0.2


class StopRequestedError(Exception):
    """Ctrl-C or SIGTERM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    slide: Path | None
    once: bool
    port: int | None
    workers: int
    emulator: str


@dataclass(slots=True)
class Kept:
    """A child that is started again when it dies, and when that may happen next."""

    child: Child
    started_at: float = 0.0
    pause_seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class System:
    """The parts of a running system. `stores` end it when they die; `kept` are started again."""

    stack_path: Path
    stores: list[Child] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    def keep(self, child: Child) -> None:
        """Start a child that from now on is started again whenever it dies."""
        child.start()
        self.kept.append(Kept(child, started_at=time.monotonic()))

    def drop(self, child: Child) -> None:
        """End a child and keep it no longer."""
        child.stop()
        self.kept = [kept for kept in self.kept if kept.child is not child]

    def look_after(self) -> None:
        """Start again what died. Raises LocalError if a store is gone, for its contents are too."""
        for store in self.stores:
            if not store.alive:
                raise store.failure(f"ended with {describe_end(store)}")
        changed = [kept for kept in self.kept if self._revive(kept)]
        if changed:
            self.write()

    def _revive(self, kept: Kept) -> bool:
        now = time.monotonic()
        if kept.child.alive:
            return False
        if now - kept.started_at < kept.pause_seconds:
            return False
        end, old_pid = describe_end(kept.child), kept.child.pid
        # What dies at once would be started without end: wait longer each time.
        quick = now - kept.started_at < _QUICK_DEATH_SECONDS + kept.pause_seconds
        kept.pause_seconds = min(2 * kept.pause_seconds + 0.5, _LONGEST_PAUSE_SECONDS) if quick else 0.0
        kept.child.start()
        kept.started_at = now
        tqdm.write(f"{kept.child.name} (pid {old_pid}) ended with {end}; started again as pid {kept.child.pid}")
        return True

    def write(self) -> None:
        """Write stack.json, whole or not at all, readable by this user only."""
        pids = {
            "launcher": os.getpid(),
            "api": self._pid("api"),
            "emulator": self._pid("emulator"),
            "mongod": self._pid("mongod"),
            "workers": [kept.child.pid for kept in self.kept if kept.child.name.startswith("worker")],
        }
        unfinished = self.stack_path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({**self.document, "pids": pids}, file, indent=2)
        unfinished.replace(self.stack_path)

    def runs(self, name: str) -> bool:
        """Whether a child of this name is part of the system."""
        return self._pid(name) is not None

    def _pid(self, name: str) -> int | None:
        children = [*self.stores, *(kept.child for kept in self.kept)]
        return next((child.pid for child in children if child.name.startswith(name)), None)

    def stop(self) -> None:
        """End every child, those first that use the others."""
        self.stack_path.unlink(missing_ok=True)
        for group in ([kept.child for kept in self.kept], self.stores):
            for child in group:
                child.terminate()
            for child in group:
                child.finish(within_seconds=10)


# ---- starting ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Steps:
    """The steps of a start by name, numbered as they begin: `2/5 Starting MongoDB`."""

    texts: Mapping[str, str]
    begun: int = 0

    def begin(self, name: str) -> None:
        """Print that a step begins, and how many there are."""
        self.begun += 1
        print(f"{self.begun}/{len(self.texts)} {self.texts[name]}")


def plan_steps(options: Options, environment: Mapping[str, str], state: Path) -> Steps:
    """Return what a start has to do on this machine: some of it only the first time. Raises LocalError."""
    texts = {}
    endpoint = emulator.users_endpoint(environment)
    is_ministack = endpoint is None and options.emulator == "ministack"
    if options.slide is None and not (state / "samples" / sample.NAME).exists():
        texts["sample"] = f"Drawing a sample slide of {sample.WIDTH_PX} x {sample.HEIGHT_PX} px"
    if is_ministack and not emulator.ministack_is_installed(state):
        texts["install"] = "Installing ministack, the emulator of S3, SQS and DynamoDB (only the first time)"
    services = "S3, SQS and DynamoDB"
    texts["emulator"] = f"Connecting to {services} at {endpoint}" if endpoint else f"Starting {services}"
    own_mongo = bool(environment.get("MONGO_URI", "").strip())
    texts["mongodb"] = "Connecting to MongoDB at MONGO_URI" if own_mongo else "Starting MongoDB"
    texts["service"] = f"Starting the API and {options.workers} worker{'s' if options.workers > 1 else ''}"
    texts["publish"] = f"Publishing {options.slide.name if options.slide else sample.NAME}"
    return Steps(texts)


def start(options: Options, system: System, steps: Steps) -> Stack:
    """Start every part and describe the whole in stack.json. Raises LocalError."""
    port = choose_port(options.port)
    endpoint = start_stores(options, system, steps)
    steps.begin("service")
    uri = os.environ["MONGO_URI"]
    token = kept_token(STATE / "token")
    callback_secret = os.environ.get("SLIDEHOOK_CALLBACK_SECRETS") or kept_callback_secret(STATE / "callback-secret")
    made = provision(
        Clients.from_environment(),
        prefix=prefix(ours=endpoint.child is not None),
        visibility_seconds=VISIBILITY_SECONDS,
        parameters={
            "Stage": "local",
            "MongoUri": uri,
            "TokensSha256": hashlib.sha256(token.encode()).hexdigest(),
            "AllowAnonymousLocalReads": "true",
            "CallbackSecrets": callback_secret,
            "MongoOpenFiles": str(raise_open_files_limit() if system.runs("mongod") else 0),
            "PageOrigins": f"http://{LOOPBACK}:{port},http://localhost:{port}",
        }
        | chosen_parameters(os.environ),
    )
    seeded = seed(uri, made.environment["SLIDEHOOK_ADMIN_DB"])
    share = {"SLIDEHOOK_THREADS": WORKER_THREADS, "SLIDEHOOK_CORES": str(max(1, cores() // options.workers))}
    # Here a receiver of callbacks is most likely a program beside this one.
    here = {"SLIDEHOOK_CALLBACK_LOOPBACK": "true"}
    environment = share | here | child_environment() | dict(made.environment)
    start_workers(options.workers, system, environment, prefix(ours=endpoint.child is not None))
    port = start_api(port, system, environment, may_move=options.port is None)
    system.document = describe(made, seeded, endpoint.endpoint, token, port)
    system.document["callback_secret"] = callback_secret
    system.write()
    return Stack.from_json(system.document)


def cores() -> int:
    """Return how many cores this process may use; the workers share them."""
    return len(os.sched_getaffinity(0))


def start_stores(options: Options, system: System, steps: Steps) -> emulator.Emulator:
    """Start, or find, the database and the emulator; leave their addresses in the environment."""
    if "install" in steps.texts:
        steps.begin("install")
        emulator.ensure_ministack(STATE)
    steps.begin("emulator")
    users_endpoint = emulator.users_endpoint(os.environ)
    users_mongo = os.environ.get("MONGO_URI", "").strip()
    if users_endpoint and not emulator.reachable(users_endpoint):
        raise LocalError(f"Nothing answers at {users_endpoint}, which AWS_ENDPOINT_URL or LOCALSTACK_HOST names.")
    if users_mongo and not mongod.answers(users_mongo, 5000):
        raise LocalError("No MongoDB answers at the address in MONGO_URI.")
    raise_open_files_limit()
    environment = child_environment()
    if users_endpoint:
        found = emulator.Emulator(endpoint=users_endpoint, child=None)
    else:
        found = emulator.start(options.emulator, STATE, environment, system.stores)
    os_environ = emulator.aws_environment(os.environ, found.endpoint, ours=found.child is not None)
    steps.begin("mongodb")
    if not users_mongo:
        users_mongo = mongod.start(STATE, environment, system.stores)
    os.environ.clear()
    os.environ.update(os_environ | {"MONGO_URI": users_mongo})
    return found


def start_workers(count: int, system: System, environment: Mapping[str, str], name_prefix: str) -> None:
    """Start the workers; the first one has the minute timer. Barriers of an earlier run are removed."""
    barriers = STATE / "barriers"
    shutil.rmtree(barriers, ignore_errors=True)
    for number in range(1, count + 1):
        arguments = ["infra.pump", "--number", str(number), "--prefix", name_prefix, "--barriers", str(barriers)]
        named = {**environment, "SLIDEHOOK_WORKER": f"worker-{number}"}
        system.keep(python_child(f"worker {number}", arguments, named))


def start_api(port: int, system: System, environment: Mapping[str, str], *, may_move: bool) -> int:
    """Start the API and return its port: another one than `port` if that was taken meanwhile and it `may_move`."""
    while True:
        api = python_child("api", ["infra.api", "--port", str(port)], {**environment, "SLIDEHOOK_WORKER": "api"})
        system.keep(api)
        try:
            api.wait_until(functools.partial(serves, api, port))
        except LocalError:
            if not may_move or "Address already in use" not in api.tail(50):
                raise
            system.drop(api)
            port = free_port()
        else:
            return port


def serves(api: Child, port: int) -> bool:
    """Whether this very API answers: on a taken port another system's would, in its place."""
    return "Serving on" in api.tail(50) and emulator.responds(f"http://{LOOPBACK}:{port}/health")


def python_child(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
    """Return a process of this project's own."""
    return Child(
        name=name,
        command=[sys.executable, "-m", *arguments],
        log_path=STATE / "log" / f"{name.replace(' ', '-')}.log",
        environment=environment,
        directory=ROOT,
    )


def child_environment() -> dict[str, str]:
    """Return the environment for children: ours, with Python's output unbuffered."""
    return dict(os.environ) | {"PYTHONUNBUFFERED": "1"}


def describe(made: Provisioned, seeded: Seeded, endpoint: str, token: str, port: int) -> dict[str, Any]:
    """Return what stack.json tells clients."""
    return {
        "api": f"http://{LOOPBACK}:{port}",
        "aws_endpoint": endpoint,
        "region": made.region,
        "mongo_uri": made.environment["SLIDEHOOK_MONGO_URI"],
        "admin_db": made.environment["SLIDEHOOK_ADMIN_DB"],
        "bucket": made.incoming_bucket,
        "jobs_queue": made.queues["JobsQueue"].url,
        "jobs_table": made.jobs_table,
        "collection": seeded.collection,
        "session": seeded.session,
        "image_store": seeded.image_store,
        "token": token,
    }


def chosen_parameters(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the template's parameters that the user's environment sets by the functions' own names."""
    names = {
        "SLIDEHOOK_ADMIN_DB": "AdminDb",
        "SLIDEHOOK_CALLBACK_URLS": "CallbackUrls",
        "SLIDEHOOK_CHUNK_BYTES": "ChunkBytes",
        "SLIDEHOOK_MONGO_OPEN_FILES": "MongoOpenFiles",
        "SLIDEHOOK_ALLOW_ANONYMOUS_LOCAL_READS": "AllowAnonymousLocalReads",
        "SLIDEHOOK_SOURCE_BUCKETS": "SourceBuckets",
        "SLIDEHOOK_TOKENS": "Tokens",
        "SLIDEHOOK_WEBHOOK_SECRETS": "WebhookSecrets",
        "SLIDEHOOK_SESSION_KEY": "SessionKey",
        "SLIDEHOOK_CORS_ORIGINS": "CorsOrigins",
    }
    return {parameter: environment[name] for name, parameter in names.items() if environment.get(name)}


def prefix(*, ours: bool) -> str:
    """Return what the names of queues, table and buckets begin with.

    On an endpoint that others may use too, each checkout has names of its own: workers of two
    checkouts must not take each other's messages.
    """
    return "slidehook" if ours else f"slidehook-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"


def choose_port(wanted: int | None) -> int:
    """Return the API's port. Raises LocalError if the user's own choice is taken."""
    if wanted is not None:
        if not port_is_free(wanted):
            raise LocalError(f"Port {wanted} is taken. Choose another with PORT=, or leave it out.")
        return wanted
    if port_is_free(DEFAULT_PORT):
        return DEFAULT_PORT
    port = free_port()
    print(f"Port {DEFAULT_PORT} is taken; using {port}")
    return port


def kept_token(path: Path) -> str:
    """Return this checkout's bearer token, made on first use and printed then, readable by this user only."""

    def made() -> str:
        token = secrets.token_urlsafe(32)
        print(f"token   {token}\n        made for this checkout, with all rights; .local/stack.json has it from now on")
        return token

    return kept(path, made)


def kept_callback_secret(path: Path) -> str:
    """Return the secret that this checkout signs callbacks with, made and kept likewise."""
    return kept(path, lambda: f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return a secret of this checkout, made on first use, readable by this user only."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make())
    return path.read_text(encoding="ascii").strip()


# ---- running -----------------------------------------------------------------------------------


def launch(options: Options) -> int:
    """Start the system, publish the slide, stay up if asked to; return the exit code."""
    began_at = time.monotonic()
    system = System(stack_path=STATE / "stack.json")
    system.stack_path.unlink(missing_ok=True)
    try:
        steps = plan_steps(options, os.environ, STATE)
        if "sample" in steps.texts:
            steps.begin("sample")
        slide = options.slide or sample.ensure_sample(STATE / "samples")
        stack = start(options, system, steps)
        print(f"The system is up after {time.monotonic() - began_at:.1f} s: {stack.api}/")
        if not options.once:
            print_sign_in_link(stack)
        steps.begin("publish")
        state = publish(slide, stack, system)
        if options.once:
            return 0 if state == "done" else 1
        print("It stays up until Ctrl-C. Everything a client needs is in .local/stack.json")
        while True:
            system.look_after()
            time.sleep(_LOOK_EVERY_SECONDS)
    except StopRequestedError:
        print("\nStopping")
        return 130 if options.once else 0
    finally:
        with deaf_to_signals():
            system.stop()


def attach(options: Options, stack: Stack) -> int:
    """Hand the slide to the system that runs already; return the exit code."""
    print(f"This checkout's system is running already: {stack.api}/")
    print_sign_in_link(stack)
    if options.port is not None and not stack.api.endswith(f":{options.port}"):
        print(f"It keeps its port; PORT={options.port} has no effect")
    slide = options.slide or sample.ensure_sample(STATE / "samples")
    try:
        return 0 if publish(slide, stack, None) == "done" else 1
    except StopRequestedError:
        print("\nNo longer following; the job goes on")
        return 130


def print_sign_in_link(stack: Stack) -> None:
    """Print a link that signs one browser in with this checkout's token."""
    link = stack.call("POST", "/sign-in/links")["url"]
    print(f"sign in {link}\n        works once, within 15 minutes; `make run` in another terminal prints a new one")


def publish(slide: Path, stack: Stack, system: System | None) -> str:
    """Upload and submit a slide and follow its job; return the state in which it ended."""
    address = client.upload(slide, stack, boto3.client("s3"))
    began_at = time.monotonic()
    job = client.submit(address, stack)
    print(f"page    {stack.api}/")
    print(f"status  {stack.api}/jobs/{job['id']}")
    if job["state"] in client.ENDED:
        print("This very slide was submitted before; its job has ended already")
        print(client.summary(job, stack, None))
        return str(job["state"])
    job = client.follow(job, stack, system.look_after if system else lambda: None)
    print(client.summary(job, stack, time.monotonic() - began_at))
    return str(job["state"])


def running_stack(lock_holder_seconds: float = 60) -> Stack:
    """Return the running system of this checkout, waiting while it starts. Raises LocalError."""
    deadline = time.monotonic() + lock_holder_seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError):
            document = json.loads((STATE / "stack.json").read_text(encoding="utf-8"))
            stack = Stack.from_json(document)
            if stack.healthy():
                os_environ = emulator.aws_environment(
                    os.environ, document["aws_endpoint"], ours=document["pids"]["emulator"] is not None
                )
                os.environ.clear()
                os.environ.update(os_environ)
                return stack
        time.sleep(_LOOK_EVERY_SECONDS)
    raise LocalError(
        f"Another `make run` of this checkout holds {STATE / 'lock'} but does not answer. "
        "Stop it, or see .local/log/ for what it waits for."
    )


@contextlib.contextmanager
def only_launcher(path: Path) -> Iterator[bool]:
    """Tell whether this process is the one launcher of this checkout, and hold that until the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextlib.contextmanager
def deaf_to_signals() -> Iterator[None]:
    """Finish stopping even if the user presses Ctrl-C again."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    yield


def request_stop(_signal: int, _frame: FrameType | None) -> None:
    """End whatever the launcher is doing."""
    raise StopRequestedError


def end_with_make() -> None:
    """Stop in order if `make`, which started this, is killed: nobody could stop it otherwise."""
    ask_kernel = die_with(os.getppid(), signal.SIGTERM)
    if ask_kernel is not None:
        ask_kernel()


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Options:
    """Return the options. Exits with 2 and one sentence if they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description="Run Slidehook on this machine.")
    parser.add_argument("--slide", metavar="PATH", help="publish this file; without it a sample is drawn")
    parser.add_argument("--once", action="store_true", help="stop after the job; exit 0 only if it is done")
    parser.add_argument("--port", metavar="NUMBER", help=f"of the API (default {DEFAULT_PORT})")
    parser.add_argument("--workers", metavar="NUMBER", default="2", help="worker processes (default 2)")
    parser.add_argument("--emulator", choices=emulator.KINDS, default=emulator.KINDS[0])
    given = parser.parse_args(arguments)
    slide = Path(given.slide).expanduser() if given.slide else None
    if slide is not None and (problem := unreadable(slide)):
        refuse(problem)
    if emulator_is_users(environment) and given.emulator != emulator.KINDS[0]:
        print("AWS_ENDPOINT_URL or LOCALSTACK_HOST is set; EMULATOR has no effect")
    return Options(
        slide=slide.resolve() if slide else None,
        once=given.once,
        port=whole_number("port", given.port, 1, 65535) if given.port else None,
        workers=whole_number("workers", given.workers, 1, 64),
        emulator=given.emulator,
    )


def refuse(problem: str) -> NoReturn:
    """End with one sentence, as a command line that makes no sense ends."""
    print(f"error: {problem}", file=sys.stderr)
    sys.exit(2)


def emulator_is_users(environment: Mapping[str, str]) -> bool:
    """Whether the user's environment names an endpoint."""
    return bool(environment.get("AWS_ENDPOINT_URL") or environment.get("LOCALSTACK_HOST"))


def unreadable(slide: Path) -> str | None:
    """Return why a slide cannot be read, or None."""
    if not slide.exists():
        return f"there is no file {slide}"
    if not slide.is_file():
        return f"{slide} is not a file"
    if not os.access(slide, os.R_OK):
        return f"{slide} may not be read by this user"
    return None


def whole_number(name: str, text: str, least: int, most: int) -> int:
    """Return the number in `text`, or end with a sentence."""
    if not text.isdecimal() or not least <= int(text) <= most:
        refuse(f"{name} must be a whole number from {least} to {most}, not {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments, os.environ)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, request_stop)
    if "MAKELEVEL" in os.environ:
        end_with_make()
    # Children are forked: no thread may run beside that, and tqdm would start one.
    tqdm.monitor_interval = 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        with only_launcher(STATE / "lock") as ours:
            return launch(options) if ours else attach(options, running_stack())
    except StopRequestedError:
        return 130
    except (LocalError, BotoCoreError, ClientError, PyMongoError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
