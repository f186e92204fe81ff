"""The events of durable topics in JetStream: one stream for a fleet. Each stays until all who take it have done it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from . import subjects
from .jetstream import JetStream, JetStreamError, nanoseconds
from .queue import TOPICS, Delivery, QueueDamaged
from .streams import DUPLICATES_KNOWN, consumer_of, delivery_of, make, read


def events_stream(fleet: str) -> str:
    """Return the name of the stream of a fleet's events."""
    return f"cbon_{fleet}"


class EventQueue:
    """What a :class:`~.work_queue.NatsQueue` knows of events."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def declare(self, fleet: str, takers: Mapping[str, Sequence[str]], *, ack_wait: float) -> None:
        """Keep the events of the topics of each taker from now on."""
        stream = events_stream(fleet)
        topics = sorted({topic for wanted in takers.values() for topic in wanted})
        if not topics:
            with suppress(JetStreamError):  # as a rule there never was one
                await self._jetstream.api(f"STREAM.DELETE.{stream}")
            return
        config = {
            "name": stream, "subjects": [subjects.topic(fleet, topic) for topic in topics], "retention": "interest",
            "storage": "file", "discard": "new", "max_msgs": -1, "max_bytes": -1, "max_age": 0, "num_replicas": 1,
            "duplicate_window": nanoseconds(DUPLICATES_KNOWN),
        }  # fmt: skip
        try:
            await make(self._jetstream, stream, config)
            for actor, wanted in takers.items():
                if wanted:
                    await self._make_taker(fleet, actor, wanted, ack_wait)
                else:
                    await self.forget(fleet, actor)
        except JetStreamError as error:
            raise QueueDamaged(f"the queue of events cannot be made: {error.text}") from error

    async def _make_taker(self, fleet: str, actor: str, topics: Sequence[str], ack_wait: float) -> None:
        stream = events_stream(fleet)
        config = {
            "name": actor, "durable_name": actor, "ack_policy": "explicit", "deliver_policy": "all",
            "ack_wait": nanoseconds(ack_wait), "max_deliver": -1, "max_ack_pending": 1000, "max_waiting": 16,
            "filter_subjects": [subjects.topic(fleet, topic) for topic in topics],
        }  # fmt: skip
        await self._jetstream.api(f"CONSUMER.CREATE.{stream}.{actor}", {"stream_name": stream, "config": config})

    async def forget(self, fleet: str, actor: str) -> None:
        """Keep no events for an actor any more; it may never have wanted any."""
        with suppress(JetStreamError):
            await self._jetstream.api(f"CONSUMER.DELETE.{events_stream(fleet)}.{actor}")

    async def waiting(self, fleet: str, actor: str) -> AsyncIterator[Delivery]:
        """Yield the events that wait for an actor; one that was done out of order may be among them."""
        stream = events_stream(fleet)
        taker = await consumer_of(self._jetstream, stream, actor)
        for where in taker.subjects if taker else ():
            async for message in read(self._jetstream, stream, where, after=taker.floor if taker else 0):
                yield delivery_of(actor, TOPICS, message)

    async def count(self, fleet: str, actor: str) -> int:
        """Return how many events wait for an actor."""
        taker = await consumer_of(self._jetstream, events_stream(fleet), actor)
        return taker.waiting if taker else 0
