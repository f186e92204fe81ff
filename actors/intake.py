"""How tasks come from their queue into the mailbox: only as many as can be in hand soon, from the highest lane first.

What was taken from the queue is held here until it is settled, and extended: what waits as long as this loop turns,
what is in hand only while its handler is well. So a handler that hangs loses its task to the next life, and one that
thinks for an hour, and says so, does not.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from callboard.bus import FEEDS, TOPICS, Delivery, Feed, Source, WorkQueue
from callboard.errors import CallboardError

from .letter import Letter

AHEAD: Final = 2
"""Tasks in the mailbox or in hand for each that can be in hand: the next one is there when a handler ends."""
LEAST: Final = 3
"""So many at least: what is done counts until its queue knows, which costs who does one at a time a quarter of them."""
_RANKS: Final = {"high": 0, "key": 1, "normal": 1, "later": 1, "topics": 1, "low": 2}
_EXTENSIONS: Final = 3
"""Extensions in the time after which a task is taken away."""


class Receiver(Protocol):
    """Who makes letters of deliveries."""

    def open(self, delivery: Delivery) -> Letter | None:
        """Return the letter to put into the mailbox; None if the delivery was settled otherwise."""
        ...

    def accept(self, letter: Letter) -> None:
        """Write down that a letter is here."""
        ...

    def put(self, letter: Letter) -> bool:
        """Put a letter into the mailbox; return False if there is no room now."""
        ...

    def is_well(self, letter: Letter) -> bool:
        """Return whether a task still waits, or comes further."""
        ...


class Intake:
    """For one actor. `at_once`: how many tasks its handlers can have in hand together."""

    def __init__(
        self, queue: WorkQueue, receiver: Receiver, *, fleet: str, actor: str, at_once: int, events: bool = False
    ) -> None:
        self._queue, self._receiver = queue, receiver
        self._most = max(LEAST, at_once * AHEAD)
        self._sources: dict[Feed, Source] = {
            feed: queue.source(fleet, actor, feed, self._on_delivery)
            for feed in ((*FEEDS, TOPICS) if events else FEEDS)
        }
        self._waiting: tuple[deque[Letter], ...] = (deque(), deque(), deque())
        self._feeds: dict[str, Feed] = {}
        self.held: dict[str, Letter] = {}
        """All that was taken and is not settled, by id."""
        self._out = 0
        self.paused = True
        self.closed = False
        """Whether nothing more is begun here: what comes goes back."""

    async def run(self, tasks: TaskGroup, *, ack_wait: float) -> None:
        """Take and extend until cancelled."""
        for feed, source in self._sources.items():
            source.want(1 if feed.lane == "key" else self._most)
            tasks.start_soon(source.run)
        while True:
            await anyio.sleep(ack_wait / _EXTENSIONS)
            for letter in list(self.held.values()):
                if self._receiver.is_well(letter):
                    with suppress(CallboardError):  # a wish, as below
                        self._queue.extend(letter.receipt)
            self.dispatch()

    def _on_delivery(self, delivery: Delivery) -> None:
        if self.closed:
            self.again(delivery.receipt)
            return
        letter = self._receiver.open(delivery)
        if letter is None:
            self._sources[delivery.feed].want(1)
            return
        task = letter.envelope.id
        known = self.held.get(task)
        if known is not None:  # it came again: the server had given up on us, or it was stored twice
            known.receipt = letter.receipt
            self._sources[delivery.feed].want(1)
            return
        self._receiver.accept(letter)
        self.held[task], self._feeds[task] = letter, delivery.feed
        self._waiting[_RANKS[delivery.feed.lane]].append(letter)
        self.dispatch()

    def dispatch(self) -> None:
        """Put into the mailbox what may be there."""
        for line in self._waiting:
            while line and self._out < self._most and not self.paused:
                if not self._receiver.put(line[0]):
                    return
                line.popleft()
                self._out += 1

    def take_back(self, letter: Letter) -> None:
        """Have a letter wait here again: it was taken out of the mailbox, not begun."""
        feed = self._feeds.get(letter.envelope.id)
        if feed is not None:
            self._out -= 1
            self._waiting[_RANKS[feed.lane]].appendleft(letter)

    def settled(self, letter: Letter) -> None:
        """Forget a task: it is done, handed back or taken away."""
        task = letter.envelope.id
        if self.held.pop(task, None) is not None:
            self._out -= 1
            self._sources[self._feeds.pop(task)].want(1)
            self.dispatch()

    def give_back(self, written: Callable[[Letter], None]) -> None:
        """Take nothing more, and hand all that waits here back to the queue at once; `written` is told of each."""
        self.closed = True
        for line in self._waiting:
            while line:
                letter = line.popleft()
                self.held.pop(letter.envelope.id, None)
                self.again(letter.receipt)
                written(letter)

    def again(self, receipt: str, delay: float = 0.0) -> None:
        """Wish that a task is delivered again in `delay` seconds; from who is cut off its queue takes it by itself."""
        with suppress(CallboardError):
            self._queue.again(receipt, delay)
