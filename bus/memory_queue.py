"""Durable queues without a server, for tests: the same promises within one process, and nothing outlives it."""

import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import anyio
import msgspec

from callboard.clock import Clock, SystemClock

from . import subjects
from .codec import check_size
from .errors import NoSuchActor
from .queue import QUEUE_MOST, TOPICS, Delivery, Feed, QueueFull, QueueState, Take

_LOOK_AGAIN: Final = 0.02
DEAD: Final = ""
"""In place of an actor's name: the queue of dead letters."""


class _Task(msgspec.Struct, eq=False):
    number: int
    feed: Feed
    subject: str
    cell: str
    data: bytes
    stored: float
    tries: int = 0
    due: float = 0.0
    """When it is delivered (again), in monotonic seconds."""
    held: bool = False
    """Whether somebody has it."""


class _Queue:
    def __init__(self, *, most: int) -> None:
        self.most = most
        self.ack_wait = 30.0
        self.tasks: dict[int, _Task] = {}
        self.known: dict[str, int] = {}


class MemoryQueues:
    """What a server would keep: the queues of all connections to one broker."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.queues: dict[tuple[str, str], _Queue] = {}
        self.numbers = itertools.count(1)
        self.takers: dict[tuple[str, str], set[str]] = {}
        """For each durable topic of a fleet who takes it."""
        self.changed: deque[Callable[[], None]] = deque()

    def keep(self, subject: str, data: bytes) -> None:
        """Keep an event for each actor to which it is durable."""
        tokens = subject.split(".")
        if len(tokens) != 5 or tokens[2] != "on":
            return
        for actor in sorted(self.takers.get((tokens[1], tokens[3]), ())):
            number = next(self.numbers)
            queue = self.find(tokens[1], actor)
            queue.tasks[number] = _Task(number, TOPICS, subject, tokens[4], data, self.clock.now())
        for changed in list(self.changed):
            changed()

    def find(self, fleet: str, actor: str) -> _Queue:
        """Return a queue; raises NoSuchActor."""
        found = self.queues.get((fleet, actor))
        if found is None:
            raise NoSuchActor(f"no actor named {actor!r} in fleet {fleet!r} takes tasks", actor=actor)
        return found


class MemoryQueue:
    """A :class:`~.queue.WorkQueue`."""

    def __init__(self, queues: MemoryQueues, *, max_payload: int) -> None:
        self._all, self._max_payload = queues, max_payload

    async def declare(self, fleet: str, actor: str, *, most: int = QUEUE_MOST) -> None:
        """Make the queue of an actor, or bring it up to date."""
        found = self._all.queues.setdefault((fleet, actor), _Queue(most=most))
        found.most = most
        await anyio.lowlevel.checkpoint()

    async def open(self, fleet: str, actor: str, *, ack_wait: float) -> None:
        """Make the feeds of a queue."""
        await anyio.lowlevel.checkpoint()
        found = self._all.find(fleet, actor)
        found.ack_wait = ack_wait

    async def declare_topics(self, fleet: str, takers: Mapping[str, Sequence[str]], *, ack_wait: float) -> None:  # noqa: ARG002 - its queue's
        """Keep the events of durable topics."""
        async for event in self.unwanted(fleet, takers):
            self._all.find(fleet, event.actor).tasks.pop(event.number)
        for taken in [taken for (of, _), taken in self._all.takers.items() if of == fleet]:
            taken.difference_update(takers)
        for actor, topics in takers.items():
            for topic in topics:
                self._all.takers.setdefault((fleet, topic), set()).add(actor)

    async def unwanted(self, fleet: str, takers: Mapping[str, Sequence[str]]) -> AsyncIterator[Delivery]:
        """Yield what `declare_topics` with these takers would drop."""
        await anyio.lowlevel.checkpoint()
        for actor, topics in takers.items():
            async for task in self.waiting(fleet, actor):
                if task.feed == TOPICS and subjects.parse_work(task.subject).topic not in topics:
                    yield task

    async def declare_dead(self, fleet: str, *, most_bytes: int) -> None:  # noqa: ARG002 - it holds what a test makes
        """Make the queue of a fleet's dead letters."""
        self._all.queues.setdefault((fleet, DEAD), _Queue(most=QUEUE_MOST))
        await anyio.lowlevel.checkpoint()

    def dead_source(self, fleet: str, take: Take) -> "MemorySource":
        """Return a way to pull dead letters."""
        return MemorySource(self._all, fleet, DEAD, Feed("normal"), take)

    async def store(self, subject: str, data: bytes, *, id: str, timeout: float) -> bool:  # noqa: A002, ARG002 - never waits
        """Store a task."""
        await anyio.lowlevel.checkpoint()
        check_size(data, self._max_payload)
        place, tokens = subjects.parse_work(subject), subject.split(".")
        queue = self._all.find(place.fleet, DEAD if place.dead else place.actor)
        if id and id in queue.known:
            return False
        if len(queue.tasks) >= queue.most:
            depth = len(queue.tasks)
            raise QueueFull(f"the queue of {place.actor} is full: {depth} wait", actor=place.actor, depth=depth)
        in_lane = place.cell and not place.dead
        feed = Feed(tokens[4], int(tokens[5])) if in_lane else Feed("normal")  # type: ignore[arg-type]  # as built
        number = next(self._all.numbers)
        queue.tasks[number] = _Task(number, feed, subject, place.cell, bytes(data), self._all.clock.now())
        queue.known[id or str(number)] = number
        for changed in list(self._all.changed):
            changed()
        return True

    def source(self, fleet: str, actor: str, feed: Feed, take: Take) -> "MemorySource":
        """Return a way to pull from one feed."""
        return MemorySource(self._all, fleet, actor, feed, take)

    async def done(self, receipt: str, *, timeout: float) -> None:  # noqa: ARG002 - never waits
        """Say that a task is done."""
        await anyio.lowlevel.checkpoint()
        queue, number = self._opened(receipt)
        queue.tasks.pop(number, None)
        for changed in list(self._all.changed):
            changed()

    def again(self, receipt: str, delay: float) -> None:
        """Have a task delivered again in `delay` seconds."""
        queue, number = self._opened(receipt)
        if (task := queue.tasks.get(number)) is not None:
            task.held, task.due = False, self._all.clock.monotonic() + max(0.0, delay)

    def extend(self, receipt: str) -> None:
        """Have a task for another ``ack_wait`` seconds."""
        queue, number = self._opened(receipt)
        if (task := queue.tasks.get(number)) is not None and task.held:
            task.due = self._all.clock.monotonic() + queue.ack_wait

    async def waiting(self, fleet: str, actor: str) -> AsyncIterator[Delivery]:
        """Yield all that is stored for an actor and not done."""
        for task in sorted(self._all.find(fleet, actor).tasks.values(), key=lambda task: task.feed == TOPICS):
            await anyio.lowlevel.checkpoint()
            yield Delivery(actor, task.feed, task.subject, task.cell, task.data, "", task.number, 0, task.stored)

    async def mend(self, fleet: str, actors: Sequence[str]) -> int:  # noqa: ARG002 - a real server's need
        """Return 0: nothing is left behind here."""
        await anyio.lowlevel.checkpoint()
        return 0

    async def events(self, fleet: str, actor: str) -> int:
        """Return how many events wait for an actor."""
        await anyio.lowlevel.checkpoint()
        return sum(task.feed == TOPICS for task in self._all.find(fleet, actor).tasks.values())

    async def remove(self, fleet: str, actor: str) -> bool:
        """Remove the queue of an actor if nothing waits in it."""
        await anyio.lowlevel.checkpoint()
        queue = self._all.queues.get((fleet, actor))
        if queue is not None and queue.tasks:
            return False
        self._all.queues.pop((fleet, actor), None)
        return True

    async def state(self, fleet: str, actor: str) -> QueueState:
        """Return how it stands with a queue."""
        await anyio.lowlevel.checkpoint()
        tasks = self._all.find(fleet, actor).tasks.values()
        return QueueState(waiting=len(tasks), bytes=sum(len(task.data) for task in tasks))

    def _opened(self, receipt: str) -> tuple[_Queue, int]:
        fleet, actor, number = receipt.split(" ")
        return self._all.find(fleet, actor), int(number)


