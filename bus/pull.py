"""One feed, pulled: asks for as many as are wanted, and asks again when the server has forgotten.

The client's own ``fetch`` leaves requests behind that take the next message away. Here nothing is left behind: one
address takes all, and what was asked for is a number. It falls with each message, and with each word of the server
that it will not send the rest. A server that was started anew knows nothing of what was asked: so it is asked for a
beat while it has nothing to send, and when there is none, or after a cut, all is asked for anew.

A server that went on through a cut knows both requests. What comes beyond what is wanted is owed. Each round of asking
has an address of its own, so that the words about an older one are not taken for words about what is asked now: else
the end of the older would have the same asked again, for ever.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import anyio
import msgspec

from callboard.errors import CallboardError

from . import subjects
from .jetstream import header_of, nanoseconds, status_of
from .queue import Delivery, Feed, Take

if TYPE_CHECKING:
    from .connection import Connection

EXPIRES: Final = 30.0
BEAT: Final = 5.0
SILENT: Final = 2.5 * BEAT
"""Seconds without a message or a beat after which the server has forgotten what it was asked."""
PAUSE: Final = 1.0
"""Seconds before a server that refuses is asked again."""
_HEARTBEAT, _EXPIRED, _NOTHING = 100, 408, 404
_SHORT: Final = 9
_log: Final = logging.getLogger("callboard.bus")


class _Next(msgspec.Struct):
    batch: int
    expires: int
    idle_heartbeat: int


class Pull:
    """For one feed of one actor's stream."""

    def __init__(
        self, bus: "Connection", stream: str, feed: Feed, take: Take, *, actor: str, key: str, consumer: str = ""
    ) -> None:
        self._bus, self._feed, self._take, self._actor = bus, feed, take, actor
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer or feed.name}"
        self._root, self._round = f"{bus.inbox}.w.{key}.", 0
        self._wanted = self._asked = 0
        self._heard = 0.0
        self._changed = anyio.Event()

    @property
    def _address(self) -> str:
        return f"{self._root}{self._round}"

    @property
    def wanted(self) -> int:
        """How many are wanted and have not come."""
        return max(0, self._wanted)

    def want(self, count: int) -> None:
        """Have `count` more delivered when they come."""
        self._wanted += count
        if count > 0:
            self._wake()

    def _wake(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Keep asking, until cancelled."""
        self._bus.on_gap(self._forget)
        subscription = await self._bus.subscribe(f"{self._root}*", self._on_message, status=True)
        try:
            while True:
                self._ask()
                with anyio.move_on_after(SILENT if self._asked else None):
                    await self._changed.wait()
                self._changed = anyio.Event()
                if self._asked and anyio.current_time() - self._heard > SILENT:
                    self._forget()
        finally:
            with anyio.CancelScope(shield=True):  # bounded by itself
                await subscription.unsubscribe()

    def _forget(self) -> None:
        self._asked, self._round = 0, self._round + 1
        self._wake()

    def _ask(self) -> None:
        missing = self._wanted - self._asked
        if missing <= 0 or self._asked > self._wanted // 2:
            return  # a request for each message costs the server as much as the message
        body = _Next(missing, nanoseconds(EXPIRES), nanoseconds(BEAT))
        try:
            self._bus.publish(self._subject, msgspec.json.encode(body), reply=self._address)
        except CallboardError:  # cut off: it is asked after the gap, or when nothing was heard
            self._asked, self._heard = missing, anyio.current_time()
            return
        self._asked += missing
        self._heard = anyio.current_time()

    def _on_message(self, subject: str, data: bytes, reply: str) -> None:
        if subject.startswith(self._root):
            if subject == self._address:
                self._on_status(data)
            return
        self._heard = anyio.current_time()
        self._asked = max(0, self._asked - 1)
        delivery = self._read(subject, data, reply)
        if delivery is None:  # nobody of ours has stored that: kept, it would come again for ever
            _log.warning("what stood at %r was no task, and is taken away", subject[:120])
            self._bus.publish(reply, b"+TERM")
            self._wake()
        else:
            self._wanted -= 1  # below zero: what came beyond it is settled before more is wanted
            self._take(delivery)

    def _on_status(self, data: bytes) -> None:
        self._heard = anyio.current_time()
        status = status_of(data)
        if status == _HEARTBEAT:
            return
        pending = header_of(data, b"Nats-Pending-Messages")
        if status in (_EXPIRED, _NOTHING):
            self._asked = max(0, self._asked - int(pending)) if pending.isdigit() else 0
            self._wake()
        else:  # no consumer, no leader, a server that stops: not at once again
            asyncio.get_running_loop().call_later(PAUSE, self._forget)

    def _read(self, subject: str, data: bytes, reply: str) -> Delivery | None:
        try:
            tries, number, stored = facts_of(reply)
            cell = subjects.parse_work(subject).cell
        except (ValueError, CallboardError):
            return None
        return Delivery(self._actor, self._feed, subject, cell, data, reply, number, tries, stored)


def facts_of(receipt: str) -> tuple[int, int, float]:
    """Return how often a message was delivered, its number, and when it was stored (Unix seconds).

    Two shapes are in use: ``$JS.ACK.<stream>.<consumer>.<tries>.<number>.<consumer's>.<nanoseconds>.<pending>``, and
    one with domain and account before the stream, and perhaps more behind. Raises ValueError for anything else.
    """
    tokens = receipt.split(".")
    if tokens[:2] != ["$JS", "ACK"] or len(tokens) < _SHORT:
        raise ValueError(receipt)
    tries, number, _, stamp = (int(token) for token in tokens[4 if len(tokens) == _SHORT else 6 :][:4])
    return tries, number, stamp / 1e9
