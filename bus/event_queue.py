"""The events of durable topics in JetStream: one stream for a fleet. Each stays until all who take it have done it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from . import subjects
from .jetstream import JetStream, JetStreamError, nanoseconds
from .queue import TOPICS, Delivery, QueueDamaged
from .streams import DUPLICATES_KNOWN, NO_STREAM, close, consumer_of, consumers_of, delivery_of, make, read


def events_stream(fleet: str) -> str:
    """Return the name of the stream of a fleet's events."""
    return f"cbon_{fleet}"


class EventQueue:
    """What a :class:`~.work_queue.NatsQueue` knows of events."""

    def __init__(self, jetstream: JetStream) -> None:
        self._jetstream = jetstream

    async def declare(self, fleet: str, takers: Mapping[str, Sequence[str]], *, ack_wait: float) -> None:
        """Keep the events of the topics of each taker from now on; raises QueueDamaged.

        What waits for one of them and is of none of its topics is dropped: ask for it before, by :meth:`waiting`.
        """
        topics = sorted({topic for wanted in takers.values() for topic in wanted})
        try:
            if topics:
                await self._open(fleet, topics)
            elif not await self._close(fleet):
                return
            for actor, wanted in takers.items():
                if wanted:
                    await self._make_taker(fleet, actor, wanted, ack_wait)
                else:
                    await self.forget(fleet, actor)
            if not topics:
                await self._remove(fleet)
        except JetStreamError as error:
            raise QueueDamaged(f"the queue of events cannot be made: {error.text}") from error

    async def _open(self, fleet: str, topics: Sequence[str]) -> None:
        config = {
            "name": events_stream(fleet), "subjects": [subjects.topic(fleet, topic) for topic in topics],
            "retention": "interest", "storage": "file", "discard": "new", "max_msgs": -1, "max_bytes": -1,
            "max_msg_size": -1, "max_age": 0, "num_replicas": 1, "duplicate_window": nanoseconds(DUPLICATES_KNOWN),
        }  # fmt: skip
        await make(self._jetstream, events_stream(fleet), config)

    async def _close(self, fleet: str) -> bool:
        """Keep no events from now on; return whether any were kept."""
        try:
            await close(self._jetstream, events_stream(fleet))
        except JetStreamError as error:
            if error.number == NO_STREAM:
                return False
            raise
        return True

    async def _remove(self, fleet: str) -> None:
        """Remove the stream, unless something waits in it for one whom the fleet does not name now."""
        stream = events_stream(fleet)
        if not any(taker.waiting for taker in await consumers_of(self._jetstream, stream)):
            await self._jetstream.api(f"STREAM.DELETE.{stream}")

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

    async def waiting(self, fleet: str, actor: str, *, but: Sequence[str] = ()) -> AsyncIterator[Delivery]:
        """Yield the events that wait for an actor, `but` those of some topics.

        One that was done out of order may be among them.
        """
        stream, others = events_stream(fleet), [subjects.topic(fleet, topic) for topic in but]
        taker = await consumer_of(self._jetstream, stream, actor)
        for where in taker.subjects if taker else ():
            if where not in others:
                async for message in read(self._jetstream, stream, where, after=taker.floor if taker else 0):
                    yield delivery_of(actor, TOPICS, message)

    async def count(self, fleet: str, actor: str) -> int:
        """Return how many events wait for an actor."""
        taker = await consumer_of(self._jetstream, events_stream(fleet), actor)
        return taker.waiting if taker else 0
