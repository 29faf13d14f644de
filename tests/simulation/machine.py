"""The machine that the service runs on in a history: virtual time, actors that give way before every effect, queues
with visibility and dead letters, and ports that fail.

An actor is whoever calls ports: a function that got a message, the minute timer, a user's call. Before each effect of
each port, and between the writes of one call, it hands over; the scheduler decides who goes on, who dies and who
sleeps. What lies between two effects cannot be seen by others, so nothing is lost by not stopping there.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenlet import getcurrent, greenlet

from chalicelib.core.errors import AwsUnavailableError, MongoUnavailableError
from chalicelib.core.jobs.backoff import LATE_SECONDS
from chalicelib.core.jobs.deliveries import Answer
from chalicelib.core.plan.messages import Message
from chalicelib.ports.archive import Tile
from tests.simulation.choices import Choices
from tests.world import Died

VISIBILITY_SECONDS = {"arrivals": 360.0, "jobs": 360.0, "chunks": 1080.0, "dead": 720.0}
TIMEOUT_SECONDS = {"arrivals": 60.0, "jobs": 60.0, "chunks": 180.0, "dead": 60.0}
MAX_RECEIVES = 5
# A step of an actor takes so long, in virtual seconds.
STEP_SECONDS = 0.02
BETWEEN = 8.0
# Calls that come after a write which belongs with them.
DELICATE = frozenset({"archive.discard", "archive.publish", "jobs.schedule_cleanup", "queue.send plan "})
PUBLISHING = frozenset({"archive.publish", "image document", "claim of the image", "switch"})
# The ports in which a promise may be seen broken.
LOOKED_AT = frozenset({"jobs", "archive"})


@dataclass(slots=True)
class Faults:
    """How likely each fault is, at each opportunity; 0 switches it off. Each history has a few of them: with all of them
    at once nothing would ever get far."""

    killed: float = 0.0
    asleep: float = 0.0
    refused: float = 0.0  # before the effect
    answer_lost: float = 0.0  # after it
    half_inserted: float = 0.0
    doubled: float = 0.0  # a message
    delayed: float = 0.0
    acknowledgement_lost: float = 0.0
    reordered: float = 0.0
    short_of_time: float = 0.0
    rolled_back: float = 0.0  # tiles that were acknowledged are gone
    away: float = 0.0  # MongoDB, for a while
    clock_jumps: float = 0.0
    spoilt: float = 0.0  # a tile of a published slide
    overtaken: float = 0.0  # who publishes falls asleep
    receiver_refuses: float = 0.0  # a callback
    receiver_answer_lost: float = 0.0  # after it heard

    NAMES = (
        "killed", "asleep", "refused", "answer_lost", "half_inserted", "doubled", "delayed", "acknowledgement_lost",
        "reordered", "short_of_time", "rolled_back", "away", "clock_jumps", "spoilt", "overtaken",
        "receiver_refuses", "receiver_answer_lost",
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class Actor:
    """Somebody at work. `deadline` is when its invocation is ended from outside; a sleeper outlives it."""

    name: str
    body: Callable[[], None]
    thread: Any = None
    deadline: float = float("inf")
    begun: float = 0.0
    asleep_until: float = 0.0
    outlives: bool = False
    calls: int = 0
    is_between: bool = False  # two writes that belong together: there, faults strike more often
    publishes: bool = False  # the next effect lets readers see something


@dataclass(slots=True, eq=False)
class Letter:
    """A message in a queue, as SQS keeps it."""

    queue: str
    body: str
    number: int
    visible_at: float = 0.0
    receives: int = 0


@dataclass(slots=True)
class Machine:
    choices: Choices
    faults: Faults = field(default_factory=Faults)
    now: float = 1_000_000.0
    actors: list[Actor] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    away_until: float = 0.0
    sent: int = 0
    current: Actor | None = None
    seen: Counter[str] = field(default_factory=Counter)
    _told: list[tuple[float, str, str]] = field(default_factory=list)
    # The ports whose contents may be others than at the last look.
    touched: set[str] = field(default_factory=set)
    buried: list[str] = field(default_factory=list)

    # -- actors ---------------------------------------------------------------------------------------------------------

    def start(self, name: str, body: Callable[[], None], *, seconds: float = float("inf")) -> None:
        actor = Actor(name, body, deadline=self.now + seconds, begun=self.now)
        actor.thread = greenlet(lambda: self._run(actor))
        self.actors.append(actor)

    def _run(self, actor: Actor) -> None:
        try:
            actor.body()
        except Died:
            pass
        finally:
            self.actors.remove(actor)

    def awake(self) -> list[Actor]:
        now = self.now
        return [actor for actor in self.actors if actor.asleep_until <= now]

    def resume(self, actor: Actor) -> None:
        """Let an actor have its next effect; or let it die, or fall asleep, before it."""
        # Nobody is at work for so long as the sweeper waits, however often it sleeps.
        outlives = actor.outlives and self.now < actor.begun + LATE_SECONDS
        if self.now > actor.deadline and not outlives:
            self.note("timed out", actor.name)
            self._switch(actor, die=True)
            return
        more = BETWEEN if actor.is_between else 1.0
        if actor.calls and self.choices.chance(min(0.5, self.faults.killed * more)):
            self.note("killed", actor.name)
            self._switch(actor, die=True)
            return
        asleep = max(min(0.5, self.faults.asleep * more), self.faults.overtaken if actor.publishes else 0.0)
        if actor.calls and not actor.outlives and self.choices.chance(asleep):
            # Once, past every visibility, and back before the sweeper's last look (core.jobs.backoff.LATE_SECONDS).
            seconds = (2.0, 100.0, 400.0, 1200.0)[self.choices.pick((2, 1, 1, 2))]
            self.seen["overtaken"] += actor.publishes
            self.note("asleep", f"{actor.name} for {seconds:.0f} s")
            actor.asleep_until, actor.outlives = self.now + seconds, True
            return
        self.now += STEP_SECONDS
        self._switch(actor)

    def _switch(self, actor: Actor, *, die: bool = False) -> None:
        self.current = actor
        try:
            if die and not actor.thread:
                self.actors.remove(actor)  # it had not begun
            elif die:
                actor.thread.throw(Died)
            else:
                actor.thread.switch()
        finally:
            self.current = None

    def give_way(self, what: str) -> None:
        """Hand over before an effect. Whoever is no actor goes on at once."""
        actor = self.current
        if actor is None or getcurrent() is not actor.thread:
            return
        actor.calls += 1
        actor.is_between = "." not in what or what in DELICATE
        actor.publishes = what in PUBLISHING
        actor.thread.parent.switch()
        if "." not in what:
            self.touched.update(LOOKED_AT)  # the next write of a call that has several
        self._told.append((self.now, f"{actor.name}:", what))

    def note(self, kind: str, text: str) -> None:
        self.seen[kind] += 1
        self._told.append((self.now, f"[{kind}]", text))

    @property
    def log(self) -> list[str]:
        """Return what happened, line by line: put into words only when somebody reads it."""
        return [f"{now:.2f} {who} {what}" for now, who, what in self._told]

    # -- queues ---------------------------------------------------------------------------------------------------------

    def post(self, queue: str, body: str, *, delay: float = 0.0) -> None:
        copies = 2 if self.choices.chance(self.faults.doubled) else 1
        self.seen["doubled"] += copies - 1
        for _ in range(copies):
            wait = delay
            if self.choices.chance(self.faults.delayed):
                wait += 300.0
                self.note("delayed", body)
            self.sent += 1
            self.letters.append(Letter(queue, body, self.sent, visible_at=self.now + wait))

    def deliverable(self) -> list[Letter]:
        now = self.now
        return [letter for letter in self.letters if letter.visible_at <= now]

    def receive(self, letter: Letter) -> int:
        """Take a message as a consumer does; return which receipt it is, 0 if it went to the dead letters."""
        letter.receives += 1
        if letter.receives > MAX_RECEIVES and letter.queue != "dead":
            self.note("dead letter", letter.body)
            self.buried.append(letter.body)
            self.letters.remove(letter)
            self.sent += 1
            self.letters.append(Letter("dead", letter.body, self.sent, visible_at=self.now))
            return 0
        if letter.receives > 1:
            self.seen["received again"] += 1
        letter.visible_at = self.now + VISIBILITY_SECONDS[letter.queue]
        return letter.receives

    def acknowledge(self, letter: Letter, receipt: int) -> None:
        self.give_way("acknowledge")
        if self.choices.chance(self.faults.acknowledgement_lost):
            self.note("acknowledgement lost", letter.body)
            return
        # A receipt that was followed by another one counts for nothing.
        if letter in self.letters and letter.receives == receipt:
            self.letters.remove(letter)


class Port:
    """A port in memory whose every call is an effect that may fail before or after it happened."""

    def __init__(self, machine: Machine, name: str, port: Any) -> None:
        self._machine, self._name, self._port = machine, name, port

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found
        machine, port, what = self._machine, self._name, f"{self._name}.{name}"

        def call(*arguments: Any, **options: Any) -> Any:
            machine.give_way(what)
            faults = machine.faults  # others than at the last call
            if faults.refused or machine.now < machine.away_until:
                self._refuse(name)
            machine.touched.add(port)
            answer = found(*arguments, **options)
            if faults.answer_lost:
                self._lose_answer(name)
            return answer

        setattr(self, name, call)
        return call

    def _refuse(self, name: str) -> None:
        machine = self._machine
        if self._name == "archive" and machine.now < machine.away_until:
            machine.seen["MongoDB away"] += 1
            raise MongoUnavailableError("MongoDB is away")
        if machine.choices.chance(machine.faults.refused):
            machine.note("refused", f"{self._name}.{name}")
            raise self._busy(name)

    def _lose_answer(self, name: str) -> None:
        machine = self._machine
        if machine.choices.chance(machine.faults.answer_lost):
            machine.note("answer lost", f"{self._name}.{name}")
            raise self._busy(name)

    def _busy(self, name: str) -> MongoUnavailableError | AwsUnavailableError:
        kind = MongoUnavailableError if self._name == "archive" else AwsUnavailableError
        return kind(f"{self._name}.{name} asks for patience")


class Archive(Port):
    """Of a bulk insert, only a part may arrive."""

    def write(self, job: Any, generation: int, tiles: Sequence[Tile]) -> None:
        machine = self._machine
        machine.give_way("archive.write")
        self._refuse("write")
        machine.touched.add("archive")
        if machine.choices.chance(machine.faults.half_inserted):
            machine.note("half inserted", job.id)
            self._port.write(job, generation, tiles[: len(tiles) // 2])
            raise self._busy("write")
        self._port.write(job, generation, tiles)
        self._lose_answer("write")


class Receivers:
    """Who is told of the ends of jobs: `heard` gets what reaches them."""

    def __init__(self, machine: Machine, heard: Callable[[str, Mapping[str, str], bytes], None]) -> None:
        self._machine, self._heard = machine, heard

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        machine = self._machine
        machine.give_way("callbacks.post")
        if machine.choices.chance(machine.faults.receiver_refuses):
            machine.note("receiver refuses", url)
            refusals = (Answer(status=503), Answer(status=429, retry_after="120"), Answer(error="no connection"))
            return refusals[machine.choices.pick([1] * len(refusals))]
        self._heard(url, headers, body)
        if machine.choices.chance(machine.faults.receiver_answer_lost):
            machine.note("receiver answer lost", url)
            return Answer(error="no answer")
        return Answer(status=204)


class Queue:
    """The two work queues as the steps see them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def send(self, messages: Sequence[Message]) -> None:
        machine = self._machine
        for message in messages:
            machine.give_way(f"queue.send {message.step} {message.chunk if message.chunk is not None else ''}")
            if machine.choices.chance(machine.faults.refused):
                machine.note("refused", "queue.send")
                raise AwsUnavailableError("SQS asks for patience")
            queue = "chunks" if message.step == "tile" else "jobs"
            body = {"step": message.step, "job": message.job, "attempt": message.attempt, "chunk": message.chunk}
            if message.delivery is not None:
                body["delivery"] = message.delivery
            machine.post(queue, json.dumps(body), delay=message.delay_seconds)
        if machine.choices.chance(machine.faults.answer_lost):
            machine.note("answer lost", "queue.send")
            raise AwsUnavailableError("SQS asks for patience")

    def delay(self, queue: str, receipt_handle: str, seconds: int) -> None:
        machine = self._machine
        machine.give_way("queue.delay")
        number, receipt = map(int, receipt_handle.split("/"))
        for letter in machine.letters:
            if letter.number == number and letter.receives == receipt:
                letter.visible_at = machine.now + seconds


class Clock:
    """Virtual time, for an actor with a deadline or without."""

    def __init__(self, machine: Machine, deadline: Callable[[], float] = lambda: float("inf")) -> None:
        self._machine, self._deadline = machine, deadline

    def now(self) -> float:
        return self._machine.now

    def remaining_seconds(self) -> float:
        return self._deadline() - self._machine.now


def in_order(letters: Sequence[Letter]) -> Iterator[Letter]:
    yield from sorted(letters, key=lambda letter: letter.number)
