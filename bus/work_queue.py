"""Durable queues in JetStream: one work-queue stream for each actor, one pull consumer for each of its feeds.

What decides the settings (measured, or read in the server's source): without ``max_age`` nothing is lost for its age,
and with ``discard: new`` nothing for want of room. ``max_deliver`` is unlimited, since a message that reaches it stays
in the stream for ever; tries are counted by the actor. ``backoff`` is not set, as it would override ``ack_wait``.
``+ACK`` with a reply address is answered when the deletion is on disk, without one it is a wish.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from callboard.clock import Clock, SystemClock

from . import subjects
from .errors import BusUnavailable, NoSuchActor
from .event_queue import EventQueue, events_stream
from .jetstream import JetStreamError, check, nanoseconds, status_of
from .pull import Pull
from .queue import (
    FEEDS,
    QUEUE_MOST,
    TOPICS,
    Delivery,
    Feed,
    NoQueues,
    NotStored,
    QueueDamaged,
    QueueFull,
    QueueState,
    Take,
)
from .streams import CLOSED, DUPLICATES_KNOWN, NO_STREAM, close, delivery_of, info_of, make, mend, read

if TYPE_CHECKING:
    from .connection import Connection

ATTEMPT: Final = 2.5
"""Seconds for one attempt to store: then the answer was lost with a connection, and the same id is offered again."""
_FULL: Final = frozenset((10077, 10023, 10047, 10122))
"""JetStream's numbers for: too many messages or bytes, no room in the store, or in the account."""
_UNLIMITED_PENDING: Final = -1


class _Ack(msgspec.Struct):
    duplicate: bool = False


_ack: Final = msgspec.json.Decoder(_Ack)


def stream_of(fleet: str, actor: str) -> str:
    """Return the name of the stream of an actor's tasks; neither name can hold the line between them."""
    return f"cb_{fleet}_{actor}"


def _lanes(fleet: str, actor: str) -> list[str]:
    """Return where cells store tasks: what goes anywhere else is not kept, since nobody would take it."""
    lanes = [subjects.work(fleet, actor, lane=feed.lane, partition=feed.partition) for feed in FEEDS]
    return [subjects.work(fleet, actor, lane=subjects.DOOR), *lanes]


def _dead_of(fleet: str) -> str:
    return f"cbdead_{fleet}"


