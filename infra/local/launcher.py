"""The whole system on one machine, on loopback, made of real parts.

    python -m infra.local [--slide PATH] [--once] [--port 8000] [--workers 2] [--emulator ministack]

Starts MongoDB, S3 + SQS + DynamoDB, the API and the workers, publishes a slide, and stays up
until Ctrl-C. Everything it keeps is under .local/, and no process outlives it: children are
stopped in order, and the kernel ends them if the launcher is killed. If a system of this checkout
is running already, the slide is handed to that one.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import PyMongoError
from tqdm import tqdm

from infra.local import client, emulator, sample
from infra.local.children import (
    LocalError,
    die_with,
)
from infra.local.client import Stack
from infra.local.options import Options, parse
from infra.local.stack import plan_steps, start
from infra.local.supervisor import STATE, StopRequestedError, System

_LOOK_EVERY_SECONDS = 0.2


# ---- starting ----------------------------------------------------------------------------------


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
