"""What the rest of the project may expect of durable queues, one for each actor; the seam behind which JetStream lives.

Guarantees: what :meth:`WorkQueue.store` returned for is on disk. It is delivered again and again until :meth:`done`, by
one cell at a time if that extends it in time. Of one partition of a key the next is delivered when the one before is
done. Nothing is dropped for age or for want of room; who would make it too much is refused. See docs/adr/0007.
"""

import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from callboard.errors import PeerError, WorldError

Lane = Literal["high", "normal", "low", "later", "key", "topics"]
PRIORITIES: Final = ("high", "normal", "low")
PARTITIONS: Final = 8
"""Conversations of one actor that can go on at once, each in order."""
QUEUE_MOST: Final = 1_100_000
"""Tasks that may wait for one actor if nothing else is said: beyond a million somebody should hear of it."""


class QueueFull(PeerError):
    """As much waits for the actor as may; ``depth`` says how much."""

    @property
    def depth(self) -> int:
        """How many tasks wait."""
        return int(self.detail.get("depth") or 0)


class NotStored(WorldError):
    """The server did not say that it has the task, but it may. Enqueue it again with the same id; that is harmless."""


class NoQueues(WorldError):
    """This NATS keeps no queues for us: it has no JetStream, or our login may not use it."""


class QueueDamaged(WorldError):
    """The server has lost part of a queue, or cannot write to it."""


class Feed(msgspec.Struct, frozen=True):
    """One source of an actor's tasks: a lane, of keyed ones a partition."""

    lane: Lane
    partition: int = 0

    @property
    def name(self) -> str:
        """How it is called at the server."""
        return f"{self.lane}-{self.partition}" if self.lane == "key" else self.lane


FEEDS: Final = (
    *(Feed(lane) for lane in PRIORITIES),
    Feed("later"),
    *(Feed("key", number) for number in range(PARTITIONS)),
)


TOPICS: Final = Feed("topics")
"""The events of an actor's durable topics."""


def feed_for(*, key: str = "", priority: str = "normal", delay: float = 0.0) -> Feed:
    """Return where a task goes. A key's partition is the same in all processes and versions."""
    if key:
        return Feed("key", zlib.crc32(key.encode()) % PARTITIONS)
    return Feed("later") if delay > 0 else Feed(priority)  # type: ignore[arg-type]  # checked by who takes it from a user


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One task, delivered once more."""

    actor: str
    feed: Feed
    subject: str
    cell: str
    """Who stored it; empty at the front door."""
    data: bytes
    receipt: str
    """By which it is settled."""
    number: int
    """Its place in the actor's queue."""
    tries: int
    """How often it was delivered, as far as the server knows; 1 for the first time."""
    stored: float
    """Unix seconds."""


Take = Callable[[Delivery], None]
"""Takes one delivery, on the loop, without waiting."""


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with one actor's queue."""

    waiting: int
    """All that is not done, also what is in hand."""
    bytes: int
    lost: int = 0
    """Tasks that the server knows to have lost."""


class Source(Protocol):
    """One feed, pulled."""

    def want(self, count: int) -> None:
        """Have `count` more delivered when they come."""
        ...

    @property
    def wanted(self) -> int:
        """How many were asked for and have not come."""
        ...

    async def run(self) -> None:
        """Keep asking, until cancelled."""
        ...


class WorkQueue(Protocol):
    """The queues of one fleet, as one connection sees them."""

    async def declare(self, fleet: str, actor: str, *, most: int = QUEUE_MOST) -> None:
        """Make the queue of an actor, or bring it up to date.

        What is stored is given out once :meth:`open` was called too. Raises NoQueues, QueueDamaged, BusUnavailable.
        """
        ...

    async def open(self, fleet: str, actor: str, *, ack_wait: float) -> None:
        """Make the feeds of a queue, or bring them up to date; `ack_wait` seconds are given to who has a task.

        There are a dozen of them, and each costs several syncs the first time.
        """
        ...

    async def declare_topics(self, fleet: str, takers: Mapping[str, Sequence[str]], *, ack_wait: float) -> None:
        """Keep the events of durable topics from now on, for each actor those of its topics, until it has done them.

        What waits for one of these actors, of none of its topics any more, is dropped: ask :meth:`unwanted` before.
        What waits for an actor that is not named here stays.
        """
        ...

    def unwanted(self, fleet: str, takers: Mapping[str, Sequence[str]]) -> AsyncIterator[Delivery]:
        """Yield the events that :meth:`declare_topics` with these takers would drop, without taking them."""
        ...

    async def declare_dead(self, fleet: str, *, most_bytes: int) -> None:
        """Make the queue of a fleet's dead letters, of which at most so many bytes wait for the daemon."""
        ...

    def dead_source(self, fleet: str, take: Take) -> Source:
        """Return a way to pull dead letters."""
        ...

    async def store(self, subject: str, data: bytes, *, id: str, timeout: float) -> bool:  # noqa: A002 - the field's name
        """Store a task at a subject of :func:`~.subjects.work`, or a dead letter; return whether it is new here.

        Raises:
            QueueFull: as much waits as may.
            NoSuchActor: there is no such queue.
            NotStored: no word within `timeout` seconds.
            MessageTooLarge: it would not pass.

        """
        ...

    def source(self, fleet: str, actor: str, feed: Feed, take: Take) -> Source:
        """Return a way to pull from one feed."""
        ...

    async def done(self, receipt: str, *, timeout: float) -> None:
        """Say that a task is done; returns when that is on disk. Raises NotStored: it may be delivered again."""
        ...

    def again(self, receipt: str, delay: float) -> None:
        """Have a task delivered again in `delay` seconds."""
        ...

    def extend(self, receipt: str) -> None:
        """Have a task for another ``ack_wait`` seconds."""
        ...

    def waiting(self, fleet: str, actor: str) -> AsyncIterator[Delivery]:
        """Yield all that is stored for an actor and not done, in order, without taking it; raises NoSuchActor.

        Its events last, of feed :data:`TOPICS`; one that was done out of order may be among them.
        """
        ...

    async def mend(self, fleet: str, actors: Sequence[str]) -> int:
        """Take out what was settled and is still there, and return how much: what a killed server has left behind.

        In the queues of these actors, and in those of events and of dead letters.
        """
        ...

    async def events(self, fleet: str, actor: str) -> int:
        """Return how many events of durable topics wait for an actor."""
        ...

    async def remove(self, fleet: str, actor: str) -> bool:
        """Remove the queue of an actor if nothing waits in it, and no event for it; return whether it is gone.

        What is stored while it is looked at is refused by NotStored, or it is there and the queue stays.
        """
        ...

    async def state(self, fleet: str, actor: str) -> QueueState:
        """Return how it stands with a queue; raises NoSuchActor."""
        ...