class NatsQueue:
    """A :class:`~.queue.WorkQueue` over a connection."""

    def __init__(self, bus: "Connection", *, clock: Clock | None = None) -> None:
        self._bus, self._jetstream = bus, bus.jetstream
        self._events = EventQueue(self._jetstream)
        self._clock = clock or SystemClock()

    # --- making

    async def declare(self, fleet: str, actor: str, *, most: int = QUEUE_MOST) -> None:
        """Make the queue of an actor, or bring it up to date."""
        stream = stream_of(fleet, actor)
        config = {
            "name": stream, "subjects": _lanes(fleet, actor),
            "retention": "workqueue", "storage": "file", "discard": "new", "max_msgs": most, "max_bytes": -1,
            "max_msg_size": -1, "max_age": 0, "num_replicas": 1, "allow_direct": True,
            "duplicate_window": nanoseconds(DUPLICATES_KNOWN),
        }  # fmt: skip
        try:
            await make(self._jetstream, stream, config)
        except JetStreamError as error:
            raise QueueDamaged(f"the queue of {actor} cannot be made: {error.text}", actor=actor) from error
        if lost := (await self.state(fleet, actor)).lost:
            raise QueueDamaged(f"the server has lost {lost} tasks of {actor}: see its store directory", actor=actor)

    async def open(self, fleet: str, actor: str, *, ack_wait: float) -> None:
        """Make the feeds of a queue, the one that is used most first."""
        try:
            for feed in sorted(FEEDS, key=lambda feed: feed.name != "normal"):
                await self._make_feed(stream_of(fleet, actor), fleet, actor, feed, ack_wait)
        except JetStreamError as error:
            raise QueueDamaged(f"the queue of {actor} cannot be opened: {error.text}", actor=actor) from error

    async def _make_feed(self, stream: str, fleet: str, actor: str, feed: Feed, ack_wait: float) -> None:
        pending = {"key": 1, "later": _UNLIMITED_PENDING}.get(feed.lane, 1000)
        where = [subjects.work(fleet, actor, lane=feed.lane, partition=feed.partition)]
        if feed.lane == "normal":  # what outsiders have brought is done among it
            where.append(subjects.work(fleet, actor, lane=subjects.DOOR))
        config = {
            "name": feed.name, "durable_name": feed.name, "ack_policy": "explicit", "deliver_policy": "all",
            "ack_wait": nanoseconds(ack_wait), "max_deliver": -1, "max_ack_pending": pending, "max_waiting": 16,
            "filter_subjects": where,
        }  # fmt: skip
        body = {"stream_name": stream, "config": config}
        await self._jetstream.api(f"CONSUMER.CREATE.{stream}.{feed.name}", body)

    async def state(self, fleet: str, actor: str) -> QueueState:
        """Return how it stands with a queue."""
        try:
            found = (await info_of(self._jetstream, stream_of(fleet, actor))).state
        except JetStreamError as error:
            if error.number == NO_STREAM:
                raise NoSuchActor(f"{actor!r} of fleet {fleet!r} has no queue", actor=actor) from error
            raise
        lost = (found.lost or {}).get("msgs")
        return QueueState(waiting=found.messages, bytes=found.bytes, lost=len(lost) if isinstance(lost, list) else 0)

    async def declare_topics(self, fleet: str, takers: Mapping[str, Sequence[str]], *, ack_wait: float) -> None:
        """Keep the events of durable topics, each until all whose topic it is have done it."""
        await self._events.declare(fleet, takers, ack_wait=ack_wait)

    async def unwanted(self, fleet: str, takers: Mapping[str, Sequence[str]]) -> AsyncIterator[Delivery]:
        """Yield what `declare_topics` with these takers would drop."""
        for actor, topics in takers.items():
            async for event in self._events.waiting(fleet, actor, but=topics):
                yield event

    async def declare_dead(self, fleet: str, *, most_bytes: int) -> None:
        """Make the queue of a fleet's dead letters."""
        stream = _dead_of(fleet)
        config = {
            "name": stream, "subjects": [subjects.dead(fleet, "*")], "retention": "workqueue", "storage": "file",
            "discard": "new", "max_msgs": -1, "max_bytes": most_bytes, "max_age": 0, "num_replicas": 1,
            "duplicate_window": nanoseconds(DUPLICATES_KNOWN),
        }  # fmt: skip
        try:
            await make(self._jetstream, stream, config)
            consumer = {
                "name": "normal", "durable_name": "normal", "ack_policy": "explicit", "deliver_policy": "all",
                "ack_wait": nanoseconds(30.0), "max_deliver": -1, "filter_subject": subjects.dead(fleet, "*"),
            }  # fmt: skip
            body = {"stream_name": stream, "config": consumer}
            await self._jetstream.api(f"CONSUMER.CREATE.{stream}.normal", body)
        except JetStreamError as error:
            raise QueueDamaged(f"the queue of dead letters cannot be made: {error.text}") from error

    def dead_source(self, fleet: str, take: Take) -> Pull:
        """Return a way to pull dead letters."""
        return Pull(self._bus, _dead_of(fleet), Feed("normal"), take, actor="", key=f"dead-{fleet}")

    async def waiting(self, fleet: str, actor: str) -> AsyncIterator[Delivery]:
        """Yield all that is stored for an actor and not done, its events last."""
        try:
            async for message in read(self._jetstream, stream_of(fleet, actor)):
                yield delivery_of(actor, Feed("normal"), message)
        except JetStreamError as error:
            if error.number == NO_STREAM:
                raise NoSuchActor(f"{actor!r} of fleet {fleet!r} has no queue", actor=actor) from error
            raise
        async for event in self._events.waiting(fleet, actor):
            yield event

    async def mend(self, fleet: str, actors: Sequence[str]) -> int:
        """Take out what was settled and is still there."""
        count = 0
        for name in (*(stream_of(fleet, actor) for actor in actors), events_stream(fleet), _dead_of(fleet)):
            with suppress(JetStreamError):  # there is none: removed, or no topic is durable
                if (await info_of(self._jetstream, name)).state.messages:
                    count += await mend(self._jetstream, name)
        return count

    async def events(self, fleet: str, actor: str) -> int:
        """Return how many events wait for an actor."""
        return await self._events.count(fleet, actor)

    async def remove(self, fleet: str, actor: str) -> bool:
        """Remove the queue of an actor if nothing waits in it, and no event for it.

        It is closed before that is looked at: what is stored meanwhile is refused, and can be stored again. If this is
        cut short it stays closed until it is declared again.
        """
        stream = stream_of(fleet, actor)
        try:
            config = await close(self._jetstream, stream)
        except JetStreamError as error:
            if error.number == NO_STREAM:
                return True
            raise
        if (await info_of(self._jetstream, stream)).state.messages or await self.events(fleet, actor):
            await self._jetstream.api(f"STREAM.UPDATE.{stream}", config)
            return False
        await self._jetstream.api(f"STREAM.DELETE.{stream}")
        await self._events.forget(fleet, actor)
        return True

    # --- storing

    async def store(self, subject: str, data: bytes, *, id: str, timeout: float) -> bool:  # noqa: A002 - the field's name
        """Store a task, offering it again under the same id while nobody says that it is stored."""
        end = self._clock.monotonic() + timeout
        while True:
            left = end - self._clock.monotonic()
            try:
                name = self._bus.private(id) if id else ""
                answer = await self._jetstream.ask(subject, data, timeout=max(0.05, min(ATTEMPT, left)), id=name)
            except BusUnavailable as error:
                if self._clock.monotonic() >= end:
                    text = f"no word within {timeout} s that task {id} is stored; enqueue it again with the same id"
                    raise NotStored(text, id=id) from error
                await self._clock.sleep(min(0.05, max(0.0, end - self._clock.monotonic())))
            else:
                return await self._judge(subject, answer, id)

    async def _judge(self, subject: str, answer: bytes, task: str) -> bool:
        place = subjects.parse_work(subject)
        if status_of(answer):
            raise await self._nobody(place, task)
        try:
            check(answer, f"task {task}")
        except JetStreamError as error:
            if error.number in _FULL:
                raise await self._full(place) from error
            if error.number == CLOSED:
                raise await self._nobody(place, task) from error
            raise NotStored(f"task {task} was not stored: {error.text}", id=task) from error
        return not _ack.decode(answer).duplicate

    async def _nobody(self, place: subjects.WorkPlace, task: str) -> NoSuchActor | NotStored:
        """Return what it means that nobody took a task: a server that stops or starts says so too."""
        try:
            if not place.dead:
                await self.state(place.fleet, place.actor)
        except NoSuchActor:
            text = f"no actor named {place.actor!r} in fleet {place.fleet!r} takes tasks"
            return NoSuchActor(text, actor=place.actor)
        except (BusUnavailable, JetStreamError, NoQueues) as error:
            return NotStored(f"task {task} was not stored: {error.text}", id=task)
        return NotStored(f"task {task} was not stored: its queue takes nothing now", id=task)

    async def _full(self, place: subjects.WorkPlace) -> QueueFull:
        if place.dead:
            return QueueFull(f"the queue of dead letters of {place.fleet} is full", actor=place.actor)
        depth = (await self.state(place.fleet, place.actor)).waiting
        return QueueFull(f"the queue of {place.actor} is full: {depth} wait", actor=place.actor, depth=depth)

    # --- taking and settling

    def source(self, fleet: str, actor: str, feed: Feed, take: Take) -> Pull:
        """Return a way to pull from one feed."""
        if feed == TOPICS:
            return Pull(self._bus, events_stream(fleet), feed, take, actor=actor, key=f"{actor}-topics", consumer=actor)
        return Pull(self._bus, stream_of(fleet, actor), feed, take, actor=actor, key=f"{actor}-{feed.name}")

    async def done(self, receipt: str, *, timeout: float) -> None:
        """Say that a task is done, and wait until that is on disk."""
        try:
            answer = await self._jetstream.ask(receipt, b"+ACK", timeout=timeout)
        except BusUnavailable as error:
            raise NotStored(f"no word within {timeout} s that the task is done") from error
        if status_of(answer):
            raise NotStored("nobody answers for the queue: it may be delivered again")

    def again(self, receipt: str, delay: float) -> None:
        """Have a task delivered again in `delay` seconds."""
        self._bus.publish(receipt, b"-NAK " + msgspec.json.encode({"delay": nanoseconds(max(0.0, delay))}))

    def extend(self, receipt: str) -> None:
        """Have a task for another ``ack_wait`` seconds."""
        self._bus.publish(receipt, b"+WPI")
