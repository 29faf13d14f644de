"""Start of all parts of the local system, in order."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.config import read_settings
from chalicelib.core.errors import SchemaError
from chalicelib.services import Services
from chalicelib.steps.migrate import migrate
from infra.local import emulator, mongod, sample
from infra.local.children import (
    LOOPBACK,
    Child,
    LocalError,
    free_port,
    raise_open_files_limit,
)
from infra.local.client import Stack
from infra.local.credentials import choose_port, kept_callback_secret, kept_token
from infra.local.options import Options
from infra.local.provision import Clients, Provisioned, provision
from infra.local.seed import Seeded, seed
from infra.local.supervisor import ROOT, STATE, System

# Of each worker. S3 keeps a thread waiting, for which the functions have one more; here it would be memory only.
WORKER_THREADS = "2"


# How long the message of a killed worker stays hidden. Workers renew it while they work.
VISIBILITY_SECONDS = 15


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
    # A receiver of callbacks is most likely another program on this machine.
    here = {"SLIDEHOOK_CALLBACK_LOOPBACK": "true"}
    environment = share | here | child_environment() | dict(made.environment)
    migrate_stores(environment)
    start_workers(options.workers, system, environment, prefix(ours=endpoint.child is not None))
    port = start_api(port, system, environment, may_move=options.port is None)
    system.document = describe(made, seeded, endpoint.endpoint, token, port)
    system.document["callback_secret"] = callback_secret
    system.write()
    return Stack.from_json(system.document)


def migrate_stores(environment: Mapping[str, str]) -> None:
    """Change stored data of an earlier version to this one's format. Raises LocalError for data of a later version."""
    with closing(Services(read_settings(environment))) as services:
        for schema in services.schemas:
            try:
                migrate(schema, write=True)
            except SchemaError as error:
                raise LocalError(f"{error}. {error.advice}") from error


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
        arguments = ["infra.local.pump", "--number", str(number), "--prefix", name_prefix, "--barriers", str(barriers)]
        named = {**environment, "SLIDEHOOK_WORKER": f"worker-{number}"}
        system.keep(python_child(f"worker {number}", arguments, named))


def start_api(port: int, system: System, environment: Mapping[str, str], *, may_move: bool) -> int:
    """Start the API and return its port: another one than `port` if that was taken meanwhile and it `may_move`."""
    while True:
        api = python_child("api", ["infra.local.api", "--port", str(port)], {**environment, "SLIDEHOOK_WORKER": "api"})
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
