"""The spawned actors of one cell: all of them behind one interest, and one more for each topic.

Ten thousand interests would be ten thousand things to say again after each reconnect, and a permission for each. So
what is said to a spawned actor of another cell goes to ``cb.<fleet>.in.<cell>.<actor>.<sender>``, to which its cell
listens as a whole. If no such actor is here the cell says what the server says where nobody listens: nothing, at the
frame's return address.
"""

import logging
from contextlib import suppress
from typing import Final, NamedTuple

import anyio

from . import codec, subjects
from .census import Movement, pages_of
from .endpoint import Endpoint
from .errors import BusClosed, BusUnavailable
from .interface import Receiver, Subscription, is_return

_log: Final = logging.getLogger("callboard.bus")


class Entry(NamedTuple):
    """How one actor is spoken to: at its mailbox, and by each of its topics."""

    mailbox: Receiver
    topics: dict[str, Receiver]


class Registry:
    """For one cell."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._bus = endpoint, endpoint.bus
        self._entries: dict[str, Entry] = {}
        self._topics: dict[str, dict[str, Receiver]] = {}
        self._interests: dict[str, Subscription] = {}
        self._change = anyio.Lock()

    async def open(self) -> None:
        """Listen for all who will be here, until the endpoint ends."""
        fleet, cell = self._endpoint.fleet, self._endpoint.cell
        await self._endpoint.listen(subjects.lodging(fleet, cell), self._on_word, queue=subjects.QUEUE)
        await self._endpoint.hear("census", self._on_census)
        self._bus.on_gap(self.say_all)
        self.say_all()

    async def enter(self, name: str, entry: Entry) -> None:
        """Give `entry` what is said to `name` from now on; the daemon hears of it before anybody else can."""
        self._entries[name] = entry
        self._say(Movement(self._endpoint.epoch, here=(name,)))
        for topic, receiver in entry.topics.items():
            async with self._change:
                self._topics.setdefault(topic, {})[name] = receiver
                if topic not in self._interests:
                    subject = subjects.topic(self._endpoint.fleet, topic)
                    self._interests[topic] = await self._bus.subscribe(subject, self._on_event)

    async def leave(self, name: str, entry: Entry) -> None:
        """Give `entry` nothing more; no change if the name has passed to another."""
        if self._entries.get(name) is entry:
            del self._entries[name]
            self._say(Movement(self._endpoint.epoch, gone=(name,)))
        for topic, receiver in entry.topics.items():
            async with self._change:
                receivers = self._topics.get(topic, {})
                if receivers.get(name) is receiver:
                    del receivers[name]
                ended = self._interests.pop(topic, None) if not receivers else None
            if ended is not None:
                await ended.unsubscribe()

    def names(self) -> list[str]:
        """Return who is here."""
        return list(self._entries)

    def say_all(self) -> None:
        """Tell the daemon who is here: it may have missed some of it."""
        pages = pages_of(self.names(), max_payload=self._bus.max_payload) or [[]]
        for number, page in enumerate(pages):
            self._say(Movement(self._endpoint.epoch, here=page, whole=number == 0, more=page is not pages[-1]))

    def _say(self, movement: Movement) -> None:
        subject = subjects.system(self._endpoint.fleet, "movement", sender=self._endpoint.cell)
        with suppress(BusUnavailable, BusClosed):  # cut off: all is said again when it is over
            self._bus.publish(subject, codec.encode(movement))

    def _on_census(self, _subject: str, _data: bytes, _reply: str) -> None:
        self.say_all()

    def _on_word(self, subject: str, data: bytes, reply: str) -> None:
        entry = self._entries.get(subjects.parse(subject).name)
        if entry is not None:
            entry.mailbox(subject, data, reply)
        elif is_return(reply):
            with suppress(BusUnavailable, BusClosed):  # who is cut off says nothing; that is news of its own
                self._bus.publish(reply, b"")

    def _on_event(self, subject: str, data: bytes, reply: str) -> None:
        for name, receiver in list(self._topics.get(subjects.parse(subject).name, {}).items()):
            try:
                receiver(subject, data, reply)
            except Exception:  # noqa: BLE001 - as on the wire: one that fails costs the others nothing
                _log.exception("%s failed on %r", name, subject)
