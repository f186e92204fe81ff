"""What done tasks have said, on its way out: in order, after the commit, and again after a crash until it has left.

The actor's file is the queue, and the only one: what was committed leaves, also if whoever committed it never heard so,
and however much waits for one that takes nothing, no more than a batch of it is in memory.

A task for another actor is stored under an id of its own, so to offer it twice is harmless: that is done until the
queue has it. So it is with what the actor is to remember. What leaves at most once by its nature, ``tell`` and
``publish``, is claimed in the file before it leaves; if the process dies in between, nobody can know whether it left,
and the next life says so instead of saying it twice.
"""

from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import Final, TypeVar

import anyio
import msgspec

from callboard.bus import BusClosed, Endpoint, Envelope, encode, subjects
from callboard.clock import Clock
from callboard.errors import CallboardError, CallerError
from callboard.store import Episode, Outcome, Outgoing, TaskLog

from .burial import letter_of
from .errors import DoorCrowded
from .letter import Letter
from .patience import Patience
from .remembering import LongTerm
from .work import Reporter

T = TypeVar("T")

BATCH: Final = 64
STORE_WITHIN: Final = 10.0
TELL_WITHIN: Final = 5.0
CROWDED_REST: Final = 0.05
"""Seconds to rest at least where too many outcomes were said at once."""
_envelope: Final = msgspec.msgpack.Decoder(Envelope)
_episode: Final = msgspec.msgpack.Decoder(Episode)
_outcome: Final = msgspec.msgpack.Decoder(Outcome)


class Outflow:
    """For one actor."""

    def __init__(
        self, actor: str, log: TaskLog, endpoint: Endpoint, *, memory: LongTerm, clock: Clock, reporter: Reporter
    ) -> None:
        self._actor, self._log, self._endpoint, self._clock, self._reporter = actor, log, endpoint, clock, reporter
        self._memory = memory
        self._ways: dict[str, Callable[[Outgoing], Awaitable[None]]] = {
            "tell": self._tell, "publish": self._publish, "enqueue": self._enqueue, "remember": self._remember,
            "outcome": self._say_outcome,
        }  # fmt: skip
        self._file = Patience("outbox-waits", actor, clock=clock, reporter=reporter)
        self._queues = Patience("outbox-waits", actor, clock=clock, reporter=reporter)
        self._changed = anyio.Event()
        self._emptied = anyio.Event()
        self._emptied.set()  # nobody waits for it yet

    def wake(self) -> None:
        """Look into the file: something may have been committed that is to leave."""
        self._changed.set()

    async def empty(self) -> None:
        """Wait until the file, looked at from now on, has nothing that is to leave."""
        self._emptied = anyio.Event()
        self.wake()
        await self._emptied.wait()

    async def run(self) -> None:
        """Send what is to leave, until cancelled; raises what lasts: then the next life sends the rest."""
        await self._say_doubtful()
        while True:
            self._changed, emptied = anyio.Event(), self._emptied
            found = await self._look()
            for at_most_once, alike in groupby(found, lambda each: each.at_most_once):
                await self._send_all(list(alike), at_most_once=at_most_once)
            if not found:
                emptied.set()
            if not found or (len(found) < BATCH and self._emptied.is_set()):  # who waits needs one more look
                await self._changed.wait()

    async def _look(self) -> list[Outgoing]:
        return await self._again(lambda: self._log.outbox(limit=BATCH))

    async def _say_doubtful(self) -> None:
        """Report what an earlier life was about to send when it ended, and send it never: it is all at the head."""
        while doubtful := [each for each in await self._look() if each.claimed]:
            for each in doubtful:
                text = f"{_named(each)} was leaving when its process died"
                self._reporter.report("message-uncertain", self._actor, text, id=each.id, task=each.task)
            await self._forget(doubtful)

    async def _send_all(self, batch: list[Outgoing], *, at_most_once: bool) -> None:
        """Send messages, and forget them."""
        if at_most_once:
            await self._again(lambda: self._log.claim([each.number for each in batch]))
        for each in batch:
            await self._send(each)
        await self._forget(batch)

    async def _forget(self, batch: list[Outgoing]) -> None:
        await self._again(lambda: self._log.left([each.number for each in batch]))

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._file.until_done("what is to leave", call)

    async def _send(self, each: Outgoing) -> None:
        try:
            await self._ways[each.verb](each)
        except BusClosed:
            raise
        except CallboardError as error:
            text = f"{_named(each)} did not leave: {error.text}"
            self._reporter.report("message-not-sent", self._actor, text, id=each.id, task=each.task, code=error.code)

    async def _publish(self, each: Outgoing) -> None:
        self._endpoint.bus.publish(each.target, each.data)

    async def _tell(self, each: Outgoing) -> None:
        endpoint, envelope = self._endpoint, _envelope.decode(each.data)
        envelope = msgspec.structs.replace(envelope, reply=endpoint.inbox, epoch=endpoint.epoch)
        await endpoint.tell(each.target, envelope, timeout=TELL_WITHIN)

    async def _remember(self, each: Outgoing) -> None:
        """Keep an episode in the other file, however long that takes; twice is as once, since it has its task's id."""
        episode = _episode.decode(each.data)

        async def keep() -> None:
            await (await self._memory.open_episodes()).remember(episode, message=each.task)

        await self._again(keep)

    async def _say_outcome(self, each: Outgoing) -> None:
        """Say how a message turned out, however long that takes where only too much is said; twice counts once."""
        outcome = _outcome.decode(each.data)
        while True:
            try:
                await self._memory.say_outcome(outcome)
            except DoorCrowded as error:
                await self._clock.sleep(max(error.wait, CROWDED_REST))
            else:
                return

    async def _enqueue(self, each: Outgoing) -> None:
        """Store a task, however long that takes; one that can never be stored goes to the quarantine."""
        try:
            await self._store(each, each.target, each.data, each.id)
        except CallerError as error:
            await self._store(each, *self._dead(each, error), f"dead.{each.id}")

    async def _store(self, each: Outgoing, subject: str, data: bytes, name: str) -> None:
        store = self._endpoint.bus.queue.store
        await self._queues.until_done(f"task {each.id}", lambda: store(subject, data, id=name, timeout=STORE_WITHIN))

    def _dead(self, each: Outgoing, error: CallerError) -> tuple[str, bytes]:
        """Return where a task goes that nobody takes, and as what."""
        envelope, actor = _envelope.decode(each.data), subjects.parse_work(each.target).actor
        letter = Letter(envelope, self._endpoint.cell, envelope.trust, len(each.data))
        dead = letter_of(actor, letter, error, died=self._clock.now())
        dead = msgspec.structs.replace(dead, subject=each.target, data=each.data)
        return subjects.dead(self._endpoint.fleet, actor, sender=self._endpoint.cell), encode(dead)


def _named(each: Outgoing) -> str:
    return f"the {each.verb} {each.id} of task {each.task} to {each.target}"
