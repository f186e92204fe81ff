"""Files what was taken away from the queues.

A cell that takes a task away stores it in the queue of dead letters first; from there it is filed here, and only then
it leaves that queue too. Events that wait for an actor whose new code does not take their topic are filed at once: when
the queue of events is told, it drops them.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import anyio
import msgspec
from anyio.abc import TaskGroup

from callboard.actors import ActorSpec, task_in
from callboard.bus import Delivery, MessageRefused, Trust, WorkQueue, decode_body, subjects
from callboard.clock import Clock
from callboard.errors import CallboardError
from callboard.store import DeadLetter

from .records import Records

AT_ONCE: Final = 64
RETRY_WITHIN: Final = 10.0
SHOWN_MOST: Final = 80
"""Bytes that are recorded of what cannot be read."""
_letter: Final = msgspec.msgpack.Decoder(DeadLetter)


class Undertaker:
    """Files dead letters, and sends them again when a person says so."""

    def __init__(self, queue: WorkQueue, fleet: str, *, records: Records, clock: Clock) -> None:
        self._queue, self._fleet, self._records, self._clock = queue, fleet, records, clock
        self._source = queue.dead_source(fleet, self._take)
        self._tasks: TaskGroup

    async def run(self) -> None:
        """File what comes, until cancelled."""
        self._source.want(AT_ONCE)
        async with anyio.create_task_group() as self._tasks:
            await self._source.run()

    def _take(self, delivery: Delivery) -> None:
        self._tasks.start_soon(self._file, delivery)

    async def _file(self, delivery: Delivery) -> None:
        try:
            await self._records.dead.put(decode_body(_letter, delivery.data))
        except MessageRefused as error:
            await self._say_unread(delivery, error)
        except CallboardError:  # a full disk: it stays where it is, and comes again
            self._source.want(1)
            return
        with suppress(CallboardError):  # it comes again, and is filed in its own place
            await self._queue.done(delivery.receipt, timeout=RETRY_WITHIN)
        self._source.want(1)

    async def _say_unread(self, delivery: Delivery, error: MessageRefused) -> None:
        """Record all that can be said of what is no letter of ours, before it is gone: kept, it would come for ever."""
        size, beginning = len(delivery.data), delivery.data[:SHOWN_MOST]
        text = f"{error.text}; {size} bytes at {delivery.subject}, taken away, that begin {beginning!r}"
        actor = subjects.parse_work(delivery.subject).actor
        await self._records.add("dead-letter-unread", actor, text, {"subject": delivery.subject, "bytes": size})

    async def take_unwanted(self, specs: Sequence[ActorSpec]) -> None:
        """File the events of topics that `specs` do not take any more: before the queue of events is told."""
        found = Counter[str]()
        async for event in self._queue.unwanted(self._fleet, {spec.name: spec.kept for spec in specs}):
            await self._records.dead.put(_unwanted(event, died=self._clock.now()))
            found[event.actor] += 1
        for actor, count in found.items():
            text = f"{count} events waited for it, of topics that it does not take any more: see 'callboard dead ls'"
            await self._records.add("events-unwanted", actor, text, {"count": count})

    async def retry(self, letters: Sequence[DeadLetter]) -> None:
        """Store messages again where they came from, and forget them; raises what ``enqueue`` does.

        Each is recorded when it is stored: the next one may fail.
        """
        if events := [letter.id for letter in letters if subjects.parse_work(letter.subject).topic]:
            raise MessageRefused(f"an event is not stored again, which others would see too: publish it ({events[0]})")
        for letter in letters:
            again = f"again.{letter.id[:90]}.{letter.died:.3f}"
            await self._queue.store(letter.subject, letter.data, id=again, timeout=RETRY_WITHIN)
            await self._records.add("task-retried", letter.actor, f"{letter.type} {letter.id}: by hand")
            await self._records.dead.drop([letter])


def _unwanted(event: Delivery, *, died: float) -> DeadLetter:
    envelope, topic = task_in(event), subjects.parse_work(event.subject).topic
    return DeadLetter(
        id=envelope.id if envelope else f"{topic}-{event.number}", actor=event.actor,
        type=envelope.type if envelope else "", sender=event.cell or "outside",
        correlation=envelope.chain if envelope else "", causation="", trust=int(Trust.EXTERNAL),
        reason="topic-left", text=f"it waited for {event.actor}, which does not take topic {topic} any more",
        stored=event.stored, died=died, number=event.number, subject=event.subject, data=event.data,
    )  # fmt: skip
