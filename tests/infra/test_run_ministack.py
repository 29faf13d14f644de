"""What the launcher of the emulator changes in it: a message that is sent ends the sleep of long polls."""

import asyncio
import threading

from infra.local.run_ministack import Doorbell
from tests.timeouts import TIMEOUT_SECONDS

LONG_SECONDS = 2.0 * TIMEOUT_SECONDS


def slept_until_rung(doorbell: Doorbell, polls: int) -> None:
    """Let so many polls sleep, send a message on another thread, and return when all of them are awake."""

    async def run() -> None:
        sleepers = [asyncio.ensure_future(doorbell.sleep(LONG_SECONDS)) for _ in range(polls)]
        await asyncio.sleep(0)  # each of them has begun
        sender = threading.Thread(target=doorbell.set)
        sender.start()
        await asyncio.wait_for(asyncio.gather(*sleepers), LONG_SECONDS / 2)
        sender.join()

    asyncio.run(run())


def test_a_message_wakes_every_poll_that_sleeps() -> None:
    rung = threading.Event()
    slept_until_rung(Doorbell(rung), polls=3)
    assert rung.is_set()


def test_a_message_that_nobody_waits_for_is_told_to_the_emulator_only() -> None:
    rung = threading.Event()
    Doorbell(rung).set()
    assert rung.is_set()


def test_a_poll_that_nobody_wakes_ends_with_its_time() -> None:
    asyncio.run(Doorbell(threading.Event()).sleep(0.0))


def test_the_next_poll_sleeps_again() -> None:
    doorbell = Doorbell(threading.Event())
    slept_until_rung(doorbell, polls=1)
    slept_until_rung(doorbell, polls=1)