class MemorySource:
    """One feed, looked at."""

    def __init__(self, queues: MemoryQueues, fleet: str, actor: str, feed: Feed, take: Take) -> None:
        self._all, self._fleet, self._actor, self._feed, self._take = queues, fleet, actor, feed, take
        self._wanted = 0
        self._changed = anyio.Event()

    @property
    def wanted(self) -> int:
        """How many are wanted and have not come."""
        return self._wanted

    def want(self, count: int) -> None:
        """Have `count` more delivered when they come."""
        self._wanted += count
        self._changed.set()

    async def run(self) -> None:
        """Keep looking, until cancelled."""
        self._all.changed.append(self._wake)
        try:
            while True:
                self._deliver()
                with anyio.move_on_after(_LOOK_AGAIN):
                    await self._changed.wait()
                self._changed = anyio.Event()
        finally:
            self._all.changed.remove(self._wake)

    def _wake(self) -> None:
        self._changed.set()

    def _deliver(self) -> None:
        queue = self._all.find(self._fleet, self._actor)
        now = self._all.clock.monotonic()
        mine = [task for task in queue.tasks.values() if task.feed == self._feed]
        for task in mine[:1] if self._feed.lane == "key" else mine:
            if self._wanted and task.due <= now:
                task.held, task.due = True, now + queue.ack_wait
                task.tries += 1
                self._wanted -= 1
                self._take(self._delivery(task))

    def _delivery(self, task: _Task) -> Delivery:
        receipt = f"{self._fleet} {self._actor} {task.number}"
        return Delivery(
            self._actor, self._feed, task.subject, task.cell, task.data, receipt, task.number, task.tries, task.stored
        )
